"""A sound that came without DICOM, as a DICOM waveform object of its own: General Audio (PS3.3 A.34.10), and the course
of breathing that it tells as a Respiratory Waveform (A.34.9)."""

from __future__ import annotations

import math
from datetime import UTC
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID, GeneralAudioWaveformStorage, RespiratoryWaveformStorage
from pydicom.valuerep import DSfloat
from scipy.signal import resample_poly

from adapters.dicom.content.common import MANUFACTURER, code_item, dicom_date, dicom_datetime, dicom_time, to_part10
from adapters.dicom.content.source_modules import add_source_modules
from gateway.audio import AudioSource
from gateway.codes import Code
from gateway.errors import Unusable
from gateway.identity import uid

_PHYSIOLOGICAL = Code("109115", "DCM", "Physiological audio signal")
"""CID 3000, Audio Channel Source."""
_RESPIRATION = Code("2:20000", "MDC", "Respiration")
_NO_UNITS = Code("1", "UCUM", "no units")
FINDING_SITE = Code("363698007", "SCT", "Finding Site")
_FASTEST, _MOST_CHANNELS = 44100.0, 2
_BREATHING_RATE = 50.0
"""Hz; a Respiratory Waveform is sampled at 100 Hz at most (PS3.3 A.34.9.4.4)."""
_FULL_SCALE = 32767


def write_sound(source: AudioSource) -> bytes:
    """DICOM Part 10 bytes of a General Audio Waveform, 16 bits, one or two channels: the same for the same source.

    UIDs derive from `source.key` alone.

    Above 44.1 kHz, which is the most that this object holds, the sound is resampled and marked DERIVED.
    Raises Unusable where no such object can hold it.
    """
    _check(source)
    signal, rate = _within_rate(np.nan_to_num(source.signal), source.rate)
    ds = _object(source, GeneralAudioWaveformStorage, "AU", "sound")
    ds.WaveformSequence = [_group(signal, rate, "ORIGINAL" if rate == source.rate else "DERIVED",
                                  [_channel(f"SOUND {n + 1}", _PHYSIOLOGICAL) for n in range(len(signal))])]
    return to_part10(ds)


def write_breathing(source: AudioSource) -> bytes:
    """DICOM Part 10 bytes of a Respiratory Waveform: how loud the breath is, 50 times a second, of the first channel.

    It holds the course of breathing for those who show it beside the sound, never the sound itself. Raises Unusable.
    """
    _check(source)
    ds = _object(source, RespiratoryWaveformStorage, "RESP", "breathing")
    ds.ManufacturerModelName, ds.DeviceSerialNumber = MANUFACTURER, uid("device", "breathing")
    ds.SoftwareVersions = "1"
    ds.SynchronizationFrameOfReferenceUID = uid("sound time", *source.key)
    ds.SynchronizationTrigger, ds.AcquisitionTimeSynchronized = "NO TRIGGER", "N"
    loudness = _loudness(np.nan_to_num(source.signal[0]), source.rate)
    ds.WaveformSequence = [_group(loudness[None], _BREATHING_RATE, "DERIVED", [_channel("BREATHING", _RESPIRATION)])]
    return to_part10(ds)


def _check(source: AudioSource) -> None:
    if source.signal.ndim != 2 or not source.signal.size or not source.signal.shape[0] <= _MOST_CHANNELS:
        raise Unusable("a sound object holds one or two channels of samples", element="signal")
    if not (math.isfinite(source.rate) and source.rate >= 1000):
        raise Unusable("a sound of less than 1000 samples a second cannot be read", element="rate")


def _within_rate(signal: NDArray[np.float32], rate: float) -> tuple[NDArray[np.float32], float]:
    if rate <= _FASTEST:
        return signal, rate
    ratio = Fraction(_FASTEST / rate).limit_denominator(1000)
    slower = resample_poly(signal.astype(np.float64), ratio.numerator, ratio.denominator, axis=1)
    return slower.astype(np.float32), float(rate * ratio)


def _loudness(sound: NDArray[np.float32], rate: float) -> NDArray[np.float32]:
    """Root mean square of each fiftieth of a second, the loudest being one."""
    step = rate / _BREATHING_RATE
    edges = np.arange(0, sound.size, step).astype(int)
    square = np.add.reduceat(sound.astype(np.float64) ** 2, edges) / np.diff(np.append(edges, sound.size))
    loudness = np.sqrt(square)
    return np.asarray(loudness / max(float(loudness.max()), 1e-9), dtype=np.float32)


def _object(source: AudioSource, sop_class: UID, modality: str, kind: str) -> Dataset:
    """Everything but the samples (PS3.3 C.7.1-C.7.3, C.10.8, C.7.6.14)."""
    ds = Dataset()
    ds.SOPClassUID = sop_class
    ds.SOPInstanceUID = uid(kind, *source.key)
    ds.StudyInstanceUID = source.study_instance_uid or uid("sound study", *source.key)
    ds.SeriesInstanceUID = uid(f"{kind} series", *source.key)
    recorded = source.recorded_at.astimezone(UTC)
    add_source_modules(ds, source.patient, modality=modality, recorded_at=recorded, description=source.description,
                       accession_number=source.accession_number)
    ds.InstanceNumber = 1
    if source.age_years is not None and 0 <= source.age_years <= 999:
        ds.PatientAge = f"{source.age_years:03d}Y"
    ds.BodyPartExamined = "CHEST"
    ds.ContentDate, ds.ContentTime = dicom_date(recorded), dicom_time(recorded)
    ds.AcquisitionDateTime = dicom_datetime(recorded)
    ds.AcquisitionContextSequence = [location_item(source.location)] if source.location.strip() else []
    return ds


def location_item(told: str) -> Dataset:
    """Acquisition Context (PS3.3 C.7.6.14): where on the body, as it was told."""
    item = Dataset()
    item.ValueType = "TEXT"
    item.ConceptNameCodeSequence = [code_item(FINDING_SITE)]
    item.TextValue = "".join(c for c in told if c.isprintable())[:256]
    return item


def _group(signal: NDArray[np.float32], rate: float, originality: str, channels: list[Dataset]) -> Dataset:
    item = Dataset()
    item.WaveformOriginality = originality
    item.NumberOfWaveformChannels, item.NumberOfWaveformSamples = signal.shape
    item.SamplingFrequency = DSfloat(rate, auto_format=True)
    item.ChannelDefinitionSequence = channels
    item.WaveformBitsAllocated = 16
    item.WaveformSampleInterpretation = "SS"
    stored = np.clip(np.rint(signal.astype(np.float64) * (_FULL_SCALE + 1)), -_FULL_SCALE - 1, _FULL_SCALE)
    item.WaveformData = np.ascontiguousarray(stored.T.astype("<i2")).tobytes()
    item["WaveformData"].VR = "OW"
    return item


def _channel(label: str, source: Code) -> Dataset:
    """In shares of the converter's full scale: what a stethoscope's microphone gives is no calibrated pressure."""
    item = Dataset()
    item.ChannelLabel = label
    item.ChannelSourceSequence = [code_item(source)]
    item.ChannelSensitivity = DSfloat(1 / (_FULL_SCALE + 1), auto_format=True)
    item.ChannelSensitivityUnitsSequence = [code_item(_NO_UNITS)]
    item.ChannelSensitivityCorrectionFactor = 1
    item.ChannelBaseline = 0
    item.ChannelSampleSkew = 0
    item.WaveformBitsStored = 16
    return item
