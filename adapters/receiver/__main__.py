"""One receiver process: `python -m adapters.receiver LINES CONNECTIONS`, two inherited socket descriptors.

It ends when the engine's process says so, or is gone.
"""

from __future__ import annotations

import gc
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Sequence

from adapters.dicom.content.tags import tag_streamer
from adapters.dicom.transport.scp import DicomServer
from adapters.files.store import FileObjectStore
from adapters.receiver import wire
from adapters.receiver.wire import Line
from gateway.intake import Gate, ObjectIntake
from gateway.logs import configure_logs
from gateway.study import Instance

_PIECE = 64 * 1024
_AT_ONCE = 200
_PREPARED_MEGABYTES = 192
"""Of a burst that find their room on the disk made already."""
_GATHER_SECONDS = 0.03


class Report:
    """Tells the engine's process, in a thread of its own, what was stored. Implements gateway.intake.Index."""

    def __init__(self, lines: socket.socket) -> None:
        self._lines = lines
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="report", daemon=True)
        self._thread.start()

    def add(self, instance: Instance, *, conflict: bool) -> None:
        self.tell(wire.instance_to_line(instance, conflict))

    def tell(self, line: Line) -> None:
        self._queue.put(wire.encode(line))

    def tell_all(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self.tell(line)

    def close(self) -> None:
        """Returns when everything has been told."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (line := self._queue.get()) is not None:
            self._closing.wait(_GATHER_SECONDS)  # one waking up for many: senders are being answered meanwhile
            told = [line]
            while len(told) < _AT_ONCE and not self._queue.empty():
                if (line := self._queue.get()) is None:
                    self._queue.put(None)
                    break
                told.append(line)
            try:
                self._lines.sendall(b"".join(told))
            except OSError:
                return  # nobody listens any more: the files tell at the next start


def serve(lines: socket.socket, connections: socket.socket) -> None:
    received = wire.Lines()
    order, *more = received.feed(_until_newline(lines))
    orders = wire.orders_from_line(order)
    configure_logs(orders.log)
    report, gate, counts = Report(lines), Gate(), wire.Counts()
    store = FileObjectStore(orders.root, orders.free_floor_bytes)
    intake = ObjectIntake(store, tag_streamer(orders.keywords), report, gate, count=counts.add)
    server = DicomServer(orders.dicom, intake, left=lambda left: report.tell(wire.left_to_line(left)))
    store.prepare(_PREPARED_MEGABYTES)
    server.start_taking_over()
    threading.Thread(target=_take_over, args=(connections, server), daemon=True).start()
    threading.Thread(target=_tell_now_and_then, args=(server, report, counts), daemon=True).start()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # there are many objects, and hardly any of them in cycles
    report.tell({"ready": True})
    if _obey(lines, received, more, gate):
        gate.shut("stop", "the gateway is being stopped; try again later")
        server.stop()
        store.close()
        report.tell_all(counts.lines())
        report.close()


def _until_newline(lines: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\n"):
        received += lines.recv(_PIECE)
    return received


def _obey(lines: socket.socket, received: wire.Lines, come: Sequence[Line], gate: Gate) -> bool:
    """Until the engine's process wants this one to end; False where it has ended itself, so that nobody hears any more
    of objects that would get their files: whoever starts next restores them. `come`: what it has said already."""
    while True:
        for line in come:
            if "stop" in line:
                return True
            if line["gate"]:
                gate.shut("engine", line["gate"])
            else:
                gate.open("engine")
        try:
            piece = lines.recv(_PIECE)
        except OSError:
            piece = b""
        if not piece:
            return False
        come = list(received.feed(piece))


def _take_over(connections: socket.socket, server: DicomServer) -> None:
    while True:
        word, descriptors, _, _ = socket.recv_fds(connections, 1, 1)
        if not word:
            return
        for descriptor in descriptors:
            connection = socket.socket(fileno=descriptor)
            try:
                admitted = server.admit(connection, connection.getpeername())
            except OSError:  # it has left meanwhile
                admitted = False
            if not admitted:
                connection.close()


def _tell_now_and_then(server: DicomServer, report: Report, counts: wire.Counts) -> None:
    """What was counted, and which studies are still being brought, whenever that has changed."""
    told: frozenset[str] = frozenset()
    pause = threading.Event()
    while not pause.wait(0.1):
        report.tell_all(counts.lines())
        if (now := server.open_studies()) != told:
            told = now
            report.tell({"open": sorted(now)})


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the engine's process gets it too, and says when to end
    lines, connections = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    serve(lines, connections)
    os._exit(0)


if __name__ == "__main__":
    main()
