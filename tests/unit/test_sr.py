"""What the structured report holds, read with pydicom and highdicom."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from highdicom.sr import srread
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from adapters.dicom.content.sr import StructuredReportEncoder
from adapters.dicom.content.sr_reader import items
from gateway.case import Completeness, Reading
from gateway.codes import Code
from gateway.documents import require_agreement
from gateway.errors import Permanent
from gateway.identity import document_series_uid, document_uid
from gateway.result import Finding, ImageRegion, Measurement, WaveformRegion
from tests import builders
from tests.builders import reading
from tests.real_studies import study_of


def report(of: Reading) -> Dataset:
    return dcmread(BytesIO(StructuredReportEncoder().encode(of, None, "").content))


def texts(ds: Dataset, meaning: str) -> list[str]:
    return [i.TextValue for i in items(ds)
            if i.ValueType == "TEXT" and i.ConceptNameCodeSequence[0].CodeMeaning == meaning]


def coded(ds: Dataset, meaning: str) -> list[str]:
    return [i.ConceptCodeSequence[0].CodeValue for i in items(ds)
            if i.ValueType == "CODE" and i.ConceptNameCodeSequence[0].CodeMeaning == meaning]


def evidence(ds: Dataset) -> list[str]:
    return [r.ReferencedSOPInstanceUID for study in ds.CurrentRequestedProcedureEvidenceSequence
            for series in study.ReferencedSeriesSequence for r in series.ReferencedSOPSequence]


def groups(ds: Dataset) -> dict[str, Dataset]:
    found = [i for i in items(ds) if i.ValueType == "CONTAINER" and "ContentSequence" in i]
    return {i.ContentSequence[0].TextValue: i for i in found if i.ContentSequence[0].ValueType == "TEXT"}


def numbers(group: Dataset) -> dict[str, tuple[float, str]]:
    return {i.ConceptNameCodeSequence[0].CodeMeaning: (
        float(i.MeasuredValueSequence[0].NumericValue),
        i.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue)
        for i in group.ContentSequence if i.ValueType == "NUM"}


def test_identities_come_from_the_run() -> None:
    of = reading("ct")
    document, ds = StructuredReportEncoder().encode(of, None, ""), report(of)
    assert document.identity == ds.SOPInstanceUID == document_uid(of.run.run_id, "sr")
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert document.sop_class_uid == ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    assert ds.SeriesInstanceUID == document_series_uid(of.run.run_id, "sr")


def test_patient_study_and_order_come_from_the_source() -> None:
    ds = report(reading("ct"))
    assert (str(ds.PatientName), ds.PatientID, ds.IssuerOfPatientID) == ("Muster^Erika^^Dr.", "P-1001", "HOSP")
    assert (ds.PatientBirthDate, ds.PatientSex, ds.StudyID) == ("19611112", "F", "S1")
    assert (ds.StudyDate, ds.StudyTime, ds.AccessionNumber) == ("20260314", "101500", "ACC-77")
    assert str(ds.ReferringPhysicianName) == "House^Gregory"
    (request,) = ds.ReferencedRequestSequence
    assert request.PlacerOrderNumberImagingServiceRequest == "PL-1"
    assert request.RequestedProcedureCodeSequence[0].CodeValue == "24627-2"


def test_flags_say_it_is_no_physicians_report() -> None:
    ds = report(reading("ct"))
    assert (ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag) == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")
    assert "VerifyingObserverSequence" not in ds


@pytest.mark.parametrize(("timezone", "tags", "expected"), [
    ("UTC", {}, ("20260314", "092653.589793", "+0000")),
    ("Europe/Berlin", {}, ("20260314", "102653.589793", "+0100")),
    ("Asia/Kolkata", {}, ("20260314", "145653.589793", "+0530")),
    ("America/New_York", {}, ("20260314", "052653.589793", "-0400")),
    ("Pacific/Auckland", {}, ("20260314", "222653.589793", "+1300")),
    ("Europe/Berlin", {"TimezoneOffsetFromUTC": "-0300"}, ("20260314", "062653.589793", "-0300")),
    ("Europe/Berlin", {"TimezoneOffsetFromUTC": "CET"}, ("20260314", "102653.589793", "+0100")),
])
def test_content_time_is_the_runs_in_one_offset(timezone: str, tags: dict[str, Any], expected: tuple[str, ...]) -> None:
    ds = report(reading("ct", timezone=timezone, study_fields={"tags": tags}))
    assert (ds.ContentDate, ds.ContentTime, ds.TimezoneOffsetFromUTC) == expected


def test_the_offset_holds_for_the_copied_study_time_too() -> None:
    """A study of last summer, read in winter: its own time must not move by an hour."""
    ds = report(reading("ct", timezone="Europe/Berlin", study_fields={"tags": {"StudyDate": "20250714"}}))
    assert (ds.StudyDate, ds.StudyTime, ds.TimezoneOffsetFromUTC) == ("20250714", "101500", "+0200")
    told = datetime.strptime(ds.ContentDate + ds.ContentTime + ds.TimezoneOffsetFromUTC, "%Y%m%d%H%M%S.%f%z")
    assert told.astimezone(UTC) == builders.CREATED_AT


def test_one_group_for_each_finding_with_all_it_needs() -> None:
    of = reading("ct")
    ds = report(of)
    held = groups(ds)
    assert list(held) == ["Triage result", *(f.label for f in of.result.findings), "Measurements"]
    uids = {next(i.UID for i in g.ContentSequence if i.ValueType == "UIDREF") for g in held.values()}
    assert len(uids) == len(held)
    assert numbers(held["opacity"]) == {"Probability": (0.9137, "1"), "Threshold Value": (0.5, "1"),
                                        "Diameter": (31.5, "mm")}
    assert numbers(held["nodule"]) == {"Probability": (0.06, "1"), "Threshold Value": (0.5, "1")}
    assert coded(held["opacity"], "Finding") == ["95436008"]
    assert coded(held["opacity"], "Presence of property") == ["52101004"]
    assert coded(held["nodule"], "Presence of property") == ["2667000"]
    assert numbers(held["Measurements"]) == {"Opacified share of the lungs": (0.031, "1")}
    assert texts(held["opacity"], "Algorithm Name") == ["chest_ct_classifier"]
    assert texts(held["opacity"], "Algorithm Version") == ["1"]
    assert any("ab" * 32 in p for p in texts(held["opacity"], "Algorithm Parameters"))


def test_tracking_uids_stay_over_the_runs_of_a_case_and_differ_between_cases() -> None:
    def uids(of: Reading) -> list[str]:
        return [i.UID for i in items(report(of)) if i.ValueType == "UIDREF"]

    of = reading("ct")
    assert uids(of) == uids(replace(of, run=replace(of.run, run_id="f" * 24)))
    assert not set(uids(of)[1:]) & set(uids(replace(of, run=replace(of.run, case_id="e" * 20)))[1:])


@pytest.mark.parametrize(("verdict", "code"), [
    ("normal", "17621005"), ("pathology", "263654008"), ("undetermined", "373068000")])
def test_the_verdict_is_one_code_in_the_overall_group(verdict: str, code: str) -> None:
    ds = report(reading("ecg", verdict))
    assert coded(ds, "Overall Assessment") == coded(groups(ds)["Triage result"], "Overall Assessment") == [code]


def test_sentences_for_people() -> None:
    ds = report(reading("ct", "undetermined", completeness=Completeness.PARTIAL))
    assert texts(ds, "Comment") == [
        "Not analysed to the end: this is not a normal result", "The study is incomplete",
        "Demonstration model, not for clinical use", "For decision support; to be confirmed by a physician"]
    assert texts(ds, "Quality problem") == ["Only 4 slices, 20 are needed."]
    assert texts(report(reading("ecg", "normal")), "Comment") == [
        "For decision support; to be confirmed by a physician"]


def test_russian_sentences_and_language_code() -> None:
    ds = report(reading("ecg", language="ru"))
    assert coded(ds, "Language of Content Item and Descendants") == ["ru"]
    assert texts(ds, "Comment") == ["Для поддержки принятия решений; требует подтверждения врачом"]
    assert ds.SeriesDescription == "Отчёт ИИ-сортировки"


def test_nothing_scored_names_no_risk() -> None:
    of = reading("ct", "undetermined", findings=(), result_fields={"measurements": (), "evidence": ()})
    ds = report(of)
    assert not [i for i in items(ds) if i.ValueType == "NUM"]
    assert StructuredReportEncoder().read_back(StructuredReportEncoder().encode(of, None, "")).risk is None
    assert len(evidence(ds)) == 64, "what was looked at is named all the same"


@pytest.mark.parametrize("count", [1, 64, 300])
def test_evidence_lists_every_instance_that_was_read(count: int) -> None:
    of = reading("ct", study_fields={"instances": count})
    assert sorted(evidence(report(of))) == sorted(of.result.evidence)


def test_evidence_of_two_series_stands_in_two_items() -> None:
    one, two = builders.study("ct", instances=3), builders.study("ecg", study_uid="1.2.3")
    both = replace(one, series=one.series + two.series)
    of = reading("ct", study=both)
    (study,) = report(of).CurrentRequestedProcedureEvidenceSequence
    assert [len(s.ReferencedSOPSequence) for s in study.ReferencedSeriesSequence] == [3, 1]
    assert {s.SeriesInstanceUID for s in study.ReferencedSeriesSequence} == {s.series_instance_uid for s in both.series}


def region_finding(of: Reading, region: ImageRegion | WaveformRegion) -> Reading:
    first, *others = of.result.findings
    return replace(of, result=replace(of.result, findings=(replace(first, region=region), *others)))


def test_an_image_region_is_a_closed_rectangle_on_its_image() -> None:
    of = reading("ct")
    (scoord,) = [i for i in items(report(of)) if i.ValueType == "SCOORD"]
    assert scoord.GraphicType == "POLYLINE"
    assert list(scoord.GraphicData) == [100.5, 120, 180, 120, 180, 200.25, 100.5, 200.25, 100.5, 120]
    (image,) = scoord.ContentSequence
    region = of.result.findings[0].region
    assert region is not None
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == region.sop_instance_uid
    assert "ReferencedFrameNumber" not in image.ReferencedSOPSequence[0]


def test_a_region_of_a_multi_frame_image_names_its_frame() -> None:
    of = reading("ct", study_fields={"instances": 1, "tags": {"NumberOfFrames": 40}})
    uid = of.result.evidence[0]
    for frame in (1, 17):
        (scoord,) = [i for i in items(report(region_finding(of, ImageRegion(uid, 1, 2, 3, 4, frame))))
                     if i.ValueType == "SCOORD"]
        assert scoord.ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber == frame


def test_a_region_is_cut_to_its_image_and_refused_wholly_outside() -> None:
    of = reading("ct")
    uid = of.result.evidence[0]
    (scoord,) = [i for i in items(report(region_finding(of, ImageRegion(uid, 500, 10, 600, 20)))) if
                 i.ValueType == "SCOORD"]
    assert max(scoord.GraphicData[::2]) == 512
    with pytest.raises(Permanent):
        report(region_finding(of, ImageRegion(uid, 512, 10, 600, 20)))


def test_a_region_in_a_foreign_image_is_refused() -> None:
    with pytest.raises(Permanent):
        report(region_finding(reading("ct"), ImageRegion("1.2.3.4", 1, 1, 2, 2)))


def test_a_waveform_region_names_channels_and_span() -> None:
    ds = report(reading("ecg"))
    (span,) = [i for i in items(ds) if i.ValueType == "TCOORD"]
    assert (span.TemporalRangeType, list(span.ReferencedTimeOffsets)) == ("SEGMENT", [0.4, 2.6])
    (waveform,) = span.ContentSequence
    assert list(waveform.ReferencedSOPSequence[0].ReferencedWaveformChannels) == [1, 1, 1, 2, 1, 7]


def test_channels_without_a_span_stand_alone() -> None:
    of = reading("ecg")
    ds = report(region_finding(of, WaveformRegion(of.result.evidence[0], ((1, 7), (1, 8)))))
    waveforms = [i.ReferencedSOPSequence[0] for i in items(ds) if i.ValueType == "WAVEFORM"]
    (located,) = [w for w in waveforms if "ReferencedWaveformChannels" in w]
    assert list(located.ReferencedWaveformChannels) == [1, 7, 1, 8]
    assert not [i for i in items(ds) if i.ValueType == "TCOORD"]


def test_a_late_run_names_its_predecessor() -> None:
    ds = report(reading("ct", run_fields={"predecessor_run_id": "a" * 24, "predecessor_sr_uid": "2.25.77"}))
    (study,) = ds.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == document_series_uid("a" * 24, "sr")
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.77"
    assert "PredecessorDocumentsSequence" not in report(reading("ct"))


def test_every_model_is_contributing_equipment() -> None:
    models = (builders.model("ct"), builders.model("ecg", sha256="cd" * 32, version="7"))
    ds = report(reading("ct", result_fields={"provenance": builders.Provenance("chest_ct", "1.0.0", models)}))
    assert [(e.ManufacturerModelName, list(e.SoftwareVersions)) for e in ds.ContributingEquipmentSequence] == [
        ("chest_ct_classifier", ["1", "ab" * 32]), ("ecg_12lead", ["7", "cd" * 32])]
    assert texts(groups(ds)["opacity"], "Algorithm Name") == ["chest_ct_classifier + ecg_12lead"]


@pytest.mark.parametrize(("tags", "procedure", "expected"), [
    ({"Modality": "CT"}, None, "25045-6"), ({"Modality": "MR"}, None, "25056-3"),
    ({"Modality": "ECG"}, None, "11524-6"), ({"Modality": "XYZ"}, None, "363679005"),
    ({"Modality": "CT"}, ("24627-2", "LN", "CT Chest"), "24627-2")])
def test_procedure_reported(tags: dict[str, str], procedure: tuple[str, str, str] | None, expected: str) -> None:
    of = reading("ct", study_fields={"tags": tags}, procedure=procedure)
    assert coded(report(of), "Procedure reported") == [expected]


@pytest.mark.parametrize(("kind", "tags", "expected"), [
    ("ct", {"BodyPartExamined": "Chest "}, "816094009"), ("ct", {}, None), ("ct", {"BodyPartExamined": "ODD"}, None),
    ("ecg", {}, "80891009")])
def test_finding_site(kind: str, tags: dict[str, str], expected: str | None) -> None:
    held = coded(report(reading(kind, study_fields={"tags": tags})), "Finding Site")
    assert set(held) == ({expected} if expected else set())


@pytest.mark.parametrize("probability", [0.49999999, 0.5, 0.50000001, 1 / 3, 0.0, 1.0, 1e-9])
def test_rounding_never_contradicts_presence(probability: float) -> None:
    finding = Finding("x", Code("95436008", "SCT", "Consolidation"), "x", probability, 0.5, 0.1)
    of = reading("ct", "pathology", findings=(finding,))
    encoder = StructuredReportEncoder()
    require_agreement(of, [encoder.read_back(encoder.encode(of, None, ""))])
    told = numbers(groups(report(of))["x"])["Probability"][0]
    assert (told >= 0.5) == finding.present


def test_long_codes_and_meanings_fit() -> None:
    code = Code("a-code-longer-than-sixteen", "99TRIAGE", "M" * 90)
    of = reading("ct", result_fields={"measurements": (Measurement(code, 1.23456789, builders.NO_UNITS),)})
    item = next(i for i in groups(report(of))["Measurements"].ContentSequence if i.ValueType == "NUM")
    assert item.ConceptNameCodeSequence[0].LongCodeValue == code.value
    assert item.ConceptNameCodeSequence[0].CodeMeaning == "M" * 64
    assert item.MeasuredValueSequence[0].NumericValue == 1.23457


@pytest.mark.parametrize("odd", [
    {"StudyDate": "2026.03.14"}, {"StudyDate": "20261399", "StudyTime": "999999"}, {"StudyDate": ["20260314"]},
    {"StudyTime": "10:15:00"}, {"StudyID": "X" * 40}, {"PatientAge": "44"}, {"PatientWeight": "heavy"},
    {"ReferringPhysicianName": "A^B^C^D^E^F^G"}, {"StudyDescription": "Brust\\Lunge\nEins"}, {"StudyDate": None}])
def test_odd_source_tags_are_mended_or_left_out(odd: dict[str, Any]) -> None:
    ds = report(reading("ct", study_fields={"tags": odd}))
    assert ds.StudyDate in ("20260314", "")
    assert ds.StudyTime in ("101500", "")
    assert len(ds.StudyID) <= 16
    assert "PatientAge" not in ds
    assert "PatientWeight" not in ds
    assert str(ds.ReferringPhysicianName).count("^") <= 4
    assert ds.StudyDescription in ("Chest", "Brust Lunge Eins")


def test_highdicom_reads_an_image_report() -> None:
    of = reading("ct")
    read = srread(BytesIO(StructuredReportEncoder().encode(of, None, "").content))
    held = read.content.get_image_measurement_groups()
    assert [g.tracking_identifier for g in held] == ["Triage result", *(f.label for f in of.result.findings),
                                                     "Measurements"]


def test_a_real_electrocardiogram() -> None:
    path = get_testdata_file("waveform_ecg.dcm")
    of = reading("ecg", study=study_of([Path(str(path))]))
    encoder = StructuredReportEncoder()
    document = encoder.encode(of, None, "")
    require_agreement(of, [encoder.read_back(document)])
    ds = dcmread(BytesIO(document.content))
    source = dcmread(str(path))
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
        assert ds[keyword].value == source[keyword].value
    assert evidence(ds) == [source.SOPInstanceUID]


def test_damaged_bytes_never_pass() -> None:
    """Cut short or with wrong bytes, a report is refused or contradicts the result; nothing else is raised."""
    rng = random.Random(11)
    encoder, of = StructuredReportEncoder(), reading("ecg")
    document = encoder.encode(of, None, "")
    for _ in range(200):
        damaged = bytearray(document.content[: rng.randrange(200, len(document.content) * 4 // 5)])
        for _ in range(rng.randrange(5)):
            damaged[rng.randrange(132, len(damaged))] = rng.randrange(256)
        with pytest.raises(Permanent):  # Disagreement is one, too.
            require_agreement(of, [encoder.read_back(replace(document, content=bytes(damaged)))])
