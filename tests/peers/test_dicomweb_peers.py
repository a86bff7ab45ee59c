"""DICOMweb against peers: CT slices encoded by DCMTK and GDCM, sent over C-STORE, asked for with dicomweb-client."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from adapters.database.tables import instances
from adapters.dicom.content.part10 import split
from adapters.dicom.transport.scu import send_files
from tests.ct_series import series
from tests.peers.dcmtk import run
from tests.peers.gateway_process import GatewayProcess, await_that, gateway

pytestmark = [pytest.mark.peer, pytest.mark.slow]

api = pytest.importorskip("dicomweb_client.api", reason="dicomweb-client is not installed")

ENCODERS: dict[str, tuple[str, ...]] = {
    "JPEG Lossless": ("dcmcjpeg", "+e1"), "JPEG Lossless, process 14": ("dcmcjpeg", "+el"),
    "JPEG-LS": ("dcmcjpls", "+el"), "RLE": ("dcmcrle",), "deflated": ("dcmconv", "+td"),
    "big endian": ("dcmconv", "+tb"), "implicit": ("dcmconv", "+ti"), "explicit": ("dcmconv", "+te"),
    "JPEG 2000": ("gdcm",)}
DECODERS = {"1.2.840.10008.1.2.4.70": "dcmdjpeg", "1.2.840.10008.1.2.4.57": "dcmdjpeg",
            "1.2.840.10008.1.2.4.80": "dcmdjpls", "1.2.840.10008.1.2.5": "dcmdrle"}
"""What decodes with a decoder that is not the gateway's."""


def encode(name: str, source: Path, target: Path) -> None:
    tool, *options = ENCODERS[name]
    if tool == "gdcm":
        jpeg_2000(source, target)
    else:
        done = run(tool, *options, source, target)
        assert done.returncode == 0, done.stderr


def jpeg_2000(source: Path, target: Path) -> None:
    gdcm = pytest.importorskip("gdcm")
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEG2000Lossless))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(target))
    assert writer.Write()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, np.ndarray]]:
    """Encoding → (file, its pixels): one CT series, each slice encoded in another way."""
    folder = tmp_path_factory.mktemp("encoded")
    made = {}
    for name, instance in zip(ENCODERS, series(folder, len(ENCODERS), shape=(64, 48)), strict=True):
        target = folder / f"{name}.dcm"
        encode(name, Path(instance.path), target)
        made[name] = (target, dcmread(instance.path).pixel_array)
    return made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, files: dict[str, Any]) -> Iterator[GatewayProcess]:
    with gateway(tmp_path_factory.mktemp("gateway"), routes=[]) as started:
        report = send_files("127.0.0.1", started.dicom_port, "CT", "TRIAGE", [path for path, _ in files.values()])
        assert not report.failures, report.failures
        await_that(lambda: len(started.rows(instances)) == len(files), 20, "the index")
        yield started


@pytest.fixture
def client(running: GatewayProcess, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return api.DICOMwebClient(f"{running.url}/dicom-web")


def uids(path: Path) -> tuple[str, str, str]:
    dataset = dcmread(path, stop_before_pixels=True)
    return dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID


def test_a_client_finds_the_study(client: Any, files: dict[str, Any]) -> None:
    study, series_uid, _ = uids(files["explicit"][0])
    (told,) = client.search_for_studies(search_filters={"StudyInstanceUID": study}, fields=["StudyDescription"])
    assert Dataset.from_json(told).NumberOfStudyRelatedInstances == len(files)
    (one,) = client.search_for_series(study)
    assert Dataset.from_json(one).SeriesInstanceUID == series_uid
    pages = [client.search_for_instances(study, series_uid, limit=4, offset=offset) for offset in (0, 4, 8)]
    assert [len(page) for page in pages] == [4, 4, len(files) - 8]
    assert len({Dataset.from_json(i).SOPInstanceUID for page in pages for i in page}) == len(files)
    assert client.search_for_studies(search_filters={"PatientID": "nobody-of-this-name"}) == []


@pytest.mark.parametrize("name", ENCODERS)
def test_what_was_sent_comes_back_byte_for_byte(running: GatewayProcess, files: dict[str, Any], name: str) -> None:
    path, _ = files[name]
    study, series_uid, instance = uids(path)
    (kept,) = running.rows(instances, instances.c.sop_instance_uid == instance)
    served = fetch(running, f"studies/{study}/series/{series_uid}/instances/{instance}",
                   "application/dicom; transfer-syntax=*")
    assert served == Path(kept.path).read_bytes()
    assert split(served)[1] == split(path.read_bytes())[1]


def fetch(running: GatewayProcess, path: str, accept: str) -> bytes:
    answer = httpx.get(f"{running.url}/dicom-web/{path}", headers={"Accept": accept}, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoding_is_decoded_to_the_same_values(client: Any, files: dict[str, Any], name: str) -> None:
    path, pixels = files[name]
    where = uids(path)
    (frame,) = client.retrieve_instance_frames(*where, frame_numbers=[1])
    np.testing.assert_array_equal(np.frombuffer(frame, pixels.dtype).reshape(pixels.shape), pixels)
    transcoded = client.retrieve_instance(*where, media_types=(("application/dicom", "1.2.840.10008.1.2.1"),))
    assert transcoded.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    np.testing.assert_array_equal(transcoded.pixel_array, pixels)


@pytest.mark.parametrize("name", ENCODERS)
def test_another_decoder_agrees_with_what_is_served(client: Any, files: dict[str, Any], tmp_path: Path,
                                                    name: str) -> None:
    path, pixels = files[name]
    served = client.retrieve_instance(*uids(path), media_types=(("application/dicom", "*"),))
    syntax = served.file_meta.TransferSyntaxUID
    assert syntax == dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
    dcmwrite(tmp_path / "served.dcm", served)
    if tool := DECODERS.get(syntax):
        assert run(tool, tmp_path / "served.dcm", tmp_path / "plain.dcm").returncode == 0
        np.testing.assert_array_equal(dcmread(tmp_path / "plain.dcm").pixel_array, pixels)
    else:
        np.testing.assert_array_equal(served.pixel_array, pixels)


def test_rendered_images_look_as_dcmtk_shows_them(client: Any, files: dict[str, Any], tmp_path: Path) -> None:
    if not shutil.which("dcmj2pnm"):
        pytest.skip("dcmj2pnm (DCMTK) is not installed")
    plain = files["explicit"][0]
    subprocess.run(["dcmj2pnm", "+Ww", "40", "400", "+on", plain, tmp_path / "dcmtk.png"], check=True)
    theirs = np.asarray(Image.open(tmp_path / "dcmtk.png").convert("L")).astype(int)
    rendered = client.retrieve_instance_rendered(*uids(plain), media_types=("image/png",),
                                                 params={"window": "40,400,linear"})
    ours = np.asarray(Image.open(io.BytesIO(rendered)).convert("L")).astype(int)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1
    for name in ENCODERS:
        image = Image.open(io.BytesIO(client.retrieve_instance_rendered(*uids(files[name][0]))))
        assert image.size == (48, 64)


def test_a_client_reads_metadata_and_bulk_data(client: Any, files: dict[str, Any]) -> None:
    path, pixels = files["JPEG-LS"]
    where = uids(path)
    told = client.retrieve_instance_metadata(*where)
    dataset = Dataset.from_json(told, bulk_data_uri_handler=lambda uri: bytes(client.retrieve_bulkdata(uri)[0]))
    np.testing.assert_array_equal(np.frombuffer(dataset.PixelData, pixels.dtype).reshape(pixels.shape), pixels)
    assert len(client.retrieve_series_metadata(*where[:2])) == len(files)
    assert len(list(client.iter_series(*where[:2]))) == len(files)
