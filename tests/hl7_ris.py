"""RIS receivers for tests: PyPI's `hl7` as an honest one, and a scripted one that answers whatever it is told to."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress

import hl7
from hl7.mllp import HL7StreamReader, HL7StreamWriter, start_hl7_server

from adapters.hl7.content.framing import Block, Framer, frame
from adapters.hl7.content.segments import read

Answers = Callable[[bytes], list[bytes]]
"""From a received message to the unframed answers."""


class Ris:
    """PyPI hl7's MLLP server. `code`: what it answers; `received`: message by control id."""

    def __init__(self, code: str = "AA", port: int = 0) -> None:
        self.code, self.port = code, port
        self.received: dict[str, bytes] = {}
        self._started: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Ris:
        self._thread.start()
        self.port = self._started.result(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await start_hl7_server(self._talk, "127.0.0.1", self.port, limit=1 << 24, encoding="utf-8")
        self._started.set_result(server.sockets[0].getsockname()[1])
        await self._stop.wait()
        server.close()

    async def _talk(self, reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
        try:
            while True:
                message = await reader.readmessage()
                self.received[str(message.segment("MSH")[10])] = str(message).encode()
                writer.writemessage(message.create_ack(self.code))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@contextmanager
def scripted(answers: Answers, *, close: bool = False) -> Iterator[int]:
    """The port of a receiver that sends `answers(message)` for each message; `close`: then hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def talk() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(ConnectionError):
                _converse(connection, answers, close)

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(20)


def _converse(connection: socket.socket, answers: Answers, close: bool) -> None:
    framer = Framer(1 << 24)
    while data := connection.recv(65536):
        for event in framer.feed(data):
            if isinstance(event, Block):
                for answer in answers(event.content):
                    connection.sendall(answer if answer.startswith(b"\x0b") else frame(answer))
                if close:
                    return


def control_id(message: bytes) -> str:
    return read(message).header.raw(10)


def ack(code: str, control: str, *more: str) -> bytes:
    return "\r".join(["MSH|^~\\&|RIS|HOSP|TRIAGE|SITE|20240501||ACK^R01^ACK|1|P|2.5.1", f"MSA|{code}|{control}",
                      *more]).encode() + b"\r"


def parsed(content: bytes) -> hl7.Message:
    """By PyPI's hl7."""
    return hl7.parse(content.decode())
