"""The MLLP server: an event loop in its own thread, stored before acknowledged."""

from __future__ import annotations

import asyncio
import ipaddress
import threading
from concurrent.futures import Future
from zoneinfo import ZoneInfo

import structlog

from adapters.hl7.content.charset import Charsets, codec_of
from adapters.hl7.content.receive import Site
from adapters.hl7.transport.connection import Connection
from adapters.hl7.transport.desk import Desk
from gateway.errors import ConfigurationError
from gateway.orders import MessageLog
from gateway.settings import MllpSettings

_MAXIMUM_CONNECTIONS = 512
_DRAIN_SECONDS = 10.0
_FLUSH_SECONDS = 2.0

logger = structlog.get_logger()


class MllpServer:
    """Receives HL7 v2 over MLLP: `start`, `stop` and `port` may be called from any thread.

    Every message is recorded in `log` (whole batches, one worker thread) before it is acknowledged.
    """

    def __init__(self, settings: MllpSettings, facility: str, log: MessageLog, timezone: str = "UTC") -> None:
        """`timezone`: of times without offset. Raises ConfigurationError on settings that cannot be served."""
        self._settings = settings
        self._log = log
        self._networks = _networks(settings)
        self._site = Site(facility, ZoneInfo(timezone), settings.maximum_message_bytes, _charsets(settings))
        self._connections: set[Connection] = set()
        self._port = 0
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port listened on (useful where the configured one is 0)."""
        return self._port

    def start(self) -> None:
        """Listen; returns when connections are taken. Raises ConfigurationError where the address is not to be had."""
        started: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), name="mllp", daemon=True)
        self._thread.start()
        try:
            self._port = started.result()
        except OSError as error:
            raise ConfigurationError(f"mllp.host, mllp.port: cannot listen on {self._settings.host}:"
                                     f"{self._settings.port} ({error.strerror})") from error
        logger.info("mllp_listening", host=self._settings.host, port=self._port)

    def stop(self) -> None:
        """Take nothing more, answer what was taken, close. Returns when all is closed."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join()

    async def _serve(self, started: Future[int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping, self._empty = asyncio.Event(), asyncio.Event()
        desk = Desk(self._site, self._log)
        try:
            listener = await self._loop.create_server(
                lambda: self._connection(desk), self._settings.host, self._settings.port, backlog=128)
        except OSError as error:
            started.set_exception(error)
            return
        working = asyncio.create_task(desk.run())
        started.set_result(listener.sockets[0].getsockname()[1])
        await self._stopping.wait()
        self._empty.clear()
        await self._close(listener, desk)
        working.cancel()

    async def _close(self, listener: asyncio.Server, desk: Desk) -> None:
        listener.close()
        for connection in list(self._connections):
            connection.finish()
        try:
            await asyncio.wait_for(desk.drained(), _DRAIN_SECONDS)
            if self._connections:
                await asyncio.wait_for(self._empty.wait(), _FLUSH_SECONDS)
        except TimeoutError:
            logger.warning("mllp_stopped_with_messages_unanswered", connections=len(self._connections))
            for connection in list(self._connections):
                connection.abort()
            await asyncio.sleep(0)

    def _connection(self, desk: Desk) -> Connection:
        return Connection(desk.submit, self._settings.maximum_message_bytes, self._settings.idle_timeout,
                          self._admit, self._gone)

    def _admit(self, connection: Connection) -> bool:
        if not self._allowed(connection.address):
            logger.warning("mllp_sender_refused", address=connection.address)
            return False
        if len(self._connections) >= _MAXIMUM_CONNECTIONS:
            logger.warning("mllp_too_many_connections", address=connection.address)
            return False
        self._connections.add(connection)
        return True

    def _gone(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def _allowed(self, address: str) -> bool:
        if not self._networks:
            return True
        peer = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
        mapped = getattr(peer, "ipv4_mapped", None)
        return any((mapped or peer) in network for network in self._networks)


def _networks(settings: MllpSettings) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The allow-list; without one only loopback may be listened on."""
    try:
        networks = [ipaddress.ip_network(entry, strict=False) for entry in settings.allowed_addresses]
    except ValueError as error:
        raise ConfigurationError(f"mllp.allowed_addresses: {error}") from None
    if not networks and not _loopback(settings.host):
        raise ConfigurationError(f"mllp.host: {settings.host} can be reached from outside; "
                                 "name the senders in mllp.allowed_addresses")
    return networks


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _charsets(settings: MllpSettings) -> Charsets:
    for value in (settings.default_charset, *settings.sender_charsets.values()):
        if codec_of(value) is None:
            raise ConfigurationError(f"mllp.default_charset, mllp.sender_charsets: {value} is not in HL7 table 0211")
    return Charsets(settings.default_charset, settings.sender_charsets)
