"""DICOM ECG waveforms to millivolts: every way devices write them, and every way files break."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HemodynamicWaveformStorage,
    ImplicitVRLittleEndian,
)

from adapters.dicom.content.waveform_leads import STANDARD, code_of_lead, lead_of_code, lead_of_text
from adapters.dicom.content.waveform_read import load_ecg
from adapters.dicom.content.waveform_write import write_ecg
from gateway.errors import Transient, Unusable
from gateway.pipeline import Ecg
from tests.waveforms import LEADS, beats, channel, coded, ecg_source, group, instance, waveform

WRITTEN = write_ecg(ecg_source(beats(2, 0.2), leads=("I", "V1")))
STORED = np.arange(24, dtype=np.int64).reshape(12, 2) * 10 - 100


def read(tmp_path: Path, content: bytes) -> Ecg:
    path = tmp_path / "ecg.dcm"
    path.write_bytes(content)
    return load_ecg((instance(path),))


def test_a_device_s_recording_equals_what_pydicom_says() -> None:
    path = get_testdata_file("waveform_ecg.dcm")
    ecg = load_ecg((instance(path, "1.2.9"),))
    assert ecg.leads == LEADS
    assert ecg.rate == 1000
    assert ecg.channels == tuple((1, n) for n in range(1, 13))
    assert (ecg.sop_instance_uid, ecg.problems) == ("1.2.9", ())
    np.testing.assert_allclose(ecg.signal.T, dcmread(path).waveform_array(0) / 1000, atol=1e-6)


@pytest.mark.parametrize(("unit", "millivolts"), [
    ("uV", 1e-3), ("mV", 1.0), ("nV", 1e-6), ("V", 1e3), ("µV", 1e-3), ("MDC_DIM_MICRO_VOLT", 1e-3)])
def test_sensitivity_correction_and_baseline_are_in_the_channel_s_unit(tmp_path: Path, unit: str,
                                                                      millivolts: float) -> None:
    made = channel("V1", sensitivity=2.5, factor=1.1, baseline=7, unit=unit)
    ecg = read(tmp_path, waveform([group(STORED[:, :1], [made])]))
    np.testing.assert_allclose(ecg.signal[0], (STORED[:, 0] * 2.5 * 1.1 + 7) * millivolts, rtol=1e-5)


@pytest.mark.parametrize(("kind", "stored"), [
    ("SB", [-128, -1, 0, 127]), ("UB", [0, 1, 200, 255]), ("SS", [-32768, -1, 0, 32767]), ("US", [0, 1, 40000, 65535]),
    ("SL", [-2**31, -1, 0, 2**31 - 1]), ("UL", [0, 1, 2**31, 2**32 - 1])])
@pytest.mark.parametrize("big_endian", [False, True])
def test_every_sample_interpretation(tmp_path: Path, kind: str, stored: list[int], big_endian: bool) -> None:
    bits = {"B": 8, "S": 16, "L": 32}[kind[1]]
    made = group(np.array(stored)[:, None], [channel("II", bits=bits)], kind=kind, big_endian=big_endian)
    syntax = ExplicitVRBigEndian if big_endian else DeflatedExplicitVRLittleEndian
    ecg = read(tmp_path, waveform([made], syntax=syntax))
    np.testing.assert_allclose(ecg.signal[0], np.array(stored) / 1000, rtol=1e-6)


def test_mu_law_and_a_law_follow_g711(tmp_path: Path) -> None:
    """Values of ITU-T G.711 tables 1 and 2: the largest, the smallest, a middle one."""
    mu = group(np.array([[0x80], [0xFF], [0x7F], [0x00], [0xEF]]), [channel("II", bits=8)], kind="MB")
    np.testing.assert_allclose(read(tmp_path, waveform([mu])).signal[0] * 1000, [8031, 0, 0, -8031, 33], atol=1e-3)
    a_law = group(np.array([[0xAA], [0xD5], [0x55], [0x2A]]), [channel("II", bits=8)], kind="AB")
    np.testing.assert_allclose(read(tmp_path, waveform([a_law])).signal[0] * 1000, [4032, 1, -1, -4032], atol=1e-3)


def test_twelve_bits_without_sign_extension_are_extended(tmp_path: Path) -> None:
    ecg = read(tmp_path, waveform([group(np.array([[5], [4095], [2048]]), [channel("I", bits=12)])]))
    np.testing.assert_allclose(ecg.signal[0] * 1000, [5, -1, -2048], rtol=1e-5)


def test_eight_bit_samples_in_swapped_pairs(tmp_path: Path) -> None:
    made = group(np.array([[2], [1], [4], [3]]), [channel("I", bits=8)], kind="SB")
    made["WaveformData"].VR = "OW"
    ecg = read(tmp_path, waveform([made], syntax=ExplicitVRBigEndian))
    np.testing.assert_allclose(ecg.signal[0] * 1000, [1, 2, 3, 4], rtol=1e-5)


def test_padding_becomes_nan(tmp_path: Path) -> None:
    made = group(np.array([[1], [-9], [3]]), [channel("I")], WaveformPaddingValue=np.int16(-9).tobytes())
    ecg = read(tmp_path, waveform([made], syntax=ImplicitVRLittleEndian))
    np.testing.assert_allclose(ecg.signal[0] * 1000, [1, np.nan, 3], rtol=1e-5)


def test_leads_come_in_standard_order_whatever_the_object_s(tmp_path: Path) -> None:
    order = ("V6", "aVF", "II", "Nehb D", "I", "V1")
    made = group(np.arange(12).reshape(2, 6), [channel(name) for name in order])
    ecg = read(tmp_path, waveform([made]))
    assert ecg.leads == ("I", "II", "aVF", "V1", "V6", "Nehb D")
    assert ecg.channels == ((1, 5), (1, 3), (1, 2), (1, 6), (1, 1), (1, 4))
    np.testing.assert_allclose(ecg.signal[:, 0] * 1000, [4, 2, 1, 5, 0, 3], rtol=1e-5)


@pytest.mark.parametrize(("source", "lead"), [
    (coded("2:1", "MDC", "Lead I"), "I"), (coded("2:62", "MDC", "aVR, augmented voltage, right"), "aVR"),
    (coded("5.6.3-9-61", "SCPECG", "Lead III"), "III"), (coded("131075", "MDC", "MDC_ECG_LEAD_V1"), "V1"),
    (coded("MDC_ECG_LEAD_AVF", "MDC", "x"), "aVF"), (coded("Y", "99X", "Lead I (Einthoven)"), "I"),
    (coded("2:112", "MDC", "Derived Lead aVR"), "aVR"), (coded("2:92", "MDC", "Modified chest lead per V1 placement"),
                                                        "Modified chest lead per V1 placement"),
    (coded("2:65", "MDC", "−aVR"), "−aVR"), (coded("2:65", "MDC", "aVR"), "2:65"),
    (coded("2:0", "MDC", "Lead V2"), "V2")])
def test_a_lead_is_named_by_its_source_code(tmp_path: Path, source: Dataset, lead: str) -> None:
    ecg = read(tmp_path, waveform([group(STORED[:, :1], [channel("", source=source)])]))
    assert ecg.leads == (lead,)


@pytest.mark.parametrize(("text", "lead"), [
    ("Lead II", "II"), ("avl", "aVL"), (" V 3 ", "V3"), ("V-3", "V3"), ("ECG Lead V4R", "V4R"), ("C2", "V2"),
    ("DIII", "III"), ("channel 1", None), ("MLII", None), ("Lead VR, nonaugmented voltage", None), ("-aVR", None),
    ("Left arm lead", None), ("", None), ("V10", None)])
def test_written_lead_names(text: str, lead: str | None) -> None:
    assert lead_of_text(text) == lead


@pytest.mark.parametrize("lead", STANDARD)
def test_the_code_written_for_a_lead_is_read_as_that_lead(lead: str) -> None:
    value, meaning = code_of_lead(lead)
    assert (lead_of_code(value), lead_of_text(meaning)) == (lead, lead)


def test_the_recording_is_read_not_the_median_beat(tmp_path: Path) -> None:
    channels = [channel(name) for name in LEADS]
    beat = group(np.full((600, 12), 5), channels, MultiplexGroupLabel="MEDIAN BEAT")
    derived = group(np.full((600, 12), 5), channels)
    derived.WaveformOriginality = "DERIVED"
    rhythm = group(np.full((5000, 12), 1), channels)
    ecg = read(tmp_path, waveform([beat, derived, rhythm]))
    assert ecg.signal.shape == (12, 5000)
    assert {g for g, _ in ecg.channels} == {3}
    with pytest.raises(Unusable, match="average beats"):
        read(tmp_path, waveform([beat, derived]))


@pytest.mark.parametrize("told", [True, False])
def test_three_by_four_is_put_on_one_time_line(tmp_path: Path, told: bool) -> None:
    groups = []
    for n in range(4):
        times = {"MultiplexGroupTimeOffset": 2500 * n} if told else {}
        groups.append(group(np.full((1250, 3), n + 1), [channel(name) for name in LEADS[3 * n:3 * n + 3]], **times))
    strip = {"MultiplexGroupTimeOffset": 0} if told else {}
    groups.append(group(np.full((5000, 1), 9), [channel("II")], **strip))
    ecg = read(tmp_path, waveform(groups))
    assert ecg.leads == LEADS
    assert ecg.signal.shape == (12, 5000)
    codes = {p.code for p in ecg.problems}
    assert codes == ({"combined-groups"} if told else {"combined-groups", "group-times-unknown"})
    np.testing.assert_allclose(ecg.signal[1] * 1000, 9)
    chest = ecg.signal[LEADS.index("V4")] * 1000
    assert np.isnan(chest[:3750]).all()
    np.testing.assert_allclose(chest[3750:], 4)


def test_a_wild_time_offset_does_not_fill_the_memory(tmp_path: Path) -> None:
    limb = group(np.ones((5000, 6)), [channel(n) for n in LEADS[:6]], MultiplexGroupTimeOffset=0)
    chest = group(np.ones((5000, 5)), [channel(n) for n in LEADS[6:11]], MultiplexGroupTimeOffset=10**12)
    ecg = read(tmp_path, waveform([limb, chest]))
    assert ecg.leads == LEADS[:6]
    assert [p.code for p in ecg.problems] == ["left-out-groups"]


def test_repeated_channels_are_named_and_the_first_is_kept(tmp_path: Path) -> None:
    ecg = read(tmp_path, waveform([group(np.array([[1, 2]] * 9), [channel("II"), channel("Lead II")])]))
    assert (ecg.leads, ecg.channels) == (("II",), ((1, 1),))
    assert [p.code for p in ecg.problems] == ["duplicate-lead"]


def test_of_a_hemodynamic_object_only_the_ecg_is_read(tmp_path: Path) -> None:
    channels = [channel("Aortic pressure", unit="mm[Hg]"), channel("II"), channel("Marker", unit="V"),
                channel("V5", sensitivity=None)]
    made = group(np.ones((2500, 4)), channels, rate=250)
    ecg = read(tmp_path, waveform([made], sop_class=HemodynamicWaveformStorage, modality="HD"))
    assert (ecg.leads, ecg.rate) == (("II",), 250)
    assert [p.code for p in ecg.problems] == ["unscaled-channels"]


def test_the_fullest_of_several_recordings_is_read(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.dcm" for n in range(3)]
    paths[0].write_bytes(waveform([group(np.ones((5000, 1)), [channel("II")])]))
    paths[1].write_bytes(waveform([group(np.ones((2500, 12)), [channel(n) for n in LEADS])]))
    paths[2].write_bytes(b"no DICOM at all")
    ecg = load_ecg(tuple(instance(p, f"1.{n}") for n, p in enumerate(paths)))
    assert (ecg.sop_instance_uid, len(ecg.leads)) == ("1.1", 12)
    assert {p.code for p in ecg.problems} == {"several-recordings", "unreadable-instance"}


def broken(**elements: object) -> bytes:
    made = group(STORED[:, :1], [channel("II")])
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return waveform([made])


@pytest.mark.parametrize(("content", "sentence"), [
    (b"", "damaged"), (b"\0" * 128 + b"DICM", "holds no waveform"),
    (waveform([]), "holds no waveform"),
    (broken(NumberOfWaveformSamples=13), "truncated: 24 bytes of 26"), (broken(NumberOfWaveformSamples=2**32 - 1),
                                                                     "truncated"),
    (broken(NumberOfWaveformSamples=0), "no samples"), (broken(NumberOfWaveformChannels=2), "names 1 channels"),
    (broken(WaveformSampleInterpretation="XX"), "unknown kind"), (broken(WaveformBitsAllocated=8), "8 bits allocated"),
    (broken(SamplingFrequency=0), "no sampling frequency"), (broken(ChannelDefinitionSequence=[]), "names 0 channels"),
    (waveform([group(STORED[:, :1], [channel("II", sensitivity=None)])]), "no channel is an ECG lead"),
    (waveform([group(STORED[:, :1], [channel("II", unit="mm[Hg]")])]), "no channel is an ECG lead"),
    (waveform([group(STORED[:, :1], [channel("II", sensitivity=0)])]), "no channel is an ECG lead")])
def test_what_is_no_ecg_is_refused_with_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(Unusable, match=re.escape(sentence)):
        read(tmp_path, content)


def test_a_study_without_instances_and_a_file_out_of_reach(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="no ECG"):
        load_ecg(())
    with pytest.raises(Transient):
        load_ecg((instance(tmp_path / "gone.dcm"),))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_no_truncation_reads_as_a_whole_recording(tmp_path: Path, syntax: str) -> None:
    stored = np.round(beats(2, 0.2, 200).T * 1000)
    content = waveform([group(stored, [channel("I"), channel("II")], rate=200)], syntax=syntax)
    whole = read(tmp_path, content)
    for size in range(0, len(content) - 1, 7):
        try:
            ecg = read(tmp_path, content[:size])
        except Unusable:
            continue
        np.testing.assert_array_equal(ecg.signal, whole.signal)
        assert ecg.leads == whole.leads


DAMAGE = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(damage=DAMAGE)
def test_damage_never_raises_anything_but_unusable(damage: list[tuple[float, int]],
                                                   tmp_path_factory: pytest.TempPathFactory) -> None:
    content = bytearray(WRITTEN)
    for at, value in damage:
        content[132 + round(at * (len(content) - 133))] = value
    path = tmp_path_factory.mktemp("damage") / "x.dcm"
    path.write_bytes(bytes(content))
    try:
        ecg = load_ecg((instance(path),))
    except Unusable:
        return
    assert ecg.signal.shape[0] == len(ecg.leads) == len(ecg.channels)
