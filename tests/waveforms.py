"""DICOM waveform objects for tests, built element by element with pydicom alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, GeneralECGWaveformStorage

from gateway.ports import EcgSource
from gateway.study import Instance, Patient

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
RECORDED = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
NUMPY = {"SB": "i1", "UB": "u1", "MB": "u1", "AB": "u1", "SS": "i2", "US": "u2", "SL": "i4", "UL": "u4"}


def instance(path: Path | str, sop_instance_uid: str = "1.2.3.4") -> Instance:
    return Instance(sop_instance_uid, GeneralECGWaveformStorage, "1.2.3", "1.2.3.1", ExplicitVRLittleEndian, str(path),
                    1, "00", {}, RECORDED)


def coded(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def channel(label: str, *, sensitivity: float | None = 1.0, unit: str = "uV", source: Dataset | None = None,
            baseline: float = 0.0, factor: float = 1.0, bits: int = 16) -> Dataset:
    item = Dataset()
    item.ChannelLabel = label
    item.ChannelSourceSequence = [source or coded("X", "99TEST", label or "unnamed")]
    if sensitivity is not None:
        item.ChannelSensitivity = sensitivity
        item.ChannelSensitivityUnitsSequence = [coded(unit, "UCUM", unit)]
        item.ChannelSensitivityCorrectionFactor = factor
        item.ChannelBaseline = baseline
    item.WaveformBitsStored = bits
    return item


def group(stored: NDArray[Any], channels: Sequence[Dataset], *, rate: float = 500, kind: str = "SS",
          big_endian: bool = False, **elements: Any) -> Dataset:
    """`stored`: integers (samples, channels)."""
    item = Dataset()
    item.WaveformOriginality = "ORIGINAL"
    item.NumberOfWaveformChannels = len(channels)
    item.NumberOfWaveformSamples = stored.shape[0]
    item.SamplingFrequency = rate
    item.ChannelDefinitionSequence = list(channels)
    dtype = np.dtype(NUMPY[kind])
    item.WaveformBitsAllocated = 8 * dtype.itemsize
    item.WaveformSampleInterpretation = kind
    data = stored.astype(dtype.newbyteorder(">" if big_endian else "<")).tobytes()
    item.WaveformData = data + b"\0" * (len(data) % 2)
    item["WaveformData"].VR = "OB" if dtype.itemsize == 1 else "OW"
    for keyword, value in elements.items():
        setattr(item, keyword, value)
        if keyword == "WaveformPaddingValue":
            item[keyword].VR = item["WaveformData"].VR
    return item


def waveform(groups: Sequence[Dataset], *, sop_class: str = GeneralECGWaveformStorage, modality: str = "ECG",
             syntax: str = ExplicitVRLittleEndian) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, "1.2.3.4"
    meta.TransferSyntaxUID = syntax
    target = BytesIO()
    ds = FileDataset(target, {}, preamble=b"\0" * 128, file_meta=meta)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, "1.2.3.4"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    ds.PatientID, ds.Modality = "P-1", modality
    ds.WaveformSequence = list(groups)
    dcmwrite(target, ds, enforce_file_format=True)
    return target.getvalue()


def ecg_source(signal: NDArray[Any], rate: float = 500.0, leads: Sequence[str] = LEADS, **overrides: Any) -> EcgSource:
    fields: dict[str, Any] = {
        "key": ("test", "1"), "patient": Patient("P-1", "HOSP", "Иванов^Иван", "19500102", "M"), "rate": rate,
        "leads": tuple(leads), "recorded_at": RECORDED, "signal": signal.astype(np.float32),
        "accession_number": "ACC-1", "age_years": 76, "description": "ЭКГ покоя"}
    return EcgSource(**(fields | overrides))


def beats(leads: int = 12, seconds: float = 10.0, rate: float = 500.0) -> NDArray[np.float32]:
    """Plain synthetic complexes in mV, another amplitude in each lead."""
    t = np.arange(round(seconds * rate)) / rate
    phase = (t % 0.8) - 0.4
    beat = np.exp(-(phase / 0.012) ** 2) - 0.2 * np.exp(-((phase - 0.03) / 0.015) ** 2) \
        + 0.25 * np.exp(-((phase - 0.25) / 0.05) ** 2)
    return np.stack([beat * (0.4 + 0.1 * i) for i in range(leads)]).astype(np.float32)
