"""One multiplex group (DICOM PS3.3 C.10.9): stored samples to millivolts, channel by channel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from adapters.dicom.content.waveform_leads import lead_number, lead_of_code, lead_of_text
from gateway.errors import Unusable
from gateway.pipeline import Floats

_TYPES = {"SB": "i1", "UB": "u1", "MB": "u1", "AB": "u1", "SS": "i2", "US": "u2", "SL": "i4", "UL": "u4"}
_MILLIVOLTS = {"uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "mv": 1.0, "v": 1e3, "nv": 1e-6, "microvolt": 1e-3,
               "millivolt": 1.0, "volt": 1e3, "nanovolt": 1e-6, "mdc_dim_micro_volt": 1e-3, "mdc_dim_milli_volt": 1.0,
               "mdc_dim_volt": 1e3, "mdc_dim_nano_volt": 1e-6}


@dataclass(frozen=True, slots=True)
class Channel:
    """`number` 1-based within its group; `scale` and `offset` turn stored values into mV."""

    number: int
    lead: str
    named: bool
    """Whether the lead is one that we know, not just a label of the sender's own."""
    scale: float
    offset: float
    bits: int


@dataclass(frozen=True, slots=True)
class Group:
    """`number` 1-based in Waveform Sequence. `signal` float32 (channels, samples) mV, NaN where padded.

    `start`: seconds from the common reference, None where Multiplex Group Time Offset is absent.
    `average`: a median or representative beat, not the recording. `unscaled`: channels left out for lack of a unit.
    """

    number: int
    rate: float
    channels: tuple[Channel, ...]
    signal: Floats
    start: float | None
    average: bool
    unscaled: int

    @property
    def samples(self) -> int:
        return int(self.signal.shape[1])


def read_group(item: Dataset, number: int, little_endian: bool) -> Group:
    """One item of Waveform Sequence. Raises Unusable where it contradicts itself or its data is cut short."""
    count = int(item.NumberOfWaveformChannels)
    definitions = list(item.ChannelDefinitionSequence)
    if count < 1 or len(definitions) != count:
        raise Unusable(f"multiplex group {number} names {len(definitions)} channels and says it has {count}",
                       element="ChannelDefinitionSequence")
    stored = _stored(item, number, count, little_endian)
    channels = [_channel(definition, i) for i, definition in enumerate(definitions, start=1)]
    kept = tuple(c for c in channels if c is not None)
    signal = np.empty((len(kept), stored.shape[0]), dtype=np.float32)
    padding = _padding(item, little_endian)
    for row, channel in zip(signal, kept, strict=True):
        row[:] = _millivolts(stored[:, channel.number - 1], channel, item.WaveformSampleInterpretation, padding)
    return Group(number, _rate(item, number), kept, signal, _start(item),
                 _is_average(item, stored.shape[0]), len(channels) - len(kept))


def full_scale(item: Dataset, number: int, little_endian: bool) -> Floats:
    """One item of Waveform Sequence in shares of its converter's full scale, whatever unit it tells.

    float32 (channels, samples) in [-1, 1], NaN where padded. Raises Unusable where it contradicts itself or is cut
    short.
    """
    count = int(item.NumberOfWaveformChannels)
    definitions = list(item.ChannelDefinitionSequence)
    if count < 1 or len(definitions) != count:
        raise Unusable(f"multiplex group {number} names {len(definitions)} channels and says it has {count}",
                       element="ChannelDefinitionSequence")
    stored = _stored(item, number, count, little_endian)
    padding, interpretation = _padding(item, little_endian), str(item.WaveformSampleInterpretation)
    signal = np.empty((count, stored.shape[0]), dtype=np.float32)
    for row, column, definition in zip(signal, stored.T, definitions, strict=True):
        bits = int(definition.get("WaveformBitsStored") or 8 * stored.dtype.itemsize)
        row[:] = _share(_linear(column, interpretation, bits), interpretation, bits)
        if padding is not None:
            row[column == padding] = np.nan
    return signal


def _share(linear: NDArray[np.integer], interpretation: str, bits: int) -> NDArray[np.float64]:
    """G.711 decodes to 14 (mu-law) or 13 (A-law) bits; unsigned samples rest at half their range."""
    bits = {"MB": 14, "AB": 13}.get(interpretation, bits)
    values = linear.astype(np.float64)
    if interpretation.startswith("U"):
        values = values - 2.0 ** (bits - 1)
    return np.asarray(values / 2.0 ** (bits - 1))


def _stored(item: Dataset, number: int, count: int, little_endian: bool) -> NDArray[np.integer]:
    """Samples as stored, (samples, channels)."""
    samples = int(item.NumberOfWaveformSamples)
    if samples < 1:
        raise Unusable(f"multiplex group {number} holds no samples", element="NumberOfWaveformSamples")
    kind = _kind(item, number, little_endian)
    data = _bytes_of(item["WaveformData"].value, item["WaveformData"].VR, kind, little_endian)
    if len(data) < samples * count * kind.itemsize:
        raise Unusable(f"multiplex group {number} is truncated: {len(data)} bytes of "
                       f"{samples * count * kind.itemsize}", element="WaveformData")
    return np.frombuffer(data, dtype=kind, count=samples * count).reshape(samples, count)


def _kind(item: Dataset, number: int, little_endian: bool) -> np.dtype[np.integer]:
    interpretation = str(item.WaveformSampleInterpretation)
    if interpretation not in _TYPES:
        raise Unusable(f"multiplex group {number} has samples of an unknown kind",
                       element="WaveformSampleInterpretation")
    kind = np.dtype(_TYPES[interpretation]).newbyteorder("<" if little_endian else ">")
    if int(item.WaveformBitsAllocated) != 8 * kind.itemsize:
        raise Unusable(f"multiplex group {number} says {item.WaveformBitsAllocated} bits allocated for "
                       f"{interpretation} samples", element="WaveformBitsAllocated")
    return kind


def _bytes_of(value: bytes | None, vr: str, kind: np.dtype[np.integer], little_endian: bool) -> bytes:
    """8-bit samples in OW of a big-endian object lie in swapped pairs (PS3.5 7.3)."""
    data = value or b""
    if kind.itemsize == 1 and vr == "OW" and not little_endian:
        return np.frombuffer(data[:len(data) // 2 * 2], dtype="<u2").byteswap().tobytes()
    return data


def _padding(item: Dataset, little_endian: bool) -> int | None:
    """Waveform Padding Value (5400,100A) as a stored value; it is coded like one sample."""
    value = item.get("WaveformPaddingValue")
    if not value:
        return None
    kind = np.dtype(_TYPES[item.WaveformSampleInterpretation]).newbyteorder("<" if little_endian else ">")
    data = _bytes_of(value, item["WaveformPaddingValue"].VR, kind, little_endian)
    return int(np.frombuffer(data, dtype=kind, count=1)[0]) if len(data) >= kind.itemsize else None


def _millivolts(stored: NDArray[np.integer], channel: Channel, interpretation: str,
                padding: int | None) -> NDArray[np.float64]:
    values = _linear(stored, interpretation, channel.bits).astype(np.float64) * channel.scale + channel.offset
    if padding is not None:
        values[stored == padding] = np.nan
    return values


def _linear(stored: NDArray[np.integer], interpretation: str, bits: int) -> NDArray[np.integer]:
    if interpretation == "MB":
        return _mu_law(stored)
    if interpretation == "AB":
        return _a_law(stored)
    return _sign_extended(stored, bits) if interpretation.startswith("S") else stored


def _sign_extended(stored: NDArray[np.integer], bits: int) -> NDArray[np.integer]:
    """Some devices leave the bits above Bits Stored clear; then no value is negative, yet some have the sign bit."""
    top = 1 << (bits - 1)
    if bits >= 8 * stored.dtype.itemsize or stored.min() < 0 or not top <= stored.max() < 2 * top:
        return stored
    return (stored.astype(np.int64) ^ top) - top


def _mu_law(stored: NDArray[np.integer]) -> NDArray[np.integer]:
    """ITU-T G.711 table 2: 8-bit mu-law to 14-bit linear."""
    code = ~stored.astype(np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 1) + 33) << ((code >> 4) & 7)) - 33
    return np.where(code & 0x80, -magnitude, magnitude)


def _a_law(stored: NDArray[np.integer]) -> NDArray[np.integer]:
    """ITU-T G.711 table 1: 8-bit A-law to 13-bit linear."""
    code = stored.astype(np.int32) ^ 0x55
    segment, step = (code >> 4) & 7, ((code & 0x0F) << 1) + 1
    magnitude = np.where(segment == 0, step, (step + 32) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude)


def _channel(definition: Dataset, number: int) -> Channel | None:
    """None where the samples cannot be turned into millivolts (no sensitivity, or a unit that is no voltage)."""
    unit = _unit(definition)
    if unit is None or definition.get("ChannelSensitivity") in (None, ""):
        return None
    sensitivity = float(definition.ChannelSensitivity) * _number(definition, "ChannelSensitivityCorrectionFactor", 1.0)
    offset = _number(definition, "ChannelBaseline", 0.0) * unit
    if not (math.isfinite(sensitivity) and math.isfinite(offset)) or sensitivity == 0:
        return None
    lead, named = _lead(definition, number)
    return Channel(number, lead, named, sensitivity * unit, offset, int(definition.get("WaveformBitsStored") or 16))


def _number(item: Dataset, keyword: str, default: float) -> float:
    value = item.get(keyword)
    return default if value in (None, "") else float(value)


def _unit(definition: Dataset) -> float | None:
    """Millivolts in one unit of Channel Sensitivity."""
    for code in definition.get("ChannelSensitivityUnitsSequence") or []:
        for word in (str(code.get("CodeValue", "")), str(code.get("CodeMeaning", "")).rstrip("s")):
            if word.strip().lower() in _MILLIVOLTS and word.strip() != "MV":
                return _MILLIVOLTS[word.strip().lower()]
    return None


def _lead(definition: Dataset, number: int) -> tuple[str, bool]:
    """The lead's name, and whether it is a known one: by code, by label, by the code's meaning.

    A code that names some other lead (−aVR, a modified chest lead) is final: no label makes a standard lead of it.
    """
    sources = list(definition.get("ChannelSourceSequence") or [])
    codes = [str(source.get("CodeValue") or "") for source in sources]
    label = str(definition.get("ChannelLabel") or "").strip()
    texts = [t for t in (label, *(str(source.get("CodeMeaning") or "").strip() for source in sources)) if t]
    if lead := next(filter(None, map(lead_of_code, codes)), None):
        return lead, True
    if other := next((code for code in codes if lead_number(code)), ""):
        return next((text for text in texts if not lead_of_text(text)), other), False
    if lead := next(filter(None, map(lead_of_text, texts)), None):
        return lead, True
    return texts[0] if texts else f"channel {number}", False


def _rate(item: Dataset, number: int) -> float:
    rate = float(item.SamplingFrequency)
    if not (math.isfinite(rate) and rate > 0):
        raise Unusable(f"multiplex group {number} has no sampling frequency", element="SamplingFrequency")
    return rate


def _start(item: Dataset) -> float | None:
    offset = item.get("MultiplexGroupTimeOffset")
    return None if offset in (None, "") else float(offset) / 1000


def _is_average(item: Dataset, samples: int) -> bool:
    label = str(item.get("MultiplexGroupLabel") or "").upper()
    if any(word in label for word in ("MEDIAN", "AVERAGE", "REPRESENTATIVE", "TEMPLATE", "BEAT")):
        return True
    if "RHYTHM" in label:
        return False
    return item.get("WaveformOriginality") == "DERIVED" and samples < 2.5 * float(item.SamplingFrequency)
