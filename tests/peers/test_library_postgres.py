"""The library's own tests that matter most to a database, on a real PostgreSQL server."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.core import test_library as library
from tests.core.support import core
from tests.peers import postgres

pytestmark = [pytest.mark.peer, pytest.mark.slow]
_NUMBERS = itertools.count()
FLOWS: tuple[Callable[[Path], None], ...] = (
    library.test_whoever_has_a_study_or_a_message_is_a_patient,
    library.test_a_patient_is_changed_by_who_has_seen_the_last_version,
    library.test_a_study_goes_with_all_that_was_made_of_it_and_leaves_a_line)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with postgres.cluster() as found:
        yield found


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
def test_the_library(flow: Callable[[Path], None], port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = postgres.new_database(port, f"library{next(_NUMBERS)}")
    monkeypatch.setattr(library, "core", lambda tmp, **more: core(tmp, url=url, **more))
    flow(tmp_path)
