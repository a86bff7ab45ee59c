"""What is measured of rhythm and waves, as numbers that a network reads beside the signal. Pure.

A network at 100 Hz sees shapes well and milliseconds badly; it is given both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.pipeline import Floats
from pipelines.ecg.beats import ALIKE, Beats, find_beats
from pipelines.ecg.delineation import P_SIZE, P_STEADY, SHORTEST_SECONDS, Delineation, delineate_beats

RHYTHM: tuple[str, ...] = ("rate", "rr_sd", "rr_mad", "rmssd", "rr_min", "rr_max", "odd", "least_alike", "early_alike",
                           "early_odd", "late")
"""Beats a minute; ms (three); shortest and longest interval by the median one; share of beats unlike the others, least
likeness; by how much of an interval the earliest beat comes too early, among those alike and those not; share of
intervals over 1.15 of the median one."""
WAVES: tuple[str, ...] = ("qrs", "pr", "p_peak", "p_size", "p_steady", "p_likely", "qt", "t_peak", "qrs_axis_sin",
                          "qrs_axis_cos", "t_axis_sin", "t_axis_cos", "p_axis_sin", "p_axis_cos")
"""ms, mV, correlation; axes by sine and cosine. `pr` and the P wave also where it is not sure to be one."""
TWELVE_LEAD: tuple[str, ...] = (*RHYTHM, *WAVES)
SINGLE_LEAD: tuple[str, ...] = (*RHYTHM, "qrs", "p_peak", "p_size", "p_steady", "p_likely", "t_peak")


def measure_twelve_leads(signal: Floats, rate: float) -> Floats:
    """(12, samples) mV without NaN → float32 (25,) in the order of `TWELVE_LEAD`, NaN where nothing could be told."""
    return twelve_lead_features(*_measured(signal, rate))


def twelve_lead_features(beats: Beats | None, waves: Delineation | None) -> Floats:
    """The same from beats and waves that are known already."""
    if beats is None or waves is None:
        return np.full(len(TWELVE_LEAD), np.nan, np.float32)
    return np.concatenate([rhythm_features(beats), wave_features(waves)]).astype(np.float32)


def measure_single_lead(signal: Floats, rate: float) -> Floats:
    """(1, samples) mV without NaN → float32 (17,) in the order of `SINGLE_LEAD`."""
    return single_lead_features(*_measured(signal, rate))


def single_lead_features(beats: Beats | None, waves: Delineation | None) -> Floats:
    """The same from beats and waves that are known already."""
    if beats is None or waves is None:
        return np.full(len(SINGLE_LEAD), np.nan, np.float32)
    before = waves.before
    shape = [_known(waves.qrs), before.peak, before.size, before.steady, before.likely, _known(waves.t_at)]
    return np.concatenate([rhythm_features(beats), shape]).astype(np.float32)


def _measured(signal: Floats, rate: float) -> tuple[Beats | None, Delineation | None]:
    beats = find_beats(signal, rate) if signal.shape[1] >= SHORTEST_SECONDS * rate else None
    return beats, None if beats is None else delineate_beats(beats)


def rhythm_features(beats: Beats) -> NDArray[np.float64]:
    """In the order of `RHYTHM`. Raises nothing: three beats are enough for `find_beats`, and for these."""
    intervals = beats.intervals
    usual = float(np.median(intervals))
    steps = np.diff(intervals)
    told = beats.likeness[~np.isnan(beats.likeness)]
    early = np.concatenate([[0.0], 1 - intervals / usual])
    unlike = beats.likeness < ALIKE
    return np.array([
        60 / float(np.mean(intervals)), 1000 * float(np.std(intervals)),
        1000 * float(np.median(np.abs(intervals - usual))), 1000 * float(np.sqrt(np.mean(steps**2))),
        intervals.min() / usual, intervals.max() / usual, float((told < ALIKE).mean()), float(told.min()),
        float(early[~unlike].max(initial=0.0)), float(early[unlike].max(initial=0.0)),
        float((intervals > 1.15 * usual).mean())])


def measured_in(features: Floats, names: tuple[str, ...]) -> dict[str, float]:
    """Back from a row of features to what syndromes are defined by (see `pipelines.ecg.disagreement`)."""
    told = {name: float(value) for name, value in zip(names, features, strict=True) if not np.isnan(value)}
    found = {"heart rate": told.get("rate"), "QRS duration": told.get("qrs")}
    if {"pr", "p_steady", "p_size"} <= told.keys() and told["p_steady"] >= P_STEADY and told["p_size"] >= P_SIZE:
        found["PR interval"] = told["pr"]
    if {"qrs_axis_sin", "qrs_axis_cos"} <= told.keys():
        found["QRS axis"] = float(np.degrees(np.arctan2(told["qrs_axis_sin"], told["qrs_axis_cos"])))
    return {name: value for name, value in found.items() if value is not None}


def wave_features(waves: Delineation) -> list[float]:
    """In the order of `WAVES`."""
    before = waves.before
    axes = [part for axis in (waves.qrs_axis, waves.t_axis, before.axis) for part in _direction(axis)]
    return [_known(waves.qrs), before.begins, before.peak, before.size, before.steady, before.likely, _known(waves.qt),
            _known(waves.t_at), *axes]


def _known(value: float | None) -> float:
    return np.nan if value is None else value


def _direction(axis: float | None) -> tuple[float, float]:
    angle = np.radians(_known(axis))
    return float(np.sin(angle)), float(np.cos(angle))
