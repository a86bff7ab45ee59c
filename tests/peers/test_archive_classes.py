"""Fetching by C-GET from an archive that leaves SOP Class UID out of its answers, as DCMTK's dcmqrscp does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.dicom.transport import retrieve
from adapters.dicom.transport.requestor import associated
from adapters.dicom.transport.retrieve import DicomArchive
from adapters.dicom.transport.scu import send_files
from adapters.files.store import FileObjectStore
from gateway.fetching import ArchivedInstance, Fetched
from tests.dicom_intake import StoreIntake
from tests.dicom_objects import STUDY, part10_bytes, slice_dataset
from tests.peers.archives import configured, dcmqrscp
from tests.peers.dcmtk import free_port

pytestmark = pytest.mark.peer
_STORAGE = "1.2.840.10008.5.1.4.1.1."
ECG, SOUND, SR, KEY_OBJECTS, CT = "9.1.1", "9.4.2", "88.11", "88.59", "2"
ACUITY, RADIATION = "78.5", "481.4"


@contextmanager
def holding(folder: Path, *classes: str) -> Iterator[tuple[DicomArchive, StoreIntake]]:
    """An archive with a study of one object (and a series) for each class, and one more of the last."""
    intake = StoreIntake(FileObjectStore(folder / "objects", 0))
    with dcmqrscp(folder / "pacs", free_port()) as port:
        paths = []
        for number, end in enumerate([*classes, classes[-1]]):
            dataset = slice_dataset()
            dataset.SOPClassUID = _STORAGE + end
            dataset.SeriesInstanceUID = f"{STUDY}.{end}"
            dataset.SOPInstanceUID = f"{STUDY}.{end}.{number}"
            paths.append(folder / f"{number}.dcm")
            paths[-1].write_bytes(part10_bytes(dataset))
        assert not send_files("127.0.0.1", port, "TRIAGE", "QR", paths).failures
        yield DicomArchive(configured(port, "QR", retrieve="get"), intake, "TRIAGE"), intake


@pytest.fixture
def proposed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many presentation contexts each association for C-GET asked for."""
    numbers: list[int] = []

    def counted(peer: Any, contexts: Any, *more: Any) -> Any:
        numbers.append(len(contexts))
        return associated(peer, contexts, *more)

    monkeypatch.setattr(retrieve, "associated", counted)
    return numbers


def taken(intake: StoreIntake) -> set[str]:
    return {tags["SOPClassUID"].removeprefix(_STORAGE) for _, _, tags in intake.taken}


def test_what_is_usual_comes_by_one_association(tmp_path: Path, proposed: list[int]) -> None:
    classes = (CT, SOUND, SR, KEY_OBJECTS, ECG)
    with holding(tmp_path, *classes) as (archive, intake):
        held = archive.instances(STUDY)
        assert {one.sop_class_uid for one in held} == {""}
        assert archive.fetch(STUDY, held, held) == Fetched(6)
        assert taken(intake) == set(classes)
    assert len(proposed) == 1


@pytest.mark.parametrize("left_out", [0, 1])
def test_what_is_seldom_comes_by_a_second_association(left_out: int, tmp_path: Path, proposed: list[int]) -> None:
    """`left_out`: objects that are here already, so that each series is a request of its own."""
    with holding(tmp_path, ACUITY, RADIATION, ECG) as (archive, intake):
        held = archive.instances(STUDY)
        here = [one for one in held if one.series_instance_uid.endswith(ECG)][:left_out]
        wanted = [one for one in held if one not in here]
        assert archive.fetch(STUDY, wanted, held) == Fetched(len(wanted))
        assert taken(intake) == {ACUITY, RADIATION, ECG}
        assert len(intake.taken) == len(wanted)
    assert len(proposed) == 2
    assert max(proposed) <= 128


def test_what_the_archive_does_not_have_is_not_said_to_have_come(tmp_path: Path, proposed: list[int]) -> None:
    with holding(tmp_path, ECG) as (archive, intake):
        held = archive.instances(STUDY)
        wanted = [*held, ArchivedInstance(held[0].series_instance_uid, f"{STUDY}.404")]
        assert archive.fetch(STUDY, wanted, wanted).completed == 2
        assert len(intake.taken) == 2
    assert len(proposed) == 2
