"""One gateway and browser for a module, in their first state for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.support import Desk, desk
from tests.web_fakes import World


@pytest.fixture(scope="module")
def shared() -> Iterator[Desk]:
    with desk(World()) as made:
        yield made


@pytest.fixture
def at(shared: Desk) -> Iterator[Desk]:
    """No page may have complained by the end of the test."""
    shared.reset()
    yield shared
    assert shared.complaints == []
