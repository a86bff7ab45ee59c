"""Can the gateway take and read studies? Each part answers for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.errors import GatewayError

Check = Callable[[], str]
"""Returns "ok" or why not; may raise a GatewayError."""


class PartsHealth:
    """Implements gateway.ports.Health."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks

    def ready(self) -> tuple[bool, Mapping[str, str]]:
        found = {name: _ask(check) for name, check in self._checks.items()}
        return all(answer == "ok" for answer in found.values()), found


def _ask(check: Check) -> str:
    try:
        return check()
    except GatewayError as error:
        return str(error)
