"""What is held is found on PostgreSQL as on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.dicomweb import Archive, archive
from tests.peers.postgres import cluster, new_database
from tests.unit import test_qido as qido

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with cluster() as port, archive(tmp_path_factory.mktemp("held"), new_database(port, "held")) as kept:
        qido.fill(kept)
        yield kept


@pytest.mark.parametrize(("parameters", "expected"), qido.QUERIES)
async def test_studies(held: Archive, parameters: dict[str, Any], expected: list[str]) -> None:
    assert await qido.studies(held, **parameters) == expected


@pytest.mark.parametrize(("level", "parameters", "expected"), qido.BELOW)
async def test_series_and_instances(held: Archive, level: str, parameters: dict[str, Any],
                                    expected: list[str]) -> None:
    await qido.test_what_lies_below_studies_is_matched(held, level, parameters, expected)


async def test_results_and_pages(held: Archive) -> None:
    await qido.test_relational_searches_tell_the_study_and_page_alike(held)
    await qido.test_the_series_of_a_result_is_found(held)
