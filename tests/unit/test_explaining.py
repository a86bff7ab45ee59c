"""What `check --explain` and the rule tester say of a study that a rule takes."""

from __future__ import annotations

import pytest

from gateway.explaining import explain, study_alone
from gateway.settings import Route
from pipelines.chest_ct import PIPELINE
from tests.builders import instance

TAGS = {"Modality": "CT", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "BodyPartExamined": "CHEST",
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "SliceThickness": 5}


@pytest.mark.parametrize(("slices", "note"), [
    (64, "chest_ct reads 64 of 64 objects (thinnest axial of 1: 5 mm, 64 slices)"),
    (1, "chest_ct takes it and ends undetermined: No axial series has ")])
def test_what_would_end_undetermined_is_not_said_to_be_read(slices: int, note: str) -> None:
    study = study_alone("SITE", [instance("ct", n, TAGS, "1.2", "1.2.3") for n in range(slices)])
    told = explain(study, [Route(name="ct", when={"Modality": "CT"}, pipeline="chest_ct")], {"chest_ct": PIPELINE})
    assert told.rules[0][1]
    assert told.note.startswith(note)
