"""Why a case was read again: what differs between two readings, told and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.history import Change, RunFacts, why_read_again
from tests.builders import order

MODEL = {"name": "m", "version": "1", "sha256": "aa"}
FIRST = RunFacts("a", 5, order(), {"pipeline": "p", "pipeline_version": "1", "models": [MODEL]})


def provenance(**model: str) -> dict[str, Any]:
    return {"pipeline": "p", "pipeline_version": "1", "models": [MODEL | model]}


@pytest.mark.parametrize(("changes", "expected"), [
    ({"last_instance_id": 6}, (Change.OBJECTS,)),
    ({"order": None}, (Change.ORDER,)),
    ({"order": order(clinical_question="another")}, (Change.ORDER,)),
    ({"order": order(status="completed")}, (Change.SETTINGS,)),
    ({"provenance": provenance(version="2")}, (Change.READER,)),
    ({"provenance": None}, (Change.SETTINGS,)),
    ({"last_instance_id": 6, "provenance": provenance(sha256="bb")}, (Change.OBJECTS, Change.READER)),
    ({}, (Change.SETTINGS,))])
def test_what_changed_is_told(changes: dict[str, Any], expected: tuple[Change, ...]) -> None:
    assert why_read_again(FIRST, replace(FIRST, run_id="b", **changes)) == expected
