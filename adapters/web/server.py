"""Serves the web application from a thread of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from gateway.errors import ConfigurationError
from gateway.settings import HttpSettings


class HttpServer:
    """`start` returns once the port is bound and answers; `stop` lets requests end.

    `end_streams` ends answers that last for as long as their reader listens: the server would wait for them.
    """

    def __init__(self, app: FastAPI, settings: HttpSettings, end_streams: Callable[[], None] = lambda: None) -> None:
        self._settings, self._end_streams = settings, end_streams
        self._socket: socket.socket | None = None
        # The server's own access log would write paths and queries; ours writes route templates.
        self._server = uvicorn.Server(uvicorn.Config(
            app, log_config=None, access_log=False, proxy_headers=False, server_header=False, lifespan="off",
            timeout_graceful_shutdown=5))
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    @property
    def port(self) -> int:
        assert self._socket is not None, "start() was not called"
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Raises ConfigurationError when the port is taken."""
        try:
            self._socket = socket.create_server((self._settings.host, self._settings.port), backlog=512)
        except OSError as error:
            raise ConfigurationError(f"http.port {self._settings.port} cannot be used: {error.strerror}") from error
        # Connections inherit it. Without it the body of an answer waits for the peer's acknowledgement of its headers,
        # 40 ms; the event loop sets it only for sockets that were made with their protocol named.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._thread.start()

    def stop(self) -> None:
        self._end_streams()
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket] if self._socket else None)
