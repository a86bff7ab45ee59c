"""WFDB records and NumPy arrays as ECG sources."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import wfdb

from adapters.dicom.content.waveform_read import load_ecg
from adapters.dicom.content.waveform_write import write_ecg
from adapters.files.wfdb_source import read_wfdb
from gateway.errors import Unusable
from tests.waveforms import LEADS, beats, instance

PTB_XL = Path(__file__).parents[3] / "shared" / "data" / "ptb-xl"


def record(folder: Path, name: str = "rec", **overrides: Any) -> Path:
    fields: dict[str, Any] = {
        "fs": 500, "units": ["mV"] * 12, "sig_name": list(LEADS), "p_signal": beats().T.astype(np.float64),
        "fmt": ["16"] * 12, "comments": [], "base_datetime": datetime(2020, 1, 2, 3, 4, 5)} | overrides
    wfdb.wrsamp(name, write_dir=str(folder), **fields)
    return folder / f"{name}.hea"


@pytest.mark.parametrize("fmt", ["16", "212", "24", "32", "80"])
def test_every_format_gives_the_signal_in_millivolts(tmp_path: Path, fmt: str) -> None:
    source = read_wfdb(record(tmp_path, fmt=[fmt] * 12))
    coarse = {"80": 0.02, "212": 0.001}.get(fmt, 0.0001)
    np.testing.assert_allclose(source.signal, beats(), atol=coarse)
    assert (source.leads, source.rate, source.signal.dtype) == (LEADS, 500, np.float32)


def test_leads_are_named_ordered_and_scaled_and_pressures_left_out(tmp_path: Path) -> None:
    signal = beats(4).T.astype(np.float64) * [1000, 1, 80, 0.001]
    source = read_wfdb(record(tmp_path, p_signal=signal, fmt=["16"] * 4, units=["uV", "mV", "mmHg", "V"],
                              sig_name=["v-1", "MLII", "ABP", "ii"]))
    assert source.leads == ("II", "V1", "MLII")
    np.testing.assert_allclose(source.signal, beats(4)[[3, 0, 1]], atol=0.0002)


@pytest.mark.parametrize(("comments", "age", "sex"), [
    (["age: 71", "sex: female"], 71, "F"), (["Age: 34 Sex: M"], 34, "M"), (["69 M 1085 1629 x1"], 69, "M"),
    (["nothing"], None, ""), (["age: NaN", "sex: n/a"], None, "")])
def test_age_and_sex_stand_in_the_comments(tmp_path: Path, comments: list[str], age: int | None, sex: str) -> None:
    source = read_wfdb(record(tmp_path, comments=comments))
    assert (source.age_years, source.patient.sex) == (age, sex)


def test_the_header_s_time_is_the_zone_s(tmp_path: Path) -> None:
    source = read_wfdb(record(tmp_path), zone=ZoneInfo("Europe/Berlin"))
    assert source.recorded_at == datetime(2020, 1, 2, 2, 4, 5, tzinfo=UTC)


def test_a_copy_is_the_same_recording_and_another_signal_is_not(tmp_path: Path) -> None:
    first, copy = read_wfdb(record(tmp_path, "a")), read_wfdb(record(tmp_path, "b"))
    other = read_wfdb(record(tmp_path, "c", p_signal=beats().T.astype(np.float64) * 0.9))
    assert first.key == copy.key != other.key
    assert (first.patient.patient_id, copy.patient.patient_id) == ("a", "b")


def test_several_segments_are_one_recording(tmp_path: Path) -> None:
    record(tmp_path, "part")
    (tmp_path / "whole.hea").write_text("whole/2 12 500 10000\npart 5000\npart 5000\n")
    assert read_wfdb(tmp_path / "whole.hea").signal.shape == (12, 10000)


def test_of_several_rates_the_highest_is_read(tmp_path: Path) -> None:
    record(tmp_path, "two", p_signal=beats(1).T.astype(np.float64), fmt=["16"], units=["mV"], sig_name=["II"])
    text = (tmp_path / "two.hea").read_text().replace("two 1 500 5000", "two 1 250 2500").replace(" 16 ", " 16x2 ", 1)
    (tmp_path / "two.hea").write_text(text)
    source = read_wfdb(tmp_path / "two.hea")
    assert (source.rate, source.signal.shape) == (500, (1, 5000))


def test_what_cannot_be_read_is_refused_with_a_sentence(tmp_path: Path) -> None:
    header = record(tmp_path)
    text = header.read_text()
    for changed, sentence in ((text.replace("rec.dat", "gone.dat"), "missing"), ("", "damaged"),
                              (text.replace("rec.dat", "../rec.dat"), "damaged"),
                              (text.replace("/mV", "/mmHg"), "voltage"),
                              (text.replace("500 5000", "500 500000000"), "too long")):
        header.write_text(changed)
        with pytest.raises(Unusable, match=sentence):
            read_wfdb(header)
    header.write_text(text)
    data = tmp_path / "rec.dat"
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(Unusable, match="truncated"):
        read_wfdb(header)
    with pytest.raises(Unusable, match="missing"):
        read_wfdb(tmp_path / "nothing.hea")


@pytest.mark.data
@pytest.mark.skipif(not PTB_XL.is_dir(), reason="../shared/data/ptb-xl is not there")
def test_real_records_go_through_dicom_unchanged(tmp_path: Path) -> None:
    with (PTB_XL / "ptbxl_database.csv").open() as table:
        names = [row["filename_hr"] for row in csv.DictReader(table)]
    for name in names[::150]:
        source = read_wfdb(PTB_XL / f"{name}.hea")
        path = tmp_path / "one.dcm"
        path.write_bytes(write_ecg(source))
        ecg = load_ecg((instance(path),))
        assert (ecg.leads, ecg.rate, ecg.problems) == (LEADS, 500, ())
        np.testing.assert_allclose(ecg.signal, source.signal, atol=0.0005)
        truth = wfdb.rdrecord(str(PTB_XL / name)).p_signal.T
        np.testing.assert_allclose(source.signal, truth, atol=1e-5)
