"""DICOM waveform objects (PS3.3 A.34) as one `Ecg`: 12-lead, General and Ambulatory ECG, Hemodynamic with ECG leads."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError

from adapters.dicom.content.waveform_group import Group, read_group
from adapters.dicom.content.waveform_leads import STANDARD, in_standard_order
from gateway.errors import Rejected, Transient, Unusable
from gateway.pipeline import Ecg, Floats
from gateway.result import Problem
from gateway.study import Instance

MALFORMED = (InvalidDicomError, BytesLengthException, ValueError, TypeError, AttributeError, LookupError, EOFError,
             ArithmeticError, NotImplementedError, RecursionError, struct.error, zlib.error)
"""What pydicom and numpy raise on damaged bytes."""

_LONGEST_SPAN = 600.0
"""Seconds over which groups recorded in sequence are put together: a bad time offset must not fill the memory."""


@dataclass(frozen=True, slots=True)
class _Track:
    """One lead on the recording's time line. `source` is (group, channel), both 1-based."""

    lead: str
    signal: Floats
    source: tuple[int, int]


def load_ecg(instances: tuple[Instance, ...]) -> Ecg:
    """The instance with the most standard leads, then the longest, read to mV.

    Problems: `several-recordings`, `unreadable-instance`, `duplicate-lead`, `unscaled-channels`, `combined-groups`,
    `group-times-unknown`, `left-out-groups`. Raises Unusable, with a sentence, where there is no ECG or it is cut
    short; Transient where a file cannot be opened.
    """
    readable, refusals = [], []
    for instance in instances:
        try:
            readable.append(read_ecg(instance))
        except Rejected as refusal:
            refusals.append(refusal)
    if not readable:
        raise refusals[0] if refusals else Unusable("the study holds no ECG waveform")
    best = max(readable, key=lambda ecg: (_standard_leads(ecg), ecg.signal.shape[1] / ecg.rate))
    extra = []
    if len(readable) > 1:
        extra.append(Problem("several-recordings", f"{len(readable)} recordings; the fullest one was read"))
    if refusals:
        extra.append(Problem("unreadable-instance", f"{len(refusals)} waveform objects could not be read"))
    return Ecg(best.signal, best.rate, best.leads, best.sop_instance_uid, best.channels, (*best.problems, *extra))


def read_ecg(instance: Instance) -> Ecg:
    """One waveform object. Raises Unusable or Transient, as `load_ecg` does."""
    try:
        ds = dcmread(instance.path)
        items = ds.get("WaveformSequence")
        if not items:
            raise Unusable("the object holds no waveform", element="WaveformSequence")
        little_endian = ds.file_meta.TransferSyntaxUID.is_little_endian
        groups = [read_group(item, i, little_endian) for i, item in enumerate(items, start=1)]
        return _assembled(groups, _is_ecg(ds), instance.sop_instance_uid)
    except OSError as error:
        if isinstance(error, EOFError) or error.errno is None:
            raise Unusable("the waveform object is damaged or truncated") from None
        raise Transient("the file of a waveform object cannot be opened") from error
    except MALFORMED:
        raise Unusable("the waveform object is damaged or truncated") from None


def _is_ecg(ds: Dataset) -> bool:
    return str(ds.get("Modality", "")) == "ECG" or str(ds.get("SOPClassUID", "")).startswith(
        "1.2.840.10008.5.1.4.1.1.9.1.")


def _standard_leads(ecg: Ecg) -> int:
    return len(set(ecg.leads) & set(STANDARD))


def _assembled(groups: Sequence[Group], ecg_object: bool, sop_instance_uid: str) -> Ecg:
    recordings = [g for g in groups if not g.average]
    if not recordings:
        raise Unusable("the object holds average beats only, no recording", element="WaveformSequence")
    problems = _unscaled(recordings)
    usable = [g for g in (_with_leads(g, ecg_object) for g in recordings) if g.channels]
    if not usable:
        raise Unusable("no channel is an ECG lead with a voltage unit", element="ChannelDefinitionSequence")
    tracks, rate, more = _joined(usable)
    unique, again = _without_repeats(tracks)
    chosen = [unique[i] for i in in_standard_order(t.lead for t in unique)]
    return Ecg(np.stack([t.signal for t in chosen]), rate, tuple(t.lead for t in chosen), sop_instance_uid,
               tuple(t.source for t in chosen), (*problems, *more, *again))


def _unscaled(groups: Sequence[Group]) -> list[Problem]:
    count = sum(g.unscaled for g in groups)
    return [Problem("unscaled-channels", f"{count} channels without a voltage unit were left out")] if count else []


def _with_leads(group: Group, ecg_object: bool) -> Group:
    """In an ECG object every voltage is a lead, named or not; elsewhere only what is named as one."""
    kept = [i for i, c in enumerate(group.channels) if ecg_object or c.named]
    return Group(group.number, group.rate, tuple(group.channels[i] for i in kept), group.signal[kept], group.start,
                 group.average, group.unscaled)


def _leads(group: Group) -> set[str]:
    return {c.lead for c in group.channels} & set(STANDARD)


def _joined(groups: Sequence[Group]) -> tuple[list[_Track], float, list[Problem]]:
    """The fullest group; where it lacks standard leads that others of its rate have, those are placed in time."""
    first = max(groups, key=lambda g: (len(_leads(g)), g.samples / g.rate))
    together = [g for g in groups if g.rate == first.rate]
    missing = set().union(*map(_leads, together)) - _leads(first)
    problems: list[Problem] = []
    if missing:
        starts, problems = _starts(together)
        span = max(s + g.samples / g.rate for s, g in zip(starts, together, strict=True))
        if span <= max(_LONGEST_SPAN, first.samples / first.rate):
            if len(together) < len(groups):
                problems.append(_left_out(len(groups) - len(together)))
            return list(_placed(together, starts, round(span * first.rate))), first.rate, problems
        problems = []
    if len(groups) > 1:
        problems.append(_left_out(len(groups) - 1))
    return list(_placed([first], [0.0], first.samples)), first.rate, problems


def _left_out(count: int) -> Problem:
    return Problem("left-out-groups", f"{count} further multiplex groups were not read")


def _starts(groups: Sequence[Group]) -> tuple[list[float], list[Problem]]:
    """Seconds from the earliest start. Without offsets, groups of other leads and less than 5 s were recorded one
    after the other (the 3 × 4 layout); longer ones, and rhythm strips over all of them, begin together."""
    if all(g.start is not None for g in groups) and len({g.start for g in groups}) > 1:
        known = [g.start or 0.0 for g in groups]
        return [s - min(known) for s in known], [_combined(groups)]
    starts, clock = [], 0.0
    for group in groups:
        brief = group.samples / group.rate < 5
        starts.append(clock if brief else 0.0)
        clock += group.samples / group.rate if brief else 0.0
    if all(g.start is not None for g in groups) and not clock:
        return starts, [_combined(groups)]
    return starts, [_combined(groups), Problem("group-times-unknown", "the order of the multiplex groups is assumed")]


def _combined(groups: Sequence[Group]) -> Problem:
    return Problem("combined-groups", f"leads of {len(groups)} multiplex groups were put on one time line")


def _placed(groups: Sequence[Group], starts: Sequence[float], samples: int) -> Iterator[_Track]:
    """Each channel on the time line, NaN where it was not recorded; the longest groups first."""
    for group, start in sorted(zip(groups, starts, strict=True), key=lambda pair: -pair[0].samples):
        begin = round(start * group.rate)
        end = min(begin + group.samples, samples)
        for row, channel in zip(group.signal, group.channels, strict=True):
            line = np.full(samples, np.nan, dtype=np.float32)
            line[begin:end] = row[:end - begin]
            yield _Track(channel.lead, line, (group.number, channel.number))


def _without_repeats(tracks: Sequence[_Track]) -> tuple[list[_Track], list[Problem]]:
    """One track per lead: a repeat from another group fills gaps, a repeat within a group is dropped and named."""
    kept: dict[str, _Track] = {}
    dropped = []
    for track in tracks:
        first = kept.setdefault(track.lead, track)
        if first is track:
            continue
        if first.source[0] == track.source[0]:
            dropped.append(track.lead)
        else:
            gaps = np.isnan(first.signal)
            first.signal[gaps] = track.signal[gaps]
    if not dropped:
        return list(kept.values()), []
    return list(kept.values()), [Problem("duplicate-lead", f"{len(dropped)} repeated channels were left out")]
