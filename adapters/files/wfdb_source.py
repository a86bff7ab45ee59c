"""WFDB records (`.hea` and its signal files) as `EcgSource`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import numpy as np
import wfdb
from numpy.typing import NDArray

from adapters.dicom.content.waveform_leads import in_standard_order, lead_of_text
from gateway.errors import Transient, Unusable
from gateway.pipeline import Floats
from gateway.ports import EcgSource
from gateway.study import Patient

_MILLIVOLTS = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "v": 1e3, "nv": 1e-6}
_MOST_SAMPLES = 500_000_000
_AGE = re.compile(r"\bage\b\s*[:=]?\s*(\d{1,3})\b", re.IGNORECASE)
_SEX = re.compile(r"\b(?:sex|gender)\b\s*[:=]?\s*(male|female|m|f)\b", re.IGNORECASE)
_AGE_AND_SEX = re.compile(r"\s*(\d{1,3})\s+([MF])\b")
"""The MIT-BIH databases' own form: `69 M 1085 1629 x1`."""
_DAMAGED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, EOFError, RuntimeError)


def read_wfdb(header: Path, *, zone: tzinfo = UTC) -> EcgSource:
    """A WFDB record in any signal format, given by its `.hea` file; signals that are no voltage are left out.

    Leads get their standard names and order where they have one. Age and sex come from the comments; the patient id
    is the record's name; the time is the header's in `zone`, else that of the file. The key is a digest of the
    signals, so copies of a record are one recording. Raises Unusable (damaged, no voltages, a signal file missing),
    Transient (cannot be opened).
    """
    try:
        _check_length(header)
        record = wfdb.rdrecord(str(header.with_suffix("")), smooth_frames=False)
        leads, signal, rate = _signals(record)
        comments = " \n".join(record.comments or [])
        recorded_at = _recorded_at(record.base_datetime, header, zone)
    except FileNotFoundError:
        raise Unusable(
            "a signal file that the WFDB header names is missing: send it together with the .hea file") from None
    except OSError as error:
        raise Transient("a file of the WFDB record cannot be opened") from error
    except _DAMAGED:
        raise Unusable("the WFDB record is damaged or truncated") from None
    age, sex = _age_and_sex(comments)
    return EcgSource(("wfdb", digest_of(leads, rate, signal)), Patient(header.stem[:64], sex=sex), signal, rate, leads,
                     recorded_at, age_years=age)


def _check_length(header: Path) -> None:
    """Before anything is allocated: a header may claim any length. (wfdb itself refuses file names with a path.)"""
    head = wfdb.rdheader(str(header.with_suffix("")))
    if "~" in (getattr(head, "seg_name", None) or ()):
        raise Unusable("the WFDB record has a gap between its segments: send the segments one by one")
    if (head.sig_len or 0) * (head.n_sig or 0) > _MOST_SAMPLES:
        raise Unusable("the WFDB record is too long to be a resting ECG", element="sig_len")


def _signals(record: Any) -> tuple[tuple[str, ...], Floats, float]:
    """The voltages of the highest rate in the record, (leads, samples) mV."""
    # of a record in segments wfdb makes one with a single rate
    per_frames = record.samps_per_frame if record.e_p_signal is not None else [1] * record.n_sig
    signals = record.e_p_signal if record.e_p_signal is not None else list(record.p_signal.T)
    rates = [float(record.fs) * per_frame for per_frame in per_frames]
    voltages = [i for i, unit in enumerate(record.units) if unit and unit.lower() in _MILLIVOLTS and unit != "MV"]
    if not voltages:
        raise Unusable("no signal of the WFDB record is a voltage", element="units")
    rate = max(rates[i] for i in voltages)
    kept = [i for i in voltages if rates[i] == rate]
    names = _unique([lead_of_text(record.sig_name[i]) or record.sig_name[i] for i in kept])
    order = in_standard_order(names)
    rows = [_row(signals[kept[i]], record.units[kept[i]]) for i in order]
    return tuple(names[i] for i in order), np.stack(rows), rate


def _row(signal: NDArray[np.float64], unit: str) -> Floats:
    return (np.asarray(signal, dtype=np.float64) * _MILLIVOLTS[unit.lower()]).astype(np.float32)


def _unique(names: Sequence[str]) -> list[str]:
    return [name if name not in names[:i] else f"{name} ({i + 1})" for i, name in enumerate(names)]


def digest_of(leads: Sequence[str], rate: float, signal: Floats) -> str:
    """SHA-256 (hex) of a recording: copies of it are one recording, whatever file they came in."""
    head = f"{rate:.6f} {signal.shape} {' '.join(leads)}\n".encode()
    return hashlib.sha256(head + np.ascontiguousarray(signal, dtype="<f4").tobytes()).hexdigest()


def _age_and_sex(comments: str) -> tuple[int | None, str]:
    if short := _AGE_AND_SEX.match(comments):
        return int(short[1]), short[2]
    age, sex = _AGE.search(comments), _SEX.search(comments)
    return int(age[1]) if age else None, sex[1][0].upper() if sex else ""


def _recorded_at(told: datetime | None, path: Path, zone: tzinfo) -> datetime:
    if told is not None:
        return told.replace(tzinfo=zone).astimezone(UTC)
    return datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
