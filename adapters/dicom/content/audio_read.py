"""DICOM waveform objects that hold a sound (PS3.3 A.34.2, A.34.9, A.34.10) as one `Audio`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread

from adapters.dicom.content.audio_write import FINDING_SITE
from adapters.dicom.content.waveform_group import full_scale
from adapters.dicom.content.waveform_read import MALFORMED
from gateway.audio import Audio, Samples
from gateway.errors import Rejected, Transient, Unusable
from gateway.result import Problem
from gateway.study import Instance

_MOST_SAMPLES = 200_000_000
_AGE = re.compile(r"(\d{3})([DWMY])")


def load_audio(instances: tuple[Instance, ...]) -> Audio:
    """The longest sound of the instances, those of the highest rates first.

    Problems: `several-recordings`, `unreadable-instance`, `left-out-groups`. Raises Unusable, with a sentence, where
    there is no sound or it is cut short; Transient where a file cannot be opened.
    """
    readable, refusals = [], []
    for instance in instances:
        try:
            readable.append(read_audio(instance))
        except Rejected as refusal:
            refusals.append(refusal)
    if not readable:
        raise refusals[0] if refusals else Unusable("the study holds no sound")
    best = max(readable, key=lambda sound: (sound.rate >= 1000, sound.seconds, sound.rate))
    extra = []
    if len(readable) > 1:
        extra.append(Problem("several-recordings", f"{len(readable)} recordings; the longest one was read"))
    if refusals:
        extra.append(Problem("unreadable-instance", f"{len(refusals)} waveform objects could not be read"))
    return Audio(best.signal, best.rate, best.sop_instance_uid, best.channels, best.location, best.age_years, best.sex,
                 (*best.problems, *extra))


def read_audio(instance: Instance) -> Audio:
    """One object: 8 or 16 bits, linear, mu-law or A-law, any number of channels. Raises Unusable or Transient."""
    try:
        ds = dcmread(instance.path)
        items = ds.get("WaveformSequence")
        if not items:
            raise Unusable("the object holds no waveform", element="WaveformSequence")
        return _sound(ds, list(items), instance.sop_instance_uid)
    except OSError as error:
        if isinstance(error, EOFError) or error.errno is None:
            raise Unusable("the waveform object is damaged or truncated") from None
        raise Transient("the file of a waveform object cannot be opened") from error
    except MALFORMED:
        raise Unusable("the waveform object is damaged or truncated") from None


def _sound(ds: Dataset, items: Sequence[Dataset], sop_instance_uid: str) -> Audio:
    """The longest multiplex group."""
    seconds = [int(item.NumberOfWaveformSamples) / float(item.SamplingFrequency) for item in items]
    number = int(np.argmax(seconds)) + 1
    signal, rate = _group(items[number - 1], number, ds.file_meta.TransferSyntaxUID.is_little_endian)
    problems: tuple[Problem, ...] = ()
    if len(items) > 1:
        problems = (Problem("left-out-groups", f"{len(items) - 1} further multiplex groups were not read"),)
    channels = tuple((number, channel + 1) for channel in range(len(signal)))
    return Audio(signal, rate, sop_instance_uid, channels, _location(ds), _age(ds), _text(ds, "PatientSex"), problems)


def _group(item: Dataset, number: int, little_endian: bool) -> tuple[Samples, float]:
    rate = float(item.SamplingFrequency)
    if not (np.isfinite(rate) and rate > 0):
        raise Unusable(f"multiplex group {number} has no sampling frequency", element="SamplingFrequency")
    if int(item.NumberOfWaveformSamples) * int(item.NumberOfWaveformChannels) > _MOST_SAMPLES:
        raise Unusable(f"multiplex group {number} is too long to be read", element="NumberOfWaveformSamples")
    return full_scale(item, number, little_endian), rate


def _location(ds: Dataset) -> str:
    """Where on the body: what the acquisition context says, else body part and side."""
    for item in ds.get("AcquisitionContextSequence") or []:
        names = [str(code.get("CodeValue", "")) for code in item.get("ConceptNameCodeSequence") or []]
        if FINDING_SITE.value in names:
            codes = [str(code.get("CodeMeaning", "")) for code in item.get("ConceptCodeSequence") or []]
            return str(item.get("TextValue") or next(iter(codes), "")).strip()[:256]
    side = {"L": "left", "R": "right"}.get(_text(ds, "Laterality"), "")
    return " ".join(word for word in (side, _text(ds, "BodyPartExamined").lower()) if word)


def _age(ds: Dataset) -> int | None:
    """Patient's Age (AS), in years."""
    found = _AGE.fullmatch(_text(ds, "PatientAge"))
    return None if found is None else int(found[1]) // {"D": 365, "W": 52, "M": 12, "Y": 1}[found[2]]


def _text(ds: Dataset, keyword: str) -> str:
    value: Any = ds.get(keyword)
    return str(value).strip() if value is not None else ""
