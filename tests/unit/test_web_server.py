"""The server's own connections."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from fastapi import FastAPI

from adapters.web.server import HttpServer
from gateway.settings import HttpSettings


def other_end(of: socket.socket) -> socket.socket:
    """The same connection as this process has it on the server's side; a descriptor of its own."""
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found = socket.socket(fileno=os.dup(int(entry.name)))
            with contextlib.suppress(OSError):
                if found.getpeername() == of.getsockname():
                    return found
            found.close()
    raise AssertionError("the server has no such connection")


def test_an_answer_does_not_wait_for_the_peer_to_acknowledge_its_headers() -> None:
    server = HttpServer(FastAPI(), HttpSettings(port=0))
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as asker:
            asker.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert asker.recv(12) == b"HTTP/1.1 404"
            with other_end(asker) as served:
                assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        server.stop()
