"""The engine's side of the receiver processes: starts them, gives them connections, listens, starts them again."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from adapters.receiver import wire
from adapters.receiver.wire import Line, Orders
from gateway.errors import GatewayError
from gateway.intake import Gate, Index, SenderLeft
from gateway.ports import Stored

ROOT = Path(__file__).parents[2]
_PIECE = 256 * 1024
_LOOK_SECONDS = 0.25
_GRACE_SECONDS = 20.0
_AGAIN_SECONDS = 1.0
_READY_SECONDS = 30.0


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """Where the engine's process takes what a receiver process tells."""

    index: Index
    counted: Callable[[str, Stored | None, int], None]
    """Protocol, what was stored with the bytes of all, how many objects."""
    left: Callable[[SenderLeft], None]
    ended: Callable[[], object]
    """A process has died: what it stored and could not tell has to be looked for among the files."""


class _Child:
    """One process while it lives."""

    def __init__(self, orders: Orders) -> None:
        self.lines, lines = socket.socketpair()
        self.connections, connections = socket.socketpair()
        with lines, connections:
            numbers = (lines.fileno(), connections.fileno())
            self.process = subprocess.Popen([sys.executable, "-m", "adapters.receiver", *map(str, numbers)],
                                            pass_fds=numbers, cwd=ROOT, stdin=subprocess.DEVNULL)
        self.given = 0
        """Connections so far."""
        self.studies: frozenset[str] = frozenset()
        self.ready = threading.Event()
        self.lines.sendall(wire.encode(wire.orders_to_line(orders)))

    def tell(self, line: Line) -> None:
        with contextlib.suppress(OSError):
            self.lines.sendall(wire.encode(line))

    def close(self) -> None:
        self.process.wait()
        self.lines.close()
        self.connections.close()


class ReceiverProcesses:
    """`number` processes that take over connections. Thread-safe."""

    def __init__(self, number: int, orders: Orders, gate: Gate, told: Told) -> None:
        self._number, self._orders, self._gate, self._told = number, orders, gate, told
        self._children: dict[int, _Child] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._keep, args=(n,), name=f"receiver-{n}", daemon=True)
                         for n in range(number)]
        if number:
            self._threads.append(threading.Thread(target=self._tell_gate, name="receiver-gate", daemon=True))

    def start(self) -> None:
        """Returns when all are there, or have had time enough; whoever is late gets nothing to do until it is."""
        for thread in self._threads:
            thread.start()
        for number in range(self._number):
            self._await(number)

    def stop(self) -> None:
        """Objects that are being stored are finished; what they tell has been heard when it returns."""
        self._stopping.set()
        with self._lock:
            children = list(self._children.values())
        for child in children:
            child.tell({"stop": True})
        for child in children:
            try:
                child.process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                child.process.kill()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(_GRACE_SECONDS)

    def pass_on(self, connection: socket.socket) -> bool:
        """Give a connection to the process whose turn it is; False where there is none."""
        with self._lock:
            ready = [one for one in self._children.values() if one.ready.is_set() and one.process.poll() is None]
            for child in sorted(ready, key=lambda one: one.given):
                try:
                    socket.send_fds(child.connections, [b"\1"], [connection.fileno()])
                except OSError:
                    continue  # it is just ending
                child.given += 1
                return True
        return False

    def left(self, left: SenderLeft) -> None:
        """An association of any process is over: what the others still bring is added."""
        with self._lock:
            elsewhere = frozenset().union(*(child.studies for child in self._children.values()))
        self._told.left(dataclasses.replace(left, elsewhere=left.elsewhere | elsewhere))

    # ------------------------------------------------------------ each of them

    def _keep(self, number: int) -> None:
        """Start a process, listen to it until it ends, and start another one."""
        while not self._stopping.is_set():
            child = _Child(self._orders)
            with self._lock:
                self._children[number] = child
            self._listen(child)
            with self._lock:
                del self._children[number]
            child.close()
            if not self._stopping.is_set():
                structlog.get_logger().error("receiver_process_died", status=child.process.returncode)
                self._take_up()
                self._stopping.wait(_LOOK_SECONDS)

    def _take_up(self) -> None:
        """What a process that has died could not tell; until the disk and the database let it be found."""
        while not self._stopping.is_set():
            try:
                self._told.ended()
            except (GatewayError, OSError) as error:
                structlog.get_logger().warning("left_objects_wait", error=type(error).__name__)
                self._stopping.wait(_AGAIN_SECONDS)
            else:
                return

    def _listen(self, child: _Child) -> None:
        lines = wire.Lines()
        with contextlib.suppress(OSError):
            while received := child.lines.recv(_PIECE):
                for line in lines.feed(received):
                    self._hear(child, line)

    def _hear(self, child: _Child, line: Line) -> None:
        if "instance" in line:
            instance, conflict = wire.instance_from_line(line)
            self._told.index.add(instance, conflict=conflict)
        elif "counted" in line:
            self._told.counted(*wire.count_from_line(line))
        elif "open" in line:
            child.studies = frozenset(line["open"])
        elif "left" in line:
            self.left(wire.left_from_line(line))
        else:
            child.tell({"gate": self._gate.reason})
            child.ready.set()

    def _await(self, number: int) -> None:
        pause = threading.Event()
        for _ in range(int(_READY_SECONDS / _LOOK_SECONDS)):
            with self._lock:
                child = self._children.get(number)
            if child and child.ready.wait(_LOOK_SECONDS):
                return
            pause.wait(0 if child else _LOOK_SECONDS)

    def _tell_gate(self) -> None:
        told = ""
        while not self._stopping.wait(_LOOK_SECONDS):
            reason = self._gate.reason
            if reason != told:
                told = reason
                with self._lock:
                    children = list(self._children.values())
                for child in children:
                    child.tell({"gate": reason})
