"""Delivers the FHIR transaction of a result to a FHIR R4 server."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx

from adapters.fhir.content.transaction_response import complaint, proof
from gateway import settings
from gateway.delivery import DeliveryState, Document, Kind, Receipt
from gateway.errors import ConfigurationError, Permanent, Transient

_MEDIA_TYPE = "application/fhir+json"
_LARGEST_ANSWER = 16 * 1024 * 1024
_TRY_AGAIN = frozenset({401, 408, 409, 423, 425, 429})
"""401: the token is repaired without touching the document. 409: another writer was faster. Besides every 5xx."""


class FhirDestination:
    """Implements gateway.delivery.Destination over one HTTP client, which is safe to share between threads.

    Proof of delivery is HTTP 200 or 201 with a transaction-response whose entries are all 2xx. 401, 408, 409, 423, 425,
    429, 5xx, time-outs and lost connections are Transient; redirects and every other 4xx are Permanent; another
    success is UNPROVEN. The bearer token and the server's texts appear in no message.
    """

    def __init__(self, options: settings.FhirDestination, timeout: float = 30) -> None:
        """`timeout`: seconds for connecting, for each read, and for the whole answer."""
        self.name = options.name
        self.kinds = frozenset(options.kinds) if options.kinds is not None else frozenset({Kind.DIAGNOSTIC_REPORT})
        if self.kinds - {Kind.DIAGNOSTIC_REPORT}:
            raise ConfigurationError(f"destination {self.name}: a FHIR server takes diagnostic_report only")
        self._url = options.url.rstrip("/")
        self._peer = f"{self.name} ({urlsplit(self._url).netloc.rpartition('@')[2]})"
        self._timeout = timeout
        self._client = httpx.Client(timeout=timeout, headers=_headers(options), trust_env=False)

    def deliver(self, document: Document) -> Receipt:
        """Raises Transient or Permanent; safe to repeat, for every entry is conditional."""
        status, answered = self._exchange("POST", self._url, document.content)
        if status not in (200, 201):
            return self._not_done(status, answered)
        facts = proof(document.content, answered)
        if facts is None:
            return Receipt(DeliveryState.UNPROVEN, {"http_status": status})
        return Receipt(DeliveryState.DELIVERED, {"http_status": status, **facts})

    def probe(self) -> None:
        """GET metadata. Raises Transient where it is not answered with 200."""
        status, _ = self._exchange("GET", f"{self._url}/metadata", b"")
        if status != 200:
            raise Transient(f"{self.name} answered {_words(status)} to GET metadata")

    def close(self) -> None:
        self._client.close()

    def _not_done(self, status: int, answered: bytes) -> Receipt:
        if 200 <= status < 300:
            return Receipt(DeliveryState.UNPROVEN, {"http_status": status})
        told = complaint(answered)
        message = f"{self.name} answered {_words(status)}" + (f": {told}" if told else "")
        if status >= 500 or status in _TRY_AGAIN:
            raise Transient(message)
        raise Permanent(message)

    def _exchange(self, method: str, url: str, content: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": _MEDIA_TYPE, "Prefer": "return=minimal"} if content else {}
        try:
            with self._client.stream(method, url, content=content or None, headers=headers) as response:
                return response.status_code, self._body(response)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise Permanent(f"{self.name}: its url is none that can be called") from error
        except httpx.HTTPError as error:
            raise Transient(f"{self._peer} cannot be reached: {_reason(error)}") from error

    def _body(self, response: httpx.Response) -> bytes:
        """At most 16 MB, within the time-out; empty where it is larger or its encoding is broken."""
        ends = time.monotonic() + self._timeout
        answered = bytearray()
        try:
            for piece in response.iter_bytes():
                answered += piece
                if time.monotonic() > ends:
                    raise Transient(f"{self.name} did not end its answer in {self._timeout:g} s")
                if len(answered) > _LARGEST_ANSWER:
                    return b""
        except httpx.DecodingError:
            return b""
        return bytes(answered)


def _headers(options: settings.FhirDestination) -> dict[str, Any]:
    headers = {"Accept": _MEDIA_TYPE, "User-Agent": "triage-gateway"}
    if options.bearer_token is not None:
        headers["Authorization"] = f"Bearer {options.bearer_token.get_secret_value()}"
    return headers


def _reason(error: httpx.HTTPError) -> str:
    """What the operating system or TLS said beneath httpx."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TimeoutError | httpx.TimeoutException):
            return "timed out"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def _words(status: int) -> str:
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"
