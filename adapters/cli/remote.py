"""Asking the running gateway over HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from gateway.errors import Rejected, Transient
from gateway.settings import HttpSettings

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - read, never bound
_TIMEOUT_SECONDS = 30.0


def url_of(settings: HttpSettings) -> str:
    """Where this machine reaches the gateway of these settings."""
    host = _ANY_ADDRESS.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


class Remote:
    """A gateway at `url`. Raises Transient where nothing answers, Rejected with the gateway's own sentence."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def get(self, path: str, **query: str | int | list[str] | None) -> dict[str, Any]:
        return self._ask("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._ask("POST", path, json=body)

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._ask("PUT", path, json=body)

    def delete(self, path: str, **query: str) -> None:
        self._ask("DELETE", path, params=query)

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            answer = httpx.request(method, self.url + path, timeout=_TIMEOUT_SECONDS, trust_env=False, **options)
        except httpx.InvalidURL as error:
            raise Rejected(f"{self.url} is not an address of a gateway.") from error
        except httpx.TransportError as error:
            raise Transient(f"Nothing answers at {self.url}. Is the gateway running? "
                            "Start it with `triage-gateway serve`, or name another with --url.") from error
        if answer.is_error:
            raise Rejected(_sentence(answer))
        if answer.status_code == 204:
            return {}
        return self._json(answer)

    def _json(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            told = answer.json()
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise Rejected(f"What answers at {self.url} is not a gateway.")
        return told


def _sentence(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The server answered {answer.status_code} {answer.reason_phrase}."
