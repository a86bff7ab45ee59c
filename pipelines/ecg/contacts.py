"""Whether the electrodes lie and are wired as the leads say: told from the beats. Reasons by name, never a guess."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.pipeline import Floats
from gateway.result import Problem
from pipelines.ecg.beats import BEFORE, Beats, find_beats
from pipelines.ecg.delineation import Delineation
from pipelines.ecg.leads import LEADS
from pipelines.ecg.preprocess import RATE
from pipelines.ecg.quality import named
from pipelines.ecg.rhythm import quick, r_peaks

HEARTBEAT = 1.2
"""How much steeper a lead is at the beats than between them (5-25 Hz); PTB-XL's worst chest lead 1.35."""
DOUBTED, REPEATED = 1.4, 0.15
"""So little steeper, a lead is off too where its beats are so little alike: mean correlation of each with each other
(5-25 Hz). Noise has 0.13 at most, leads I to III of PTB-XL below 1.4 at least 0.21."""
LONGEST_GAP, GAP_SHARE = 4.0, 0.3
"""Seconds without a beat, and their share of the recording: beyond both it was lost (PTB-XL: at most 2.1 s)."""
ALIKE = 0.65
"""Median correlation of the beats with the median beat: noise has 0.6 at most, PTB-XL's worst lead I 0.73."""
NO_HEARTBEAT = Problem("no-heartbeat", "No heartbeat was found in the recording.")
SMALLEST, LARGEST = 0.2, 3.1
"""mV from peak to peak of the QRS, in the middle one of twelve leads (PTB-XL: 0.27-3.0)."""
LARGEST_OF_ALL = 6.5
"""mV, in whichever lead it is largest (PTB-XL: 0.8-6.4)."""
SMALLEST_SINGLE, LARGEST_SINGLE = 0.1, 4.0
"""mV, of lead I alone (PTB-XL: 0.11-3.6)."""
TINY = 0.005
"""mV (standard deviation of the middle lead): volts, or counts of a converter, that were taken for mV."""
OPPOSED = -0.5
"""Correlation of the QRS in I with V6, below which the arms are suspected."""
UNUSUAL = 90
"""Degrees: the P wave (without one the T wave) points to the right."""
_QRS = slice(BEFORE - 40, BEFORE + 50)
_NEAR = 8
_EDGE, _BESIDE = 30, 15
"""Samples at 100 Hz: where filters swing at the ends, and of a beat beside its middle."""


def problems_of_contact(prepared: Floats, leads: tuple[str, ...] = LEADS) -> tuple[Problem, ...]:
    """Leads of (leads, samples) mV at 100 Hz, band-passed, in which no heart beats while it does in others; and a
    recording in which it is lost for long."""
    beats = r_peaks(prepared)
    steep = quick(prepared)
    inside = np.zeros(prepared.shape[1], bool)
    inside[_EDGE:-_EDGE] = True
    near = np.zeros(prepared.shape[1], bool)
    for beat in beats:
        near[max(beat - _NEAR, 0):beat + _NEAR + 1] = True
    if not (near & inside).any() or not (~near & inside).any():
        return (NO_HEARTBEAT,)
    if (gap := _longest_gap(beats, prepared.shape[1])) > max(LONGEST_GAP, GAP_SHARE * prepared.shape[1] / RATE):
        return (Problem("no-heartbeat", f"No heartbeat was found for {gap:.1f} s of the recording."),)
    share = _strength(steep[:, near & inside]) / (_strength(steep[:, ~near & inside]) + 1e-4)
    noise = (share < DOUBTED) & (_repetition(steep, beats) < REPEATED)
    off = (share < HEARTBEAT) | noise
    if leads != LEADS or off[:3].sum() > 1:
        return (_off(off, leads, "electrode off?"),) if off.any() else ()
    off[:3], off[3:6] = noise[:3], False  # one of I, II, III may be at right angles to the heart: it still repeats
    told = "electrode off, or exchanged with that of the right leg?" if off[:3].any() else "electrode off?"
    return (_off(off, leads, told),) if off.any() else ()


def _off(off: NDArray[np.bool_], leads: tuple[str, ...], told: str) -> Problem:
    return Problem("lead-off", f"No heartbeat in leads {named(off, leads)}: {told}")


def _longest_gap(beats: NDArray[np.intp], samples: int) -> float:
    """Seconds."""
    return float(np.diff(np.concatenate(([0], beats, [samples]))).max()) / RATE


def _strength(steep: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt((steep**2).mean(axis=1)))


def _repetition(steep: NDArray[np.float64], beats: NDArray[np.intp]) -> NDArray[np.float64]:
    """Mean correlation of each beat with each other, lead by lead; 1 with fewer than three that lie inside."""
    whole = [b for b in beats if _EDGE + _BESIDE <= b < steep.shape[1] - _EDGE - _BESIDE]
    if len(whole) < 3:
        return np.ones(len(steep))
    each = np.stack([steep[:, b - _BESIDE:b + _BESIDE + 1] for b in whole])
    each -= each.mean(axis=-1, keepdims=True)
    each /= np.sqrt((each**2).sum(axis=-1, keepdims=True)) + 1e-9
    count = len(whole)
    return np.asarray(((each.sum(axis=0) ** 2).sum(axis=-1) - count) / (count * (count - 1)))


def problems_of_beats(beats: Beats) -> tuple[Problem, ...]:
    """Whether they are beats, each like the next, and as large as hearts make them."""
    if not _regular(beats):
        return (NO_HEARTBEAT,)
    sizes = np.ptp(beats.median[:, _QRS], axis=1)
    size, most = float(np.median(sizes)), float(sizes.max())
    smallest, largest = (SMALLEST, LARGEST) if len(sizes) > 1 else (SMALLEST_SINGLE, LARGEST_SINGLE)
    if smallest <= size <= largest and most <= LARGEST_OF_ALL:
        return ()
    return (_wrong_gain(size if not smallest <= size <= largest else most),)


def wrong_gain(problems: tuple[Problem, ...], beats: Beats | None, filled: Floats, rate: float) -> tuple[Problem, ...]:
    """What only looks noisy, or flat, because it is counted in something else than mV, by that name: `problems` as they
    are, or the gain instead of them. `filled`: (leads, samples) without NaN."""
    codes = {problem.code for problem in problems}
    if beats is not None and codes and codes <= {"too-noisy", "mains-hum"} and _regular(beats):
        return problems_of_beats(beats) or problems
    if codes != {"flat-leads"}:
        return problems
    spread = float(np.median(filled.std(axis=1)))
    if not 0 < spread < TINY:
        return problems
    scaled = find_beats(filled / np.float32(spread), rate)
    if scaled is None or not _regular(scaled):
        return problems
    return (_wrong_gain(spread * float(np.median(np.ptp(scaled.median[:, _QRS], axis=1)))),)


def _regular(beats: Beats) -> bool:
    return bool(np.nanmedian(beats.likeness) >= ALIKE)


def _wrong_gain(size: float) -> Problem:
    return Problem("wrong-gain", f"The QRS measures {size:.2g} mV, which is not plausible: wrong gain?")


def problems_of_placement(beats: Beats, waves: Delineation) -> tuple[Problem, ...]:
    """Arms, or right arm and left leg, exchanged: what points to the left or down by nature points the other way."""
    lead_one, chest = beats.median[0, _QRS], beats.median[LEADS.index("V6"), _QRS]
    told = waves.p_axis if waves.p_axis is not None else waves.t_axis
    if told is not None and _alike(lead_one, chest) < OPPOSED and abs(told) > UNUSUAL:
        return (Problem("limb-leads-swapped", "Right and left arm seem exchanged: lead I is upside down against V6, "
                        "P or T against what is usual."),)
    axes = (waves.p_axis, waves.qrs_axis, waves.t_axis)
    if all(axis is not None and np.cos(np.radians(axis + 120)) > least
           for axis, least in zip(axes, (0.5, 0.0, 0.5), strict=True)):
        return (Problem("limb-leads-swapped", "Right arm and left leg seem exchanged: P, QRS and T point up in aVR."),)
    return ()


def _alike(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / max(float(np.sqrt((a**2).sum() * (b**2).sum())), 1e-9))
