"""The Part 10 header: what we write is what pydicom reads, and broken ones are refused."""

from __future__ import annotations

import io

import pydicom
import pytest

from adapters.dicom.content import part10
from gateway.errors import Unreadable
from tests.dicom_objects import part10_bytes, slice_dataset

META = part10.FileMeta("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", "1.2.840.10008.1.2.1", "CT-SCANNER")


def test_what_is_built_reads_back_here_and_in_pydicom() -> None:
    header = part10.build(META)
    assert part10.parse(header) == META
    assert part10.header_length(header) == len(header)
    read = pydicom.dcmread(io.BytesIO(header)).file_meta
    assert read.MediaStorageSOPInstanceUID == META.sop_instance_uid
    assert read.FileMetaInformationGroupLength == len(header) - 144
    assert read.ImplementationClassUID == part10.IMPLEMENTATION_CLASS_UID
    assert read.SourceApplicationEntityTitle == META.source_ae_title


def test_split_gives_back_all_bytes() -> None:
    content = part10_bytes(slice_dataset())
    header, dataset = part10.split(content)
    assert header + dataset == content
    assert part10.parse(header).sop_instance_uid == slice_dataset().SOPInstanceUID


@pytest.mark.parametrize("content", [b"", b"DICM", bytes(128) + b"DICX", bytes(128) + b"DICM",
                                     part10.build(META)[:-3], part10.build(META)[:147]])
def test_what_is_no_part_10_file_is_refused(content: bytes) -> None:
    with pytest.raises(Unreadable):
        part10.parse(content)
