"""ECG sources as DICOM: what is written comes back, and the object is the one its limits allow."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from adapters.dicom.content.waveform_leads import STANDARD
from adapters.dicom.content.waveform_read import load_ecg
from adapters.dicom.content.waveform_write import write_ecg
from gateway.errors import Unusable
from gateway.pipeline import Ecg
from gateway.ports import EcgSource
from gateway.study import Patient
from tests.waveforms import LEADS, beats, ecg_source, instance

TWELVE_LEAD, GENERAL = "1.2.840.10008.5.1.4.1.1.9.1.1", "1.2.840.10008.5.1.4.1.1.9.1.2"


def back(folder: Path, source: EcgSource) -> tuple[Dataset, Ecg]:
    content = write_ecg(source)
    path = folder / "made.dcm"
    path.write_bytes(content)
    return dcmread(BytesIO(content)), load_ecg((instance(path),))


def step(ds: Dataset) -> float:
    """The quantisation in mV."""
    return float(ds.WaveformSequence[0].ChannelDefinitionSequence[0].ChannelSensitivity) / 1000


def test_a_resting_ecg_becomes_a_twelve_lead_object_of_its_patient_and_study(tmp_path: Path) -> None:
    ds, ecg = back(tmp_path, ecg_source(beats()))
    assert (ds.SOPClassUID, ds.Modality, ds.PatientID, ds.IssuerOfPatientID) == (TWELVE_LEAD, "ECG", "P-1", "HOSP")
    assert (str(ds.PatientName), ds.PatientAge, ds.AccessionNumber) == ("Иванов^Иван", "076Y", "ACC-1")
    assert (ds.StudyDate, ds.StudyTime[:6], ds.TimezoneOffsetFromUTC) == ("20260314", "092653", "+0000")
    assert "MultiplexGroupTimeOffset" not in ds.WaveformSequence[0]
    assert (ecg.leads, ecg.rate, ecg.problems) == (LEADS, 500, ())
    np.testing.assert_allclose(ecg.signal, beats(), atol=0.00006)


def test_pydicom_reads_the_same_microvolts() -> None:
    ds = dcmread(BytesIO(write_ecg(ecg_source(beats()))))
    np.testing.assert_allclose(ds.waveform_array(0).T / 1000, beats(), atol=0.00006)


def test_the_same_source_gives_the_same_bytes_and_another_key_other_uids() -> None:
    one, other = ecg_source(beats()), ecg_source(beats(), key=("test", "2"))
    assert write_ecg(one) == write_ecg(replace(one))
    a, b = (dcmread(BytesIO(write_ecg(s))) for s in (one, other))
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        assert a[keyword].value != b[keyword].value
    told = dcmread(BytesIO(write_ecg(ecg_source(beats(), study_instance_uid="1.2.840.99"))))
    assert (told.StudyInstanceUID, told.SOPInstanceUID) == ("1.2.840.99", a.SOPInstanceUID)


@pytest.mark.parametrize(("seconds", "rate", "leads", "sop_class"), [
    (10, 500, STANDARD, TWELVE_LEAD), (32.768, 500, STANDARD, TWELVE_LEAD), (32.77, 500, STANDARD, GENERAL),
    (10, 200, STANDARD[:3], TWELVE_LEAD), (10, 1000, (*STANDARD, "V7"), GENERAL), (10, 360, ("V5", "MLII"), GENERAL)])
def test_the_object_s_class_follows_the_standard_s_limits(tmp_path: Path, seconds: float, rate: float,
                                                          leads: tuple[str, ...], sop_class: str) -> None:
    ds, ecg = back(tmp_path, ecg_source(beats(len(leads), seconds, rate), rate, leads))
    assert ds.SOPClassUID == sop_class
    assert (ecg.leads, ecg.rate) == (leads, rate)


def test_slow_recordings_keep_their_samples_between_new_ones(tmp_path: Path) -> None:
    slow = beats(rate=100)
    slow[3, 200:300] = np.nan
    ds, ecg = back(tmp_path, ecg_source(slow, 100))
    assert (ecg.rate, ecg.signal.shape, ds.WaveformSequence[0].WaveformOriginality) == (200, (12, 2000), "DERIVED")
    np.testing.assert_allclose(ecg.signal[:, ::2], slow, atol=0.0001)
    assert np.isnan(ecg.signal[3, 401:599]).all()


def test_fast_recordings_come_down_to_1000_hz_with_their_shape(tmp_path: Path) -> None:
    _, ecg = back(tmp_path, ecg_source(beats(rate=2048), 2048))
    assert (ecg.rate, ecg.signal.shape) == (1000, (12, 10000))
    np.testing.assert_allclose(ecg.signal, beats(rate=1000), atol=0.01)


def test_gaps_and_values_that_are_no_numbers_come_back_as_gaps(tmp_path: Path) -> None:
    signal = beats()
    signal[2, 100:900], signal[5, 7] = np.nan, np.inf
    _, ecg = back(tmp_path, ecg_source(signal))
    np.testing.assert_array_equal(np.isnan(ecg.signal), ~np.isfinite(signal))


@pytest.mark.parametrize("peak", [1e-4, 3.2, 3.3, 32.0, 33.0, 5000.0])
def test_no_amplitude_is_clipped(tmp_path: Path, peak: float) -> None:
    signal = beats() * peak
    ds, ecg = back(tmp_path, ecg_source(signal))
    np.testing.assert_allclose(ecg.signal, signal, atol=0.51 * step(ds))
    assert step(ds) <= max(0.0001, 2.6 * float(np.abs(signal).max()) / 32767)


@settings(max_examples=60, deadline=None)
@given(rate=st.floats(200, 1000), order=st.permutations(STANDARD), count=st.integers(1, 12),
       samples=st.integers(1, 3000), scale=st.floats(-4, 4), seed=st.integers(0, 2**32 - 1))
def test_round_trip(rate: float, order: list[str], count: int, samples: int, scale: float, seed: int,
                    tmp_path_factory: pytest.TempPathFactory) -> None:
    random = np.random.default_rng(seed)
    signal = (random.normal(size=(count, samples)) * 10**scale).astype(np.float32)
    ds, ecg = back(tmp_path_factory.mktemp("trip"), ecg_source(signal, rate, order[:count]))
    assert ecg.leads == tuple(sorted(order[:count], key=STANDARD.index))
    assert ecg.rate == pytest.approx(rate, rel=1e-9)
    for row, lead in zip(ecg.signal, ecg.leads, strict=True):
        wanted = signal[order.index(lead)]
        np.testing.assert_allclose(row, wanted, atol=0.51 * step(ds), rtol=1e-5)


@pytest.mark.parametrize(("source", "sentence"), [
    (ecg_source(beats(), 0), "samples a second"), (ecg_source(beats(), float("nan")), "samples a second"),
    (ecg_source(beats(11)), "do not fit its leads"), (ecg_source(np.zeros((12, 0))), "do not fit its leads"),
    (ecg_source(beats(25), leads=[f"E{n}" for n in range(25)]), "at most 24 leads"),
    (ecg_source(beats(), accession_number="A" * 17), "AccessionNumber"),
    (ecg_source(beats(), patient=Patient("A\\B")), "PatientID")])
def test_what_no_ecg_object_can_hold_is_refused(source: EcgSource, sentence: str) -> None:
    with pytest.raises(Unusable, match=sentence):
        write_ecg(source)


def test_refusals_name_no_patient() -> None:
    with pytest.raises(Unusable) as refusal:
        write_ecg(ecg_source(beats(), patient=Patient("SECRET\\ID")))
    assert "SECRET" not in str(refusal.value)
