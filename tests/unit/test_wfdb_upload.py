"""WFDB records over HTTP and from the terminal: each becomes one DICOM ECG object."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
import wfdb
from pydicom import dcmread

from adapters.cli.sending import expand
from adapters.files.conversion import Conversion
from adapters.files.wfdb_bundle import wrap_files
from adapters.web import recordings
from adapters.web.archive import Member
from adapters.web.recordings import signal_files, usable
from gateway.errors import Unreadable, Unusable
from tests.archives import zipped
from tests.waveforms import LEADS, beats
from tests.web_fakes import World, fake_object, serving

Parts = list[tuple[str, tuple[str, bytes]]]
AT = 1_700_000_000.0


def record(folder: Path, name: str = "rec", *, dated: bool = True) -> dict[str, bytes]:
    wfdb.wrsamp(name, fs=500, units=["mV"] * 12, sig_name=list(LEADS), p_signal=beats().T.astype(np.float64),
                fmt=["16"] * 12, write_dir=str(folder),
                base_datetime=datetime(2020, 1, 2, 3, 4, 5) if dated else None)
    return {path.name: path.read_bytes() for path in sorted(folder.glob(f"{name}.*"))}


def in_segments(folder: Path) -> dict[str, bytes]:
    """One recording of twice the length, in two segments with files of their own."""
    files = record(folder, "one") | record(folder, "two")
    files["whole.hea"] = b"whole/2 12 500 10000 03:04:05 02/01/2020\none 5000\ntwo 5000\n"
    (folder / "whole.hea").write_bytes(files["whole.hea"])
    return files


def parts(files: dict[str, bytes]) -> Parts:
    return [("file", told) for told in files.items()]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    with serving(world.app()) as url, httpx.Client(base_url=url, trust_env=False) as asker:
        yield asker


def taken(world: World) -> list[str]:
    return [dcmread(io.BytesIO(header + dataset)).SOPClassUID.name for _, header, dataset in world.intake.taken]


def test_a_pair_of_files_is_one_recording(client: httpx.Client, world: World, tmp_path: Path) -> None:
    files = record(tmp_path)
    told = client.post("/api/studies", files=parts(files)).json()
    assert (told["stored"], told["refused"]) == (1, [])
    assert taken(world) == ["12-lead ECG Waveform Storage"]
    assert world.intake.taken[0][0].protocol == "wfdb"
    assert client.post("/api/studies", files=parts(files)).json()["duplicate"] == 1


def test_a_zip_holds_records_in_folders_beside_other_objects(client: httpx.Client, world: World,
                                                             tmp_path: Path) -> None:
    files = record(tmp_path)
    content = {"a.dcm": fake_object("1"), **{f"x/{n}": c for n, c in files.items()}, "y/other.dat": b"1",
               "z/rec.hea": files["rec.hea"]}
    told = client.post("/api/studies", files=parts({"all.zip": zipped(**content)})).json()
    assert told["stored"] == 2
    assert {r["name"]: r["reason"] for r in told["refused"]} == {
        "y/other.dat": "No WFDB header (.hea) beside this file names it.",
        "z/rec.hea": "a signal file that the WFDB header names is missing: send it together with the .hea file"}


def test_a_zip_sent_twice_makes_the_same_object_though_its_header_has_no_date(
        client: httpx.Client, tmp_path: Path) -> None:
    content = zipped(**record(tmp_path, dated=False))
    assert client.post("/api/studies", files=parts({"r.zip": content})).json()["stored"] == 1
    assert client.post("/api/studies", files=parts({"r.zip": content})).json()["duplicate"] == 1


def test_predict_takes_a_record_as_pair_or_zip_and_only_one(client: httpx.Client, tmp_path: Path) -> None:
    files = record(tmp_path)
    for sent in (files, {"r.zip": zipped(**files)}):
        assert client.post("/api/predict", files=parts(sent)).json()["verdict"] == "normal"
    two = client.post("/api/predict", files=parts(files | record(tmp_path, "second")))
    assert (two.status_code, "more than one study" in two.json()["detail"]) == (422, True)
    alone = client.post("/api/predict", files=parts({"rec.hea": files["rec.hea"]}))
    assert (alone.status_code, "missing" in alone.json()["detail"]) == (400, True)


def test_header_names_with_paths_are_never_followed() -> None:
    with pytest.raises(Unusable):
        wrap_files("../rec.hea", {"../rec.hea": b"rec 1 500 10\n"}, AT)
    assert signal_files(b"# note\nrec 2 500 10\na.dat 16\na.dat 16\n#end") == ("a.dat",)


def test_too_much_at_once_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "MOST_BYTES", 3)
    with pytest.raises(Unreadable):
        list(usable([Member("a.dat", b"12"), Member("b.dat", b"34")], Conversion()))


def test_the_terminal_wraps_headers_and_leaves_their_signal_files(tmp_path: Path) -> None:
    source, scratch = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    scratch.mkdir()
    files = record(source)
    (source / "broken.hea").write_bytes(b"broken 1 500 10\ngone.dat 16\n")
    (source / "all.zip").write_bytes(zipped(**{"sub/" + n: c for n, c in files.items()}))
    packing = expand([source], scratch, Conversion())
    found, refused = packing.files, packing.refused
    assert sorted(found.values()) == [f"{source / 'all.zip'}:sub/rec.hea", str(source / "rec.hea")]
    assert [name for name, _ in refused] == [str(source / "broken.hea")]
    assert {dcmread(path).SOPInstanceUID for path in found} == {dcmread(next(iter(found))).SOPInstanceUID}


def test_segments_are_one_recording(client: httpx.Client, world: World, tmp_path: Path) -> None:
    told = client.post("/api/studies", files=parts(in_segments(tmp_path))).json()
    assert (told["stored"], told["refused"]) == (1, [])
    ecg = dcmread(io.BytesIO(b"".join(world.intake.taken[0][1:])))
    assert ecg.WaveformSequence[0].NumberOfWaveformSamples == 10_000
    packing = expand([tmp_path], tmp_path, Conversion())
    assert (list(packing.files.values()), packing.refused) == ([str(tmp_path / "whole.hea")], [])


def test_a_gap_between_segments_is_refused_in_words(tmp_path: Path) -> None:
    files = in_segments(tmp_path)
    files["whole.hea"] = b"whole/3 12 500 10100\none 5000\n~ 100\ntwo 5000\n"
    assert "gap between its segments" in next(usable(members_of(files), Conversion())).reason


def members_of(files: dict[str, bytes]) -> list[Member]:
    return [Member(name, content, modified=AT) for name, content in files.items()]
