"""Who asks. There is no login yet: the name is the client's address, and every handler already takes it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from gateway.study import Principal


def principal_of(request: Request) -> Principal:
    """The asker of this request; handlers depend on it, so that a login changes this function alone."""
    return Principal(name=request.client.host if request.client else "unknown")


Asker = Annotated[Principal, Depends(principal_of)]
EVERY_HANDLER = [Depends(principal_of)]
"""The application's own dependencies: no handler, ours or a given router's, runs without a principal."""
