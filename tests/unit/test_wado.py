"""WADO-RS: objects byte for byte and transcoded, metadata, frames, bulk data, rendered images, refusals in words."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian

from adapters.dicom.content import frames, transcode
from adapters.dicom.transport import answers
from adapters.dicom.transport.answers import Part
from tests.dicom_objects import SERIES, STUDY, UNCOMPRESSED, part10_bytes, slice_dataset
from tests.dicomweb import JSON, Archive, archive, parts_of

pytestmark = pytest.mark.slow
DICOM = 'multipart/related; type="application/dicom"'
AS_STORED = DICOM + "; transfer-syntax=*"
OCTETS = 'multipart/related; type="application/octet-stream"'
VARIANTS = {"MR_small.dcm": "1.2.840.10008.1.2.1", "MR_small_implicit.dcm": "1.2.840.10008.1.2",
            "MR_small_bigendian.dcm": "1.2.840.10008.1.2.2", "MR_small_RLE.dcm": "1.2.840.10008.1.2.5",
            "MR_small_jpeg_ls_lossless.dcm": "1.2.840.10008.1.2.4.80",
            "MR_small_jp2klossless.dcm": "1.2.840.10008.1.2.4.90"}
"""One MR image in several transfer syntaxes, all lossless."""
NATIVE = {"MR_small_RLE.dcm": "image/dicom-rle", "MR_small_jpeg_ls_lossless.dcm": "image/jls",
          "MR_small_jp2klossless.dcm": "image/jp2"}
MR_STUDY, MR_SERIES = "1.2.3", "1.2.3.1"


COLOUR_STUDY, DAMAGED_STUDY = "1.2.4", "1.2.5"
COLOURS = {"SC_rgb_rle.dcm": (255, 0, 0), "SC_rgb_jpeg_gdcm.dcm": (255, 0, 0),
           "SC_rgb_dcmtk_+eb+cy+s2.dcm": (254, 0, 0), "examples_palette.dcm": (37, 62, 94),
           "SC_rgb_small_odd_big_endian.dcm": (166, 141, 52)}
"""Colour images and their first pixel: RLE planes, JPEG Lossless, JPEG, palette, big endian."""
DAMAGES = ("truncated", "huge", "no-frames", "garbage")


def renamed(name: str, number: int, study: str = MR_STUDY) -> bytes:
    """A test file of pydicom as an instance of a study."""
    return written(dcmread(get_testdata_file(name)), number, study)


def damaged(kind: str, number: int) -> bytes:
    dataset = dcmread(get_testdata_file("MR_small_jp2klossless.dcm"))
    stream = frames.encoded_frame(frames.describe(Path(get_testdata_file("MR_small_jp2klossless.dcm"))), 1)
    if kind == "truncated":
        dataset.PixelData = encapsulate([stream[:200]])
    elif kind == "huge":
        dataset.Rows = dataset.Columns = 65535
    elif kind == "no-frames":
        dataset.NumberOfFrames = 500
    else:
        dataset.PixelData = encapsulate([bytes(len(stream))])
    return written(dataset, number, DAMAGED_STUDY)


def written(dataset: Dataset, number: int, study: str) -> bytes:
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{study}.1.{number}"
    dataset.InstanceNumber = number
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with archive(tmp_path_factory.mktemp("wado")) as kept:
        kept.keep(*(renamed(name, number) for number, name in enumerate(VARIANTS, start=1)))
        kept.keep(*(part10_bytes(slice_dataset(n), syntax) for n, syntax in enumerate(UNCOMPRESSED, start=1)))
        kept.keep(*(Path(get_testdata_file(name)).read_bytes() for name in ("waveform_ecg.dcm", "rtdose_rle.dcm")))
        kept.keep(*(renamed(name, number, COLOUR_STUDY) for number, name in enumerate(COLOURS, start=1)))
        kept.keep(*(damaged(kind, number) for number, kind in enumerate(DAMAGES, start=1)))
        yield kept


def url(name: str) -> str:
    return f"studies/{MR_STUDY}/series/{MR_SERIES}/instances/{MR_SERIES}.{list(VARIANTS).index(name) + 1}"


def mr_pixels() -> np.ndarray:
    return dcmread(get_testdata_file("MR_small.dcm")).pixel_array


# ---------------------------------------------------------------- objects


async def test_a_study_comes_byte_for_byte(held: Archive) -> None:
    for study in (MR_STUDY, STUDY):
        response = await held.get(f"studies/{study}", AS_STORED)
        assert response.status_code == 200
        kept = {Path(p).read_bytes() for uid, p in held.paths.items() if uid.startswith(study + ".")}
        told = parts_of(response)
        assert {body for _, body in told} == kept
        for head, body in told:
            syntax = dcmread(io.BytesIO(body), stop_before_pixels=True).file_meta.TransferSyntaxUID
            assert head["content-type"] == f"application/dicom; transfer-syntax={syntax}"


@pytest.mark.parametrize("accept", [DICOM, DICOM + "; transfer-syntax=1.2.840.10008.1.2.1", "*/*"])
async def test_the_default_is_explicit_little_endian(held: Archive, accept: str) -> None:
    told = parts_of(await held.get(f"studies/{MR_STUDY}", accept))
    assert len(told) == len(VARIANTS)
    for head, body in told:
        dataset = dcmread(io.BytesIO(body))
        assert head["content-type"].endswith(ExplicitVRLittleEndian)
        assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        np.testing.assert_array_equal(dataset.pixel_array, mr_pixels())
        kept = dcmread(held.paths[dataset.SOPInstanceUID])
        assert set(dataset.keys()) == {tag for tag in kept.keys() if tag.element}  # noqa: SIM118


async def test_deflated_and_big_endian_words_are_turned(held: Archive) -> None:
    for _, body in parts_of(await held.get(f"studies/{STUDY}", DICOM)):
        np.testing.assert_array_equal(dcmread(io.BytesIO(body)).pixel_array.ravel(), np.arange(256))


async def test_a_stored_transfer_syntax_is_given_and_another_refused(held: Archive) -> None:
    path = url("MR_small_jpeg_ls_lossless.dcm")
    stored = "1.2.840.10008.1.2.4.80"
    response = await held.get(path, f"{DICOM}; transfer-syntax={stored}")
    assert parts_of(response)[0][1] == Path(held.paths[path.rsplit("/", 1)[1]]).read_bytes()
    refused = await held.get(path, f"{DICOM}; transfer-syntax=1.2.840.10008.1.2.4.70")
    assert refused.status_code == 406
    assert stored in refused.json()["detail"]
    some = await held.get(f"studies/{MR_STUDY}", f"{DICOM}; transfer-syntax={stored}")
    assert some.status_code == 206
    assert len(parts_of(some)) == 1
    first = await held.get(path, f"{DICOM}; transfer-syntax={stored}; q=0.5, {DICOM}; transfer-syntax=*; q=0.9")
    assert first.status_code == 200


async def test_one_object_comes_without_parts_where_asked(held: Archive) -> None:
    response = await held.get(url("MR_small.dcm"), "application/dicom")
    assert response.headers["content-type"] == "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
    assert response.content == Path(held.paths[f"{MR_SERIES}.1"]).read_bytes()
    assert (await held.get(f"studies/{MR_STUDY}", "application/dicom")).status_code == 406


async def test_results_are_part_of_their_study_until_retention(tmp_path: Path) -> None:
    report = slice_dataset(1)
    report.SOPClassUID, report.Modality = "1.2.840.10008.5.1.4.1.1.88.34", "SR"
    report.SOPInstanceUID = f"{STUDY}.9.1"
    for keyword in ("Rows", "Columns"):
        delattr(report, keyword)
    image = part10_bytes(slice_dataset(1))
    with archive(tmp_path) as kept:
        kept.keep(image)
        made = kept.keep_result(STUDY, part10_bytes(report))
        series = dcmread(io.BytesIO(made)).SeriesInstanceUID
        assert [body for _, body in parts_of(await kept.get(f"studies/{STUDY}", AS_STORED))] == [image, made]
        assert parts_of(await kept.get(f"studies/{STUDY}/series/{series}", AS_STORED))[0][1] == made
        kept.retire(STUDY)
        left = await kept.get(f"studies/{STUDY}", AS_STORED)
        assert left.status_code == 206
        assert [body for _, body in parts_of(left)] == [made]
        gone = await kept.get(f"studies/{STUDY}/series/{SERIES}/instances/{SERIES}.1")
        assert gone.status_code == 410
        assert "retention" in gone.json()["detail"]
        assert (await kept.get("studies/1.2.4")).status_code == 404


async def test_files_out_of_reach_are_told_as_such(tmp_path: Path) -> None:
    with archive(tmp_path) as kept:
        kept.keep(part10_bytes(slice_dataset(1)), part10_bytes(slice_dataset(2)))
        Path(kept.paths[f"{SERIES}.1"]).unlink()
        some = await kept.get(f"studies/{STUDY}", AS_STORED)
        assert some.status_code == 206
        assert len(parts_of(some)) == 1
        away = await kept.get(f"studies/{STUDY}/series/{SERIES}/instances/{SERIES}.1/metadata")
        assert away.status_code == 503
        assert "retry-after" in away.headers


# ---------------------------------------------------------------- metadata and bulk data


async def test_metadata_are_the_object_with_its_bulk_data_by_reference(held: Archive) -> None:
    for name, syntax in VARIANTS.items():
        response = await held.get(url(name) + "/metadata", JSON)
        assert response.headers["content-type"] == JSON
        (told,) = response.json()
        kept = dcmread(held.paths[told["00080018"]["Value"][0]])
        assert told["00083002"]["Value"] == [syntax]
        assert set(told) - {"00083002"} == {f"{t:08X}" for t in kept.keys() if t.element}  # noqa: SIM118
        assert Dataset.from_json(told, lambda *_: b"").PatientName == kept.PatientName
        bulk = await held.get(told["7FE00010"]["BulkDataURI"].removeprefix("http://gateway/dicom-web/"), OCTETS)
        ((head, body),) = parts_of(bulk)
        assert head["content-type"] == "application/octet-stream"
        np.testing.assert_array_equal(np.frombuffer(body, "<i2").reshape(64, 64), mr_pixels())


async def test_metadata_of_a_study_are_told_while_they_are_read(held: Archive) -> None:
    told = (await held.get(f"studies/{MR_STUDY}/metadata")).json()
    assert [t["00200013"]["Value"][0] for t in told] == list(range(1, len(VARIANTS) + 1))
    assert all(t["00080005"]["Value"] == ["ISO_IR 192"] for t in told if "00080005" in t)


async def test_bulk_data_within_sequences(held: Archive) -> None:
    wave = dcmread(get_testdata_file("waveform_ecg.dcm"))
    here = place_of(wave)
    (told,) = (await held.get(here + "/metadata")).json()
    place = told["54000100"]["Value"][1]["54001010"]["BulkDataURI"]
    assert place.endswith("/bulkdata/54000100/2/54001010")
    response = await held.get(place.removeprefix("http://gateway/dicom-web/"), "application/octet-stream")
    assert response.content == wave.WaveformSequence[1].WaveformData
    every = parts_of(await held.get(here + "/bulkdata"))
    assert every[1][0]["content-location"] == place
    for wrong in ("54000100/9/54001010", "54000100", "00100010", "54000100/1/00000000", "%2e%2e/x", "zz", "0" * 8):
        assert (await held.get(f"{here}/bulkdata/{wrong}")).status_code == 404, wrong
    refused = await held.get(here + "/rendered")
    assert refused.status_code == 406
    assert "no image" in refused.json()["detail"]


def place_of(dataset: Dataset) -> str:
    return (f"studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
            f"/instances/{dataset.SOPInstanceUID}")


# ---------------------------------------------------------------- frames


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("accept", ["*/*", OCTETS, OCTETS + "; transfer-syntax=1.2.840.10008.1.2.1",
                                    "application/octet-stream"])
async def test_frames_decoded(held: Archive, name: str, accept: str) -> None:
    response = await held.get(url(name) + "/frames/1", accept)
    body = response.content if accept.startswith("app") else parts_of(response)[0][1]
    np.testing.assert_array_equal(np.frombuffer(body, "<i2").reshape(64, 64), mr_pixels())


@pytest.mark.parametrize(("name", "kind"), NATIVE.items())
async def test_frames_as_they_were_encoded(held: Archive, name: str, kind: str) -> None:
    stored = VARIANTS[name]
    expected = frames.encoded_frame(frames.describe(Path(get_testdata_file(name))), 1)
    asked = (f'multipart/related; type="{kind}"; transfer-syntax={stored}', f'multipart/related; type="{kind}"',
             f"{OCTETS}; transfer-syntax=*", f"{OCTETS}; transfer-syntax={stored}", f"{kind}; transfer-syntax={stored}")
    for accept in asked:
        response = await held.get(url(name) + "/frames/1", accept)
        told = kind if kind in accept else "application/octet-stream"
        if accept.startswith("multipart"):
            ((head, body),) = parts_of(response)
            assert head["content-type"] == f"{told}; transfer-syntax={stored}"
        else:
            body = response.content
        assert body == expected
    refused = await held.get(url(name) + "/frames/1", f'multipart/related; type="{kind}"; transfer-syntax=1.2.3')
    assert refused.status_code == 406
    assert stored in refused.json()["detail"]


async def test_frames_of_a_multi_frame_object(held: Archive) -> None:
    dose = dcmread(get_testdata_file("rtdose_rle.dcm"))
    here = place_of(dose)
    told = parts_of(await held.get(here + "/frames/15,2"))
    for number, (_, body) in zip((15, 2), told, strict=True):
        np.testing.assert_array_equal(np.frombuffer(body, "<u4").reshape(10, 10), dose.pixel_array[number - 1])
    assert (await held.get(here + "/frames/16")).status_code == 404
    for wrong in ("0", "1,,2", "1,", ",", "1,99999999999", "abc", "-1", "1.5"):
        refused = await held.get(f"{here}/frames/{wrong}")
        assert (refused.status_code, refused.json()["detail"]) == (400, answers.NO_FRAMES), wrong
    assert "A UID" in (await held.get("studies/abc/series/1/instances/1/frames/abc")).json()["detail"]
    images = parts_of(await held.get(here + "/frames/1,3/rendered", "image/png"))
    assert [Image.open(io.BytesIO(body)).size for _, body in images] == [(10, 10), (10, 10)]


# ---------------------------------------------------------------- rendered


async def png(held: Archive, path: str, **parameters: str) -> np.ndarray:
    response = await held.get(path, "image/png", **parameters)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(response.content)))


async def test_every_encoding_looks_the_same(held: Archive) -> None:
    looks = [await png(held, url(name) + "/rendered") for name in VARIANTS]
    assert all(np.array_equal(looks[0], look) for look in looks)
    assert looks[0].max() - looks[0].min() > 200
    jpeg = await held.get(url("MR_small_RLE.dcm") + "/rendered")
    assert jpeg.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(jpeg.content)).size == (64, 64)


@pytest.mark.parametrize(("window", "expected"), [
    # PS3.3 C.11.2.1.2.1: below c - 0.5 - (w - 1) / 2 is 0, above the other end 255
    ("100,101,linear", [0, 0, 3, 128, 255]), ("100,100,linear-exact", [0, 0, 3, 128, 255]),
    ("100,50,sigmoid", [0, 5, 5, 128, 255])])
async def test_windows_are_the_standards_functions(held: Archive, window: str, expected: list[int]) -> None:
    look = await png(held, f"studies/{STUDY}/series/{SERIES}/instances/{SERIES}.2/rendered", window=window)
    values = look.ravel()[[0, 50, 51, 100, 250]].astype(int)
    assert np.abs(values - expected).max() <= 2, values


async def test_the_viewport_scales_crops_and_flips(held: Archive) -> None:
    path = url("MR_small.dcm") + "/rendered"
    plain = await png(held, path)
    assert (await png(held, path, viewport="32,100")).shape == (32, 32)
    np.testing.assert_array_equal(await png(held, path, viewport="20,10,4,8,20,10"), plain[8:18, 4:24])
    np.testing.assert_array_equal(await png(held, path, viewport="64,64,,,-64,"), plain[:, ::-1])
    np.testing.assert_array_equal(await png(held, path, viewport="64,64,0,0,64,-64"), plain[::-1])


@pytest.mark.parametrize("parameters", [
    {"window": "1"}, {"window": "1,0"}, {"window": "a,b"}, {"window": "nan,1"}, {"window": "1,1e300"},
    {"window": "1,2,cubic"}, {"viewport": "0,5"}, {"viewport": "100000,1"}, {"viewport": "1,2,3,4,5,6,7"},
    {"viewport": "8,8,70,70,5,5"}, {"viewport": "8,8,inf,0,1,1"}, {"quality": "0"}, {"quality": "101"},
    {"quality": "x"}, {"colour": "red"}])
async def test_parameters_of_rendering_are_refused_in_words(held: Archive, parameters: dict[str, str]) -> None:
    response = await held.get(url("MR_small.dcm") + "/rendered", "image/png", **parameters)
    assert response.status_code == 400, parameters
    assert response.json()["detail"].endswith(".")


async def test_what_rendering_leaves_out_is_warned_of(held: Archive) -> None:
    response = await held.get(url("MR_small.dcm") + "/rendered", annotation="patient", quality="1")
    assert response.status_code == 200
    assert "annotation" in response.headers["warning"]


async def test_thumbnails_and_images_of_a_study(held: Archive) -> None:
    for path in (f"studies/{MR_STUDY}", f"studies/{MR_STUDY}/series/{MR_SERIES}", url("MR_small_RLE.dcm")):
        small = await held.get(path + "/thumbnail")
        assert Image.open(io.BytesIO(small.content)).size == (128, 128)
    assert len(parts_of(await held.get(f"studies/{MR_STUDY}/rendered"))) == len(VARIANTS)
    assert (await held.get(f"studies/{MR_STUDY}/thumbnail", "image/gif")).status_code == 406
    assert (await held.get(f"studies/{MR_STUDY}/thumbnail", window="1,2")).status_code == 400


@pytest.mark.parametrize(("name", "pixel"), COLOURS.items())
async def test_colours(held: Archive, name: str, pixel: tuple[int, int, int]) -> None:
    uid = f"{COLOUR_STUDY}.1.{list(COLOURS).index(name) + 1}"
    look = await png(held, f"studies/{COLOUR_STUDY}/series/{COLOUR_STUDY}.1/instances/{uid}/rendered")
    assert np.abs(look[0, 0].astype(int) - pixel).max() <= 3, look[0, 0]


# ---------------------------------------------------------------- hostile


@pytest.mark.parametrize("accept", [
    "text/html", "application/dicom+xml", 'multipart/related; type="text/plain"', "image/png", ";;;",
    "multipart/related;q=0", 'multipart/related; type="', "\x7f", "a" * 4000, "application/dicom;q=abc"])
async def test_nothing_acceptable(held: Archive, accept: str) -> None:
    for path in (f"studies/{MR_STUDY}", f"studies/{MR_STUDY}/bulkdata"):
        response = await held.get(path, accept)
        assert response.status_code == 406
        assert "multipart/related" in response.json()["detail"]


async def test_too_many_media_types(held: Archive) -> None:
    assert (await held.get(f"studies/{MR_STUDY}", ", ".join(["text/plain"] * 100))).status_code == 400


@pytest.mark.parametrize("path", [
    "studies/..%2F..%2Fetc", "studies/1.2/series/%00", "studies/' or 1=1 --", f"studies/{'1' * 65}",
    f"studies/{STUDY}/series/{SERIES}/instances/{SERIES}.1/frames/%2e%2e", "studies/1.2%0d%0aX: y"])
async def test_urls_never_become_paths(held: Archive, path: str) -> None:
    response = await held.get(path)
    assert response.status_code in (400, 404)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damaged_pixels_come_as_stored_and_are_refused_decoded(held: Archive, damage: str) -> None:
    uid = f"{DAMAGED_STUDY}.1.{DAMAGES.index(damage) + 1}"
    here, kept = f"studies/{DAMAGED_STUDY}/series/{DAMAGED_STUDY}.1/instances/{uid}", Path(held.paths[uid]).read_bytes()
    assert parts_of(await held.get(here, AS_STORED))[0][1] == kept
    number = "400" if damage == "no-frames" else "1"
    for path in (f"{here}/frames/{number}", f"{here}/frames/{number}/rendered"):
        refused = await held.get(path)
        assert refused.status_code == 406, path
        assert "transfer-syntax=*" in refused.json()["detail"] or "too large" in refused.json()["detail"]
    assert (await held.get(here, DICOM + "; transfer-syntax=1.2.840.10008.1.2.1")).status_code == 406
    ((head, body),) = parts_of(await held.get(here, DICOM))
    assert (head["content-type"].rpartition("=")[2], body) == ("1.2.840.10008.1.2.4.90", kept)
    assert (await held.get(here + "/metadata")).json()[0]["00080018"]["Value"] == [uid]


# ---------------------------------------------------------------- memory


def test_parts_are_read_while_they_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcode, "_PIECE", 1000)
    opened: list[int] = []

    def parts() -> Iterator[Part]:
        for number in range(3):
            opened.append(number)
            path = tmp_path / str(number)
            path.write_bytes(bytes(2500))
            yield Part("application/dicom", transcode.stored_pieces(path))

    body = answers.pieces_of(parts(), "b")
    assert opened == []
    sent = [next(body) for _ in range(5)]
    assert [len(piece) for piece in sent[1:]] == [1000, 1000, 500, 2]
    assert opened == [0], "the next part is not touched before this one is sent"
    assert b"".join([*sent, *body]).endswith(b"\r\n--b--\r\n")
