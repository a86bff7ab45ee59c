"""All gates in turn: what has to be right before a network is asked."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.pipeline import Floats
from gateway.result import Problem
from pipelines.ecg.beats import Beats, find_beats
from pipelines.ecg.contacts import problems_of_beats, problems_of_contact, problems_of_placement, wrong_gain
from pipelines.ecg.delineation import SHORTEST_SECONDS, Delineation, delineate_beats
from pipelines.ecg.leads import LEADS
from pipelines.ecg.preprocess import band_pass, fill_gaps, resample
from pipelines.ecg.quality import SHORTEST, problems_of_limb_leads, problems_of_prepared, problems_of_source


@dataclass(frozen=True, slots=True)
class Checked:
    """`problems`: why it is not fit to be read, none when it is. `filled`: mV at its own rate without NaN; `prepared`:
    at 100 Hz, band-passed; `waves`, `beats`: what was measured in the whole recording."""

    problems: tuple[Problem, ...]
    filled: Floats
    prepared: Floats
    waves: Delineation | None
    beats: Beats | None


def check(signal: Floats, rate: float, missing: tuple[str, ...], leads: tuple[str, ...] = LEADS,
          shortest: float = SHORTEST) -> Checked:
    """(leads, samples) mV, NaN where nothing was recorded, rows as `leads`, at least `shortest` seconds. Measures also
    what it refuses, where it can be measured at all."""
    problems = problems_of_source(signal, rate, missing, leads, shortest)
    filled = fill_gaps(signal)
    if not 1 <= rate < 1e6 or filled.shape[1] < min(shortest, SHORTEST_SECONDS) * rate:
        return Checked(problems or problems_of_limb_leads(signal, leads), filled, filled[:, :0], None, None)
    prepared = band_pass(resample(filled, rate))
    problems = (problems or problems_of_prepared(prepared, leads) or problems_of_contact(prepared, leads)
                or problems_of_limb_leads(signal, leads))
    beats = find_beats(filled, rate)
    waves = None if beats is None else delineate_beats(beats)
    problems = wrong_gain(problems, beats, filled, rate)
    if not problems and beats is not None and waves is not None:
        problems = problems_of_beats(beats)
        if not problems and leads == LEADS:
            problems = problems_of_placement(beats, waves)
    return Checked(problems, filled, prepared, waves, beats)
