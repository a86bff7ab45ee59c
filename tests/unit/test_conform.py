"""`conform` accepts what we emit and names what is wrong with what we would never emit."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread, dcmwrite

from adapters.dicom.content.conform import ConformReport, check_object, conform
from adapters.dicom.content.secondary_capture import SecondaryCaptureEncoder
from adapters.dicom.content.sr import StructuredReportEncoder
from adapters.dicom.content.sr_codes import PROBABILITY, TRACKING_UID
from adapters.dicom.content.sr_reader import child, items, measurement_groups
from adapters.files.json_document import JsonEncoder, check
from tests.builders import reading


def sr(kind: str = "ct") -> Dataset:
    return dcmread(BytesIO(StructuredReportEncoder().encode(reading(kind), None, "").content))


def sc() -> Dataset:
    return dcmread(BytesIO(SecondaryCaptureEncoder().encode(reading("ct"), None, "").content))


@pytest.mark.parametrize("make", [sr, lambda: sr("ecg"), sc])
def test_our_own_objects_are_sound(make: Callable[[], Dataset]) -> None:
    assert check_object(make(), {}) == []


def other_template(ds: Dataset) -> None:
    ds.ContentTemplateSequence[0].TemplateIdentifier = "2000"


def without(meaning: str) -> Callable[[Dataset], None]:
    def change(ds: Dataset) -> None:
        for parent in [ds, *items(ds)]:
            if "ContentSequence" in parent:
                parent.ContentSequence = [
                    i for i in parent.ContentSequence
                    if "ConceptNameCodeSequence" not in i or i.ConceptNameCodeSequence[0].CodeMeaning != meaning]

    change.__name__ = meaning
    return change


def no_groups(ds: Dataset) -> None:
    ds.ContentSequence = ds.ContentSequence[:-1]


def shared_tracking_uid(ds: Dataset) -> None:
    for group in measurement_groups(ds):
        tracking = child(group, TRACKING_UID)
        assert tracking is not None
        tracking.UID = "2.25.1"


def improbable(ds: Dataset) -> None:
    probability = next(p for g in measurement_groups(ds) if (p := child(g, PROBABILITY)) is not None)
    probability.MeasuredValueSequence[0].NumericValue = "1.5"


def no_evidence(ds: Dataset) -> None:
    del ds.CurrentRequestedProcedureEvidenceSequence


def evidence_lacks_one(ds: Dataset) -> None:
    region = next(i for i in items(ds) if i.ValueType == "IMAGE").ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    series = ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    series.ReferencedSOPSequence = [r for r in series.ReferencedSOPSequence if r.ReferencedSOPInstanceUID != region]


def open_region(ds: Dataset) -> None:
    scoord = next(i for i in items(ds) if i.ValueType == "SCOORD")
    scoord.GraphicData = list(scoord.GraphicData)[:-2]


def region_without_image(ds: Dataset) -> None:
    next(i for i in items(ds) if i.ValueType == "SCOORD").ContentSequence = []


def negative_region(ds: Dataset) -> None:
    scoord = next(i for i in items(ds) if i.ValueType == "SCOORD")
    scoord.GraphicData = [-1, *list(scoord.GraphicData)[1:-2], -1, scoord.GraphicData[-1]]


def verified(ds: Dataset) -> None:
    ds.VerificationFlag = "VERIFIED"


def no_equipment(ds: Dataset) -> None:
    del ds.ContributingEquipmentSequence


def latin(ds: Dataset) -> None:
    ds.SpecificCharacterSet = "ISO_IR 100"


def no_accession(ds: Dataset) -> None:
    del ds.AccessionNumber


def bad_uid(ds: Dataset) -> None:
    ds.StudyInstanceUID = "1.02.3"


def other_meta(ds: Dataset) -> None:
    ds.file_meta.MediaStorageSOPInstanceUID = "2.25.5"


@pytest.mark.parametrize(("change", "problem"), [
    (other_template, "the root container does not name TID 1500"),
    (without("Procedure reported"), "no Procedure Reported (121058, DCM)"),
    (without("Tracking Identifier"), "measurement group 1 has no Tracking Identifier"),
    (without("Tracking Unique Identifier"), "measurement group 2 has no Tracking Unique Identifier"),
    (without("Presence of property"), "the finding of measurement group 2 is neither present nor absent"),
    (without("Device Observer UID"), "no Device Observer UID (TID 1004)"),
    (improbable, "the finding of measurement group 2 has no probability in [0, 1]"),
    (shared_tracking_uid, "two measurement groups share a Tracking Unique Identifier"),
    (no_groups, "no measurement group"),
    (no_evidence, "no evidence is listed"),
    (evidence_lacks_one, "1 referenced instances are not listed as evidence"),
    (open_region, "an image region is not closed"),
    (region_without_image, "an image region names no image"),
    (negative_region, "an image region lies outside its image"),
    (verified, "Verification Flag is not UNVERIFIED"),
    (no_equipment, "no Contributing Equipment: the model is not named"),
    (latin, "Specific Character Set is not ISO_IR 192"),
    (no_accession, "AccessionNumber is missing (type 2: empty where unknown)"),
    (bad_uid, "StudyInstanceUID is no valid UID"),
    (other_meta, "the file meta information names another SOP instance"),
])
def test_what_is_wrong_with_a_report_is_named(change: Callable[[Dataset], None], problem: str) -> None:
    ds = sr()
    change(ds)
    assert problem in check_object(ds, {})


def test_a_span_that_runs_backward_is_named() -> None:
    ds = sr("ecg")
    next(i for i in items(ds) if i.ValueType == "TCOORD").ReferencedTimeOffsets = ["2", "1"]
    assert check_object(ds, {}) == ["a temporal region does not run forward from 0"]


def test_what_is_wrong_with_a_picture_is_named() -> None:
    ds = sc()
    ds.Rows += 1
    del ds.BurnedInAnnotation
    assert check_object(ds, {}) == ["Pixel Data is not as long as Rows, Columns and Samples per Pixel say",
                                    "Burned In Annotation does not say YES or NO"]


def image_of(of_region: Dataset, rows: int, path: Path) -> Path:
    reference = next(i for i in items(of_region) if i.ValueType == "IMAGE").ReferencedSOPSequence[0]
    ds = sc()
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = reference.ReferencedSOPInstanceUID
    ds.Rows, ds.Columns = rows, 512
    ds.PixelData = bytes(rows * 512 * 3)
    dcmwrite(path, ds)
    return path


@pytest.mark.parametrize(("rows", "problems"), [(512, ()), (150, ("an image region lies outside its image",))])
def test_regions_are_held_against_the_images_at_hand(tmp_path: Path, rows: int, problems: tuple[str, ...]) -> None:
    report = tmp_path / "report.dcm"
    report.write_bytes(StructuredReportEncoder().encode(reading("ct"), None, "").content)
    told = conform([report, image_of(dcmread(report), rows, tmp_path / "image.dcm")])
    assert told[0].problems == problems
    assert "own" in told[0].checked_by


def test_other_files_go_to_the_checker_of_their_suffix(tmp_path: Path) -> None:
    good, bad, none = tmp_path / "good.json", tmp_path / "bad.json", tmp_path / "gone.json"
    good.write_bytes(JsonEncoder().encode(reading("ecg"), None, "").content)
    bad.write_bytes(good.read_bytes().replace(b'"present": true', b'"present": false'))
    told = conform([good, bad, none], {".json": check})
    assert [r.problems for r in told] == [
        (), ("a finding's presence contradicts its threshold",), ("cannot be read (No such file or directory)",)]
    assert [r.sound for r in told] == [True, False, False]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\0" * 128 + b"DICM" + b"\xff" * 50])
def test_what_is_no_dicom_is_reported_not_raised(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.dcm"
    path.write_bytes(content)
    (told,) = conform([path])
    assert isinstance(told, ConformReport)
    assert told.problems
    assert told.problems[0].startswith("cannot be read as DICOM")


def test_without_validators_our_own_asserts_remain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "report.dcm"
    path.write_bytes(StructuredReportEncoder().encode(reading("ct"), None, "").content)
    (told,) = conform([path])
    assert (told.checked_by, told.problems) == (("own",), ())


def test_a_validators_word_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any program of that name will do: what is tested is how its lines are taken."""
    script = tmp_path / "dciodvfy"
    script.write_text("#!/bin/sh\necho 'Error - wrong' >&2\necho 'Warning - odd' >&2\nexit 0\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "report.dcm"
    path.write_bytes(StructuredReportEncoder().encode(reading("ct"), None, "").content)
    (told,) = conform([path])
    assert (told.checked_by, told.problems) == (("own", "dciodvfy"), ("dciodvfy: Error - wrong",))
