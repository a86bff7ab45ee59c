"""An ECG that came without DICOM, as a DICOM waveform object of its own (PS3.3 A.34.3, A.34.4)."""

from __future__ import annotations

import math
from datetime import UTC

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import GeneralECGWaveformStorage, TwelveLeadECGWaveformStorage
from pydicom.valuerep import DSfloat
from scipy.interpolate import CubicSpline
from scipy.signal import butter, sosfiltfilt

from adapters.dicom.content.common import code_item, dicom_date, dicom_datetime, dicom_time, to_part10
from adapters.dicom.content.source_modules import add_source_modules
from adapters.dicom.content.waveform_leads import STANDARD, code_of_lead
from gateway.codes import Code
from gateway.errors import Unusable
from gateway.identity import uid
from gateway.ports import EcgSource

_MICROVOLT = Code("uV", "UCUM", "microvolt")
_PADDING = -32768
_SLOWEST = 50.0
_LOWEST_RATE, _HIGHEST_RATE = 200.0, 1000.0
_MOST_LEADS = 24


def write_ecg(source: EcgSource) -> bytes:
    """DICOM Part 10 bytes: the same source gives the same bytes, under UIDs that derive from `source.key` alone.

    Samples are 16 bits with the finest of 0.1, 0.2, 0.5, 1, 2, 5… µV that does not clip; what is not finite becomes
    the padding value. 12-lead ECG where its constraints hold, else General ECG. Both want 200 to 1000 Hz: above, the
    signal is resampled to 1000 Hz, below, to the least multiple of its rate (which keeps its samples); it is then
    marked DERIVED.
    Raises Unusable where no ECG object can hold the recording.
    """
    _check(source)
    signal, rate = _within_rate(source)
    ds = Dataset()
    ds.SOPClassUID = _sop_class(source.leads, signal.shape[1])
    ds.SOPInstanceUID = uid("ecg", *source.key)
    ds.StudyInstanceUID = source.study_instance_uid or uid("ecg study", *source.key)
    ds.SeriesInstanceUID = uid("ecg series", *source.key)
    recorded = source.recorded_at.astimezone(UTC)
    add_source_modules(ds, source.patient, modality="ECG", recorded_at=recorded, description=source.description,
                       accession_number=source.accession_number)
    ds.InstanceNumber = 1
    if source.age_years is not None and 0 <= source.age_years <= 999:
        ds.PatientAge = f"{source.age_years:03d}Y"
    ds.ContentDate, ds.ContentTime = dicom_date(recorded), dicom_time(recorded)
    ds.AcquisitionDateTime = dicom_datetime(recorded)
    ds.AcquisitionContextSequence = [_lead_system(source.leads)]
    ds.WaveformSequence = [_group(source, signal, rate)]
    return to_part10(ds)


def _within_rate(source: EcgSource) -> tuple[NDArray[np.floating], float]:
    rate = source.rate
    if not math.isfinite(rate) or rate < _SLOWEST:
        raise Unusable(f"an ECG of less than {_SLOWEST:g} samples a second cannot be read", element="rate")
    if _LOWEST_RATE <= rate <= _HIGHEST_RATE:
        return source.signal, rate
    target = _HIGHEST_RATE if rate > _HIGHEST_RATE else rate * math.ceil(_LOWEST_RATE / rate)
    return _resampled(source.signal, rate, target), target


def _resampled(signal: NDArray[np.floating], rate: float, target: float) -> NDArray[np.floating]:
    """Splines through the samples, low-passed first on the way down; gaps stay gaps."""
    size = signal.shape[1]
    # As long as the source: what lies past its last sample holds that.
    at = np.minimum(np.arange(max(1, round(size * target / rate))) * (rate / target), size - 1)
    nearest = np.rint(at).astype(int)
    rows = np.full((signal.shape[0], at.size), np.nan)
    for row, lead in zip(rows, np.asarray(signal, dtype=np.float64), strict=True):
        known = np.flatnonzero(np.isfinite(lead))
        if known.size < 2:
            continue
        bridged = np.interp(np.arange(size), known, lead[known])
        row[:] = CubicSpline(np.arange(size), _band_limited(bridged, rate, target))(at)
        row[~np.isfinite(lead)[nearest]] = np.nan
    return rows


def _band_limited(lead: NDArray[np.float64], rate: float, target: float) -> NDArray[np.float64]:
    if rate < target or lead.size <= 30:
        return lead
    return np.asarray(sosfiltfilt(butter(4, 0.4 * target, fs=rate, output="sos"), lead))


def _check(source: EcgSource) -> None:
    if source.signal.ndim != 2 or source.signal.shape[0] != len(source.leads) or not source.signal.size:
        raise Unusable("the ECG's samples do not fit its leads", element="signal")
    if len(source.leads) > _MOST_LEADS:
        raise Unusable(f"an ECG object holds at most {_MOST_LEADS} leads", element="leads")


def _sop_class(leads: tuple[str, ...], samples: int) -> str:
    if set(leads) <= set(STANDARD) and len(leads) <= 13 and samples <= 16384:
        return str(TwelveLeadECGWaveformStorage)
    return str(GeneralECGWaveformStorage)


def _lead_system(leads: tuple[str, ...]) -> Dataset:
    """TID 3401, first row: which lead system (CID 3263); the source does not say how the electrodes were placed."""
    item = Dataset()
    item.ValueType = "CODE"
    item.ConceptNameCodeSequence = [code_item(Code("10:11345", "MDC", "Lead System"))]
    known = set(STANDARD) <= set(leads)
    item.ConceptCodeSequence = [code_item(Code("10:11264", "MDC", "Unspecified 12-lead system") if known
                                          else Code("261665006", "SCT", "Unknown"))]
    return item


def _group(source: EcgSource, signal: NDArray[np.floating], rate: float) -> Dataset:
    item = Dataset()
    item.WaveformOriginality = "ORIGINAL" if rate == source.rate else "DERIVED"
    item.NumberOfWaveformChannels = len(source.leads)
    item.NumberOfWaveformSamples = signal.shape[1]
    item.SamplingFrequency = DSfloat(rate, auto_format=True)
    item.MultiplexGroupLabel = "RHYTHM"
    sensitivity = _sensitivity(signal)
    item.ChannelDefinitionSequence = [_channel(lead, sensitivity) for lead in source.leads]
    item.WaveformBitsAllocated = 16
    item.WaveformSampleInterpretation = "SS"
    item.WaveformPaddingValue = np.int16(_PADDING).astype("<i2").tobytes()
    item["WaveformPaddingValue"].VR = "OW"
    item.WaveformData = _stored(signal, sensitivity).tobytes()
    item["WaveformData"].VR = "OW"
    return item


def _channel(lead: str, sensitivity: float) -> Dataset:
    value, meaning = code_of_lead(lead)
    item = Dataset()
    item.ChannelLabel = "".join(c for c in lead if c.isprintable() and c != "\\")[:16]
    item.ChannelSourceSequence = [code_item(Code(value, "MDC", meaning))]
    item.ChannelSensitivity = DSfloat(sensitivity, auto_format=True)
    item.ChannelSensitivityUnitsSequence = [code_item(_MICROVOLT)]
    item.ChannelSensitivityCorrectionFactor = 1
    item.ChannelBaseline = 0
    item.ChannelSampleSkew = 0
    item.WaveformBitsStored = 16
    return item


def _sensitivity(signal: NDArray[np.floating]) -> float:
    """Microvolts per step: the finest of 1, 2, 5 × 10ⁿ, not below 0.1, that holds the largest sample."""
    finite = np.abs(signal[np.isfinite(signal)], dtype=np.float64)
    least = max(0.1, float(finite.max(initial=0.0)) * 1000 / 32767)
    decade = 10.0 ** math.floor(math.log10(least))
    step = next(s for s in (1, 2, 5, 10, 20) if s * decade >= least * (1 - 1e-9))
    return float(f"{step * decade:.6g}")


def _stored(signal: NDArray[np.floating], sensitivity: float) -> NDArray[np.int16]:
    """(samples, channels), interleaved as PS3.3 C.10.9.1.6 wants."""
    steps = np.rint(np.asarray(signal, dtype=np.float64) * 1000 / sensitivity)
    stored = np.where(np.isfinite(steps), np.clip(steps, -32767, 32767), _PADDING)
    return np.ascontiguousarray(stored.T.astype("<i2"))
