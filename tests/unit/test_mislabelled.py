"""Data sets in another transfer syntax than was announced: kept under a header that says what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLosslessSV1

from adapters.dicom.content import part10
from adapters.dicom.content.tags import tag_streamer
from adapters.files.store import FileObjectStore
from gateway.errors import Mislabelled
from gateway.intake import Gate, ObjectIntake
from gateway.ports import Outcome
from gateway.study import Instance, Sender
from tests.dicom_objects import part10_bytes, slice_dataset

SENDER = Sender("dicom", "CT", "127.0.0.1")
BOTH = [(ExplicitVRLittleEndian, ImplicitVRLittleEndian), (ImplicitVRLittleEndian, ExplicitVRLittleEndian)]


class Listed:
    """An index that keeps what it is told."""

    def __init__(self) -> None:
        self.instances: list[Instance] = []

    def add(self, instance: Instance, *, conflict: bool) -> None:
        assert not conflict
        self.instances.append(instance)


@pytest.fixture
def index() -> Listed:
    return Listed()


@pytest.fixture
def intake(tmp_path: Path, index: Listed) -> ObjectIntake:
    return ObjectIntake(FileObjectStore(tmp_path / "objects", 0), tag_streamer(), index, Gate())


def data_set(syntax: str) -> tuple[part10.FileMeta, bytes]:
    dataset = slice_dataset()
    header, _ = part10.split(part10_bytes(dataset))
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, syntax == ImplicitVRLittleEndian
    write_dataset(file, dataset)
    return part10.parse(header), bytes(file.getvalue())


def is_kept_as(syntax: str, content: bytes, index: Listed) -> None:
    (instance,) = index.instances
    file = Path(instance.path).read_bytes()
    header, kept = part10.split(file)
    assert (part10.parse(header).transfer_syntax_uid, kept) == (syntax, content)
    assert instance.transfer_syntax_uid == syntax
    assert dcmread(instance.path).pixel_array.any() or dcmread(instance.path).PixelData


@pytest.mark.parametrize(("announced", "written"), BOTH)
def test_an_object_that_came_whole(intake: ObjectIntake, index: Listed, announced: str, written: str) -> None:
    meta, content = data_set(written)
    reception = intake.bring(SENDER, part10.build(meta._replace(transfer_syntax_uid=announced)), [content], {})
    reception.finish()
    reception.abort()
    is_kept_as(written, content, index)


@pytest.mark.parametrize(("announced", "written"), BOTH)
def test_an_object_that_came_in_pieces(intake: ObjectIntake, index: Listed, announced: str, written: str) -> None:
    meta, content = data_set(written)
    header = part10.build(meta._replace(transfer_syntax_uid=announced))
    assert intake.take(SENDER, header, [content[:100], content[100:]]).outcome is Outcome.STORED
    assert intake.take(SENDER, header, [content[:100], content[100:]]).outcome is Outcome.DUPLICATE
    index.instances.pop()
    is_kept_as(written, content, index)


def test_an_object_whose_first_piece_is_too_short_to_show_it_is_refused(intake: ObjectIntake, tmp_path: Path) -> None:
    meta, content = data_set(ImplicitVRLittleEndian)
    with pytest.raises(Mislabelled):
        intake.take(SENDER, part10.build(meta), [content[:4], content[4:]])
    assert not list(tmp_path.rglob("*.dcm"))


def test_where_no_syntax_says_it_the_object_is_kept_as_announced(intake: ObjectIntake, index: Listed) -> None:
    meta, content = data_set(ImplicitVRLittleEndian)
    intake.take(SENDER, part10.build(meta._replace(transfer_syntax_uid=JPEGLosslessSV1)), [content])
    assert index.instances[0].transfer_syntax_uid == JPEGLosslessSV1
