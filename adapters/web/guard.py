"""What is refused before any handler runs: foreign addresses, foreign Host names, cross-site writes, long bodies."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.web.problems import refusal_at
from gateway.errors import ConfigurationError
from gateway.settings import HttpSettings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SMALL_BODY_BYTES = 1024 * 1024
"""Longest body of a request that carries no study: a form or a little JSON."""
SPOOLED_PATHS = ("/api/predict", "/api/studies", "/api/batch", "/api/explain", "/operations/rules")
LARGE_BODY_PATHS = (*SPOOLED_PATHS, "/fhir", "/dicom-web")
UPLOADS_AT_ONCE = 4
"""All uploads that are on their way have so many times the longest one's bytes at most."""
IDLE_SECONDS = 60.0
"""How long the next piece of a body may let wait."""
SLOWEST_BYTES_A_SECOND = 1024
"""Of a whole body, on the average."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that bind address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def allowed_networks(settings: HttpSettings) -> tuple[Network, ...] | None:
    """None on loopback (only this machine can ask); else the configured networks and loopback itself.

    Raises ConfigurationError for a bind to other addresses without a list, and for an entry that is no address.
    """
    if is_loopback(settings.host):
        return None
    if not settings.allowed_addresses:
        raise ConfigurationError(f"http.host {settings.host} is reachable from other machines: "
                                 "name who may ask in http.allowed_addresses (addresses or networks)")
    try:
        listed = [ipaddress.ip_network(entry, strict=False) for entry in settings.allowed_addresses]
    except ValueError as error:
        raise ConfigurationError(f"http.allowed_addresses: {error}") from error
    return (*listed, ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def address_allowed(address: str, networks: Sequence[Network] | None) -> bool:
    """`networks` None: everyone who can reach the port. An IPv4 address mapped into IPv6 counts as IPv4."""
    if networks is None:
        return True
    try:
        asked = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(asked, "ipv4_mapped", None)
    return any((mapped or asked) in network for network in networks)


def host_allowed(host: str, settings: HttpSettings) -> bool:
    """Whether the Host header names this server: an IP address, localhost, `http.host` or `http.allowed_hosts`.

    A name that an attacker points at this machine (DNS rebinding) is refused.
    """
    if "*" in settings.allowed_hosts:
        return True
    name = _hostname(f"//{host}")
    if name in {"localhost", settings.host.lower(), *(h.lower() for h in settings.allowed_hosts)}:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def same_origin(headers: Headers) -> bool:
    """Whether a write comes from our own page or from no browser at all (Fetch Metadata, else Origin)."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host", "")


def _hostname(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


class Guard:
    """ASGI middleware: refuse, or pass on with bounds on the body: its length, its pace, and that of all together."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._settings = settings
        self._networks = allowed_networks(settings)
        self._spooled = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal_at(scope["path"], *refusal)(scope, receive, send)
            return
        path = scope["path"]
        body = _Body(receive, self._limit(path), self._take if _spools(path) else _free,
                     _too_long_sentence(self._limit(path), path))
        try:
            await self._app(scope, body, send)
        finally:
            self._spooled -= body.taken

    def _limit(self, path: str) -> int:
        return self._settings.maximum_upload_bytes if _takes_studies(path) else SMALL_BODY_BYTES

    def _take(self, size: int) -> bool:
        """Uploads lie on disk until they are looked at: all of them together stay within bounds."""
        if self._spooled + size > UPLOADS_AT_ONCE * self._settings.maximum_upload_bytes:
            return False
        self._spooled += size
        return True

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        client = scope.get("client")
        if not address_allowed(client[0] if client else "", self._networks):
            return 403, "This address is not on the list http.allowed_addresses."
        if not host_allowed(headers.get("host", ""), self._settings):
            return 400, "The Host header does not name this server; http.allowed_hosts lists the names it answers to."
        if "\0" in scope["path"] or b"%00" in scope.get("query_string", b""):
            return 400, "The address holds a character that nothing is named with."
        if scope["method"] not in SAFE_METHODS and not same_origin(headers):
            return 403, "A request that changes something must come from the gateway's own page."
        length = headers.get("content-length", "0")
        limit = self._limit(scope["path"])
        return (413, _too_long_sentence(limit, scope["path"])) if length.isdigit() and int(length) > limit else None


def _takes_studies(path: str) -> bool:
    return path.startswith(LARGE_BODY_PATHS)


def _spools(path: str) -> bool:
    return path.startswith(SPOOLED_PATHS)


def _free(_size: int) -> bool:
    return True


def _too_long_sentence(limit: int, path: str) -> str:
    told = f"The body is longer than the {limit} bytes taken here"
    if _takes_studies(path):
        return f"{told}: send less at once, or raise http.maximum_upload_bytes in the configuration."
    return f"{told}, where forms and little JSON come; studies are sent to /api/studies."


class _Body:
    """The request's messages, until they are too many bytes, or none comes for too long. `taken`: bytes in the sum of
    all uploads."""

    def __init__(self, receive: Receive, limit: int, take: Callable[[int], bool], too_long: str) -> None:
        """`too_long`: the sentence for a body of more than `limit` bytes."""
        self._receive, self._limit, self._take, self._too_long = receive, limit, take, too_long
        self._seen = self.taken = 0
        self._whole = False
        self._began = time.monotonic()

    async def __call__(self) -> Message:
        message = await self._receive() if self._whole else await self._next()
        size = len(message.get("body", b""))
        self._seen += size
        self._whole = self._whole or not message.get("more_body", False)
        if self._seen > self._limit:
            raise HTTPException(413, self._too_long)
        if not self._take(size):
            raise HTTPException(503, "The gateway is busy with other uploads; try again later.")
        self.taken += size if self._take is not _free else 0
        return message

    async def _next(self) -> Message:
        left = self._began + IDLE_SECONDS + self._seen / SLOWEST_BYTES_A_SECOND - time.monotonic()
        try:
            async with asyncio.timeout(min(IDLE_SECONDS, max(0.0, left))):
                return await self._receive()
        except TimeoutError as error:
            raise HTTPException(408, "The body stopped coming, or comes too slowly, though it is not whole.",
                                {"Connection": "close"}) from error
