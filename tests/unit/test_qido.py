"""QIDO-RS: the standard's matching, what each level tells, paging, refusals in words."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from adapters.database.held_rows import MODALITIES
from adapters.dicom.content import qido
from adapters.dicom.content.secondary_capture import SecondaryCaptureEncoder
from adapters.dicom.content.sr import StructuredReportEncoder
from gateway.errors import Unreadable
from gateway.held import Level, Match, matches
from gateway.identity import document_series_uid
from tests import builders as b
from tests.dicom_objects import SERIES, STUDY, part10_bytes, slice_dataset
from tests.dicomweb import JSON, Archive, archive

ANNA, BORIS = "1.2.3.1", "1.2.3.2"


def made(study: str, series: int, number: int, **attributes: Any) -> bytes:
    dataset = slice_dataset(number, "ISO_IR 192")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.{series}"
    dataset.SOPInstanceUID = f"{study}.{series}.{number}"
    dataset.SeriesNumber, dataset.InstanceNumber = series, number
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return part10_bytes(dataset)


def result_of(study: str, **attributes: Any) -> bytes:
    return made(study, 99, 1, Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.34", **attributes)


def fill(kept: Archive) -> None:
    """Anna: two CT series, an MR and our report; Boris, who came later: one CT."""
    anna = {"PatientName": "Ivanova^Anna=Иванова^Анна", "PatientID": "P-7", "AccessionNumber": "A-7",
            "StudyDate": "20250131", "StudyTime": "081500", "StudyID": "S7", "ReferringPhysicianName": "Petrov^P"}
    kept.keep(*(made(ANNA, series, number, **anna) for series in (1, 2) for number in (1, 2, 3)))
    kept.keep(made(ANNA, 3, 1, **(anna | {"Modality": "MR"})))
    kept.keep(made(BORIS, 1, 1, PatientName="Smith_Jones^Boris", PatientID="P%8", StudyDate="20250201",
                   AccessionNumber="A-8"))
    kept.keep_result(ANNA, result_of(ANNA))


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with archive(tmp_path_factory.mktemp("qido")) as kept:
        fill(kept)
        yield kept


async def studies(held: Archive, **parameters: Any) -> list[str]:
    return [str(d.StudyInstanceUID) for d in await found(held, "studies", **parameters)]


async def found(held: Archive, path: str, **parameters: Any) -> list[Dataset]:
    response = await held.get(path, JSON, **parameters)
    assert response.status_code in (200, 204), response.text
    if response.status_code == 204:
        assert response.content == b""
        return []
    assert response.headers["content-type"] == JSON
    return [Dataset.from_json(one) for one in response.json()]


QUERIES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, [BORIS, ANNA]),
    ({"StudyInstanceUID": f"{ANNA},{BORIS}"}, [BORIS, ANNA]), ({"0020000D": ANNA}, [ANNA]),
    ({"StudyInstanceUID": "1.2.3"}, []),
    ({"PatientID": "P-7"}, [ANNA]), ({"PatientID": "P%8"}, [BORIS]), ({"PatientID": "P?7"}, [ANNA]),
    ({"PatientID": "P%"}, []), ({"PatientID": "p-7"}, []), ({"AccessionNumber": "A-*"}, [BORIS, ANNA]),
    ({"PatientName": "ivanova^anna"}, [ANNA]), ({"PatientName": "Иванова*"}, []),
    ({"PatientName": "*иванова*"}, [ANNA]),
    ({"PatientName": "Ivanova"}, []), ({"PatientName": "Smith_*"}, [BORIS]), ({"PatientName": "Smith?Jones*"}, [BORIS]),
    ({"StudyDate": "20250131"}, [ANNA]), ({"StudyDate": "20250101-20250131"}, [ANNA]),
    ({"StudyDate": "20250201-"}, [BORIS]), ({"StudyDate": "-20250131"}, [ANNA]), ({"StudyDate": "20240101"}, []),
    ({"StudyTime": "08"}, [ANNA]), ({"StudyTime": "0900-"}, []), ({"StudyTime": "08:15-08:16"}, [ANNA]),
    ({"StudyID": "S7"}, [ANNA]), ({"ReferringPhysicianName": "petrov*"}, [ANNA]),
    ({"ModalitiesInStudy": "MR"}, [ANNA]), ({"ModalitiesInStudy": "CT"}, [BORIS, ANNA]),
    ({"ModalitiesInStudy": "SR"}, [ANNA]), ({"ModalitiesInStudy": "US"}, []),
    ({"PatientID": "P-7", "StudyDate": "20250201"}, []), ({"PatientName": "*"}, [BORIS, ANNA]),
    ({"PatientName": ""}, [BORIS, ANNA]), ({"limit": 1}, [BORIS]), ({"limit": 1, "offset": 1}, [ANNA]),
    ({"offset": 2}, []), ({"limit": 0}, []), ({"ModalitiesInStudy": "CT", "offset": 1}, [ANNA])]


BELOW: list[tuple[str, dict[str, Any], list[str]]] = [
    ("series", {"Modality": "MR"}, [f"{ANNA}.3"]), ("series", {"Modality": "M*"}, [f"{ANNA}.3"]),
    ("series", {"SeriesNumber": "2"}, [f"{ANNA}.2"]), ("series", {"SeriesNumber": "02"}, []),
    ("series", {"Modality": "CT", "StudyDate": "20250201"}, [f"{BORIS}.1"]), ("series", {"Modality": "US"}, []),
    ("instances", {"InstanceNumber": "3"}, [f"{ANNA}.1.3", f"{ANNA}.2.3"]),
    ("instances", {"SeriesNumber": "99"}, [f"{ANNA}.99.1"]),
    ("instances", {"Modality": "SR", "InstanceNumber": "1"}, [f"{ANNA}.99.1"]),
    ("instances", {"SeriesInstanceUID": f"{ANNA}.2", "InstanceNumber": "1"}, [f"{ANNA}.2.1"]),
    ("instances", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.34"}, [f"{ANNA}.99.1"]),
    ("instances", {"ImageType": "AXIAL", "PatientID": "P%8"}, [f"{BORIS}.1.1"]),
    ("instances", {"SliceThickness": "5", "StudyDate": "20250201"}, [f"{BORIS}.1.1"]),
    ("instances", {"SOPInstanceUID": f"{BORIS}.1.1", "Modality": "MR"}, [])]


@pytest.mark.slow
@pytest.mark.parametrize(("parameters", "expected"), QUERIES)
async def test_studies_are_matched_as_the_standard_says(held: Archive, parameters: dict[str, Any],
                                                        expected: list[str]) -> None:
    assert await studies(held, **parameters) == expected


async def test_a_study_tells_its_counts_and_where_it_is(held: Archive) -> None:
    (told,) = await found(held, "studies", PatientID="P-7")
    assert (told.NumberOfStudyRelatedSeries, told.NumberOfStudyRelatedInstances) == (4, 8)
    assert (told.ModalitiesInStudy, told.InstanceAvailability) == (["CT", "MR", "SR"], "ONLINE")
    assert told.RetrieveURL == f"http://gateway/dicom-web/studies/{ANNA}"
    assert told.PatientName == "Ivanova^Anna=Иванова^Анна"


async def test_series_and_instances_of_a_study(held: Archive) -> None:
    series = await found(held, f"studies/{ANNA}/series")
    assert [(s.Modality, s.NumberOfSeriesRelatedInstances) for s in series] == [
        ("CT", 3), ("CT", 3), ("MR", 1), ("SR", 1)]
    assert "PatientID" not in series[0], "what the URL names is not told again"
    assert [s.SeriesNumber for s in await found(held, f"studies/{ANNA}/series", Modality="CT", SeriesNumber=2)] == [2]
    inside = await found(held, f"studies/{ANNA}/series/{ANNA}.2/instances", InstanceNumber="3")
    assert [str(i.SOPInstanceUID) for i in inside] == [f"{ANNA}.2.3"]
    assert (inside[0].Rows, inside[0].AvailableTransferSyntaxUID) == (16, "1.2.840.10008.1.2.1")
    everything = await found(held, f"studies/{ANNA}/instances")
    assert [str(i.SOPInstanceUID) for i in everything[-2:]] == [f"{ANNA}.3.1", f"{ANNA}.99.1"], "results come last"


async def test_relational_searches_tell_the_study_and_page_alike(held: Archive) -> None:
    everything = [str(i.SOPInstanceUID) for i in await found(held, "instances")]
    assert len(everything) == 9
    paged = [str(i.SOPInstanceUID) for offset in range(0, 9, 2)
             for i in await found(held, "instances", limit=2, offset=offset)]
    assert paged == everything
    (one,) = await found(held, "instances", SOPInstanceUID=f"{ANNA}.99.1")
    assert (one.PatientID, one.Modality) == ("P-7", "SR")
    assert [s.Modality for s in await found(held, "series", Modality="MR")] == ["MR"]


@pytest.mark.parametrize(("level", "parameters", "expected"), BELOW)
async def test_what_lies_below_studies_is_matched(held: Archive, level: str, parameters: dict[str, Any],
                                                  expected: list[str]) -> None:
    keyword = "SOPInstanceUID" if level == "instances" else "SeriesInstanceUID"
    told = [str(getattr(d, keyword)) for d in await found(held, level, **parameters)]
    assert told == expected


async def test_the_series_of_a_result_is_found(held: Archive) -> None:
    (one,) = await found(held, "instances", SOPInstanceUID=f"{ANNA}.99.1")
    (series,) = await found(held, "series", SeriesInstanceUID=one.SeriesInstanceUID)
    assert (series.Modality, series.SeriesNumber, series.PatientID) == ("SR", 99, "P-7")
    both = await found(held, "series", SeriesInstanceUID=f"{one.SeriesInstanceUID},{BORIS}.1")
    assert [s.Modality for s in both] == ["CT", "SR"]


@pytest.mark.parametrize(("encoder", "kind"), [(StructuredReportEncoder(), "sr"), (SecondaryCaptureEncoder(), "sc")])
def test_what_is_told_of_results_without_opening_them_is_true(encoder: Any, kind: str) -> None:
    """The index knows a document's series and modality by its run and kind."""
    reading = b.reading("ct")
    document = encoder.encode(reading, None, "")
    dataset = dcmread(io.BytesIO(document.content))
    assert dataset.SeriesInstanceUID == document_series_uid(reading.run.run_id, kind)
    assert (dataset.Modality, dataset.InstanceNumber) == (MODALITIES[kind], 1)
    assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


async def test_fields_are_included_from_the_index_and_from_the_object(held: Archive) -> None:
    path = f"studies/{ANNA}/series/{ANNA}.1/instances"
    told = (await found(held, path, includefield="PatientSex,00280004,HighBit,PatientAge"))[0]
    assert (told.PatientSex, told.PhotometricInterpretation, told.HighBit) == ("F", "MONOCHROME2", 15)
    assert told.PatientAge is None or told.PatientAge == ""
    whole = (await found(held, path, includefield="all"))[0]
    assert whole.PixelSpacing == [0.5, 0.5]
    assert "PixelSpacing" not in (await found(held, "studies", includefield="all"))[0]


@pytest.mark.parametrize("parameters", [
    {"NoSuchThing": "1"}, {"Modality": "CT"}, {"SOPInstanceUID": "1.2"}, {"StudyDate": "yesterday"},
    {"StudyDate": "2025-01-31"}, {"StudyDate": "-"}, {"StudyInstanceUID": "abc"}, {"limit": "-1"}, {"limit": "many"},
    {"offset": "1e3"}, {"fuzzymatching": "perhaps"}, {"includefield": "NoSuchThing"}, {"PatientID": "x" * 5000},
    {"PatientID": "a\0b"}, {"ReferencedStudySequence": "1"}, {"limit": "9" * 30}, {"StudyTime": "8"}])
async def test_what_cannot_be_read_is_refused_in_words(held: Archive, parameters: dict[str, Any]) -> None:
    response = await held.get("studies", JSON, **parameters)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    detail = response.json()["detail"]
    assert detail.endswith(".")
    assert not any(len(str(v)) > 2 and str(v) in detail for v in parameters.values()), "values are not repeated"


async def test_what_is_not_supported_is_warned_of(held: Archive) -> None:
    response = await held.get("studies", JSON, fuzzymatching="true", PatientID="P-7")
    assert "literal matching" in response.headers["warning"]
    assert (await held.get("studies", JSON)).headers.get("warning") is None
    assert (await held.get("studies", JSON, limit=1)).headers.get("warning") is None
    assert (await held.get("studies", "application/dicom+xml")).status_code == 406
    assert (await held.get("studies/x/series")).status_code == 400


async def test_more_than_is_told_at_once_is_warned_of(held: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qido, "DEFAULT_LIMIT", 1)
    assert "Additional results can be requested" in (await held.get("studies", JSON)).headers["warning"]


async def test_an_object_that_came_with_other_content_is_told_once(tmp_path: Path) -> None:
    with archive(tmp_path) as held:
        held.keep(part10_bytes(slice_dataset(1)), part10_bytes(slice_dataset(1, name="Roe^Richard")))
        (told,) = await found(held, f"studies/{STUDY}/instances")
        assert str(told.SOPInstanceUID) == f"{SERIES}.1"
        assert (await found(held, "studies"))[0].NumberOfStudyRelatedInstances == 1


def test_parameters_become_matching_keys() -> None:
    told = qido.parse(Level.SERIES, [("00100010", "Doe^J*"), ("RequestAttributesSequence.RequestedProcedureID", "R1"),
                                     ("SeriesInstanceUID", "1.2\\1.3"), ("StudyDate", "20250101-")])
    assert told.query.matching == (
        Match("PatientName", ("Doe^J*",), wildcards=True, name=True),
        Match("RequestAttributesSequence.RequestedProcedureID", ("R1",), wildcards=True),
        Match("SeriesInstanceUID", ("1.2", "1.3")), Match("StudyDate", between=("20250101", "")))
    with pytest.raises(Unreadable):
        qido.parse(Level.STUDY, [("RequestAttributesSequence.RequestedProcedureID", "R1")])


def test_matching_is_a_pure_function_of_tags() -> None:
    tags = {"SeriesNumber": 7, "SliceThickness": 2.5, "ImageType": ["ORIGINAL", "AXIAL"], "Modality": "CT",
            "RequestAttributesSequence": [{"RequestedProcedureID": "R1"}, {"RequestedProcedureID": "R2"}]}
    agree = [Match("SeriesNumber", ("7",)), Match("SliceThickness", ("2.50",)), Match("ImageType", ("AXIAL",)),
             Match("RequestAttributesSequence.RequestedProcedureID", ("R2",)),
             Match("Modality", ("C?",), wildcards=True)]
    assert matches(tags, agree)
    for other in (Match("SeriesNumber", ("8",)), Match("Modality", ("C?",)), Match("Rows", ("16",)),
                  Match("RequestAttributesSequence.RequestedProcedureID", ("R3",)), Match("Modality", ("ct",))):
        assert not matches(tags, [*agree, other])
