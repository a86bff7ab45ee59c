"""`python -m tests.bench.ecg_lengths READER [DATA [CHANGE…]]`: the figures of `validate` on the same records of PTB-XL
at other rates and lengths and as other devices would have recorded them, each told by the member that has not seen it.

Longer than ten seconds no record is: they are made longer by setting their beats end to end, cut before the P wave and
without a step, each repeat a little larger or smaller, with noise and breath of its own. Takes minutes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from adapters.inference.embedded import EmbeddedInference
from gateway.pipeline import Ecg, Floats
from gateway.ports import Inference
from pipelines.ecg.beats import find_beats
from pipelines.ecg.devices import foreign
from pipelines.ecg.preprocess import fill_gaps
from pipelines.ecg.scoring import Scoring, score_rows
from pipelines.ecg.tables import Labelled, labelled
from pipelines.validation.report import report
from tests.bench.lines import progress
from tests.reading import DATA, MODELS

RATES = (100.0, 250.0, 1000.0)
SECONDS = (8.0, 30.0, 300.0)
MANY = 8
"""Of the records with none of the syndromes every eighth is asked."""
_BEFORE_QRS = 0.3
"""Of the interval between two beats, by so much before the QRS it is cut."""


def at_rate(rate: float, ecg: Ecg) -> Ecg:
    """Low-passed on the way down."""
    ratio = Fraction(rate / ecg.rate).limit_denominator(1000)
    signal = resample_poly(fill_gaps(ecg.signal).astype(np.float64), ratio.numerator, ratio.denominator, axis=1,
                           padtype="line")
    return replace(ecg, signal=signal.astype(np.float32), rate=rate)


def lasting(seconds: float, ecg: Ecg) -> Ecg:
    """Cut in the middle, or its beats repeated; as it is where it has not three beats."""
    wanted = round(seconds * ecg.rate)
    signal = fill_gaps(ecg.signal)
    spare = signal.shape[1] - wanted
    if spare >= 0:
        return replace(ecg, signal=signal[:, spare // 2:spare // 2 + wanted])
    piece = _whole_beats(signal, ecg.rate)
    if piece is None:
        return ecg
    random = _random(ecg)
    first = int(random.integers(piece.shape[1]))
    count = -(-(wanted + first) // piece.shape[1])
    long = np.concatenate([piece * random.normal(1, 0.03) for _ in range(count)], axis=1)[:, first:first + wanted]
    return _independent(replace(ecg, signal=(long + _trouble(long.shape, ecg.rate, random)).astype(np.float32)))


def _independent(ecg: Ecg) -> Ecg:
    """Without the limb leads that follow from I and II, so that noise of each lead's own contradicts no other."""
    kept = [row for row, name in enumerate(ecg.leads) if name in ("I", "II") or name.startswith("V")]
    return replace(ecg, signal=ecg.signal[kept], leads=tuple(ecg.leads[row] for row in kept))


def on_another_device(number: int, ecg: Ecg) -> Ecg:
    """See `pipelines.ecg.devices`."""
    signal, rate = foreign(fill_gaps(ecg.signal), ecg.rate, _random(ecg, number))
    return replace(ecg, signal=signal, rate=rate)


def _random(ecg: Ecg, number: int = 0) -> np.random.Generator:
    """Each record's own."""
    return np.random.default_rng((number, int.from_bytes(ecg.sop_instance_uid.encode()[-6:], "big")))


def _whole_beats(signal: Floats, rate: float) -> Floats | None:
    """From before one beat to before another, without a step from its end to its beginning."""
    beats = find_beats(signal, rate)
    if beats is None:
        return None
    usual = float(np.median(beats.intervals))
    cuts = [round((time - _BEFORE_QRS * usual) * rate) for time in beats.times if time > _BEFORE_QRS * usual]
    piece = signal[:, cuts[0]:cuts[-1]]
    step = piece[:, -5:].mean(axis=1, keepdims=True) - piece[:, :5].mean(axis=1, keepdims=True)
    return np.asarray(piece - step * np.linspace(0, 1, piece.shape[1]), np.float32)


def _trouble(shape: tuple[int, ...], rate: float, random: np.random.Generator) -> Floats:
    time = np.arange(shape[1]) / rate
    breath = 0.05 * np.sin(2 * np.pi * random.uniform(0.15, 0.35) * time + random.uniform(0, 6))
    return np.asarray(random.normal(0, 0.01, shape) + breath, np.float32)


def chosen_rows(how: Scoring, every: Labelled) -> Labelled:
    """All with one of the syndromes, and some of the others."""
    has = [bool(np.nansum(how.truth(row)[:len(how.labels)])) for row in every.rows]
    others = [row for row, one in zip(every.rows, has, strict=True) if not one]
    return replace(every, rows=[row for row, one in zip(every.rows, has, strict=True) if one] + others[::MANY])


def figures(how: Scoring, rows: Labelled, change: Callable[[Ecg], Ecg], inference: Inference) -> str:
    """A line of the card's table."""
    changed = replace(rows, open=lambda row: change(rows.open(row)))
    told = report(score_rows(how, changed, inference, lambda _line: None))
    verdicts = told["verdicts"]
    cells = [f"{told['macro_auc']:.3f}", *(f"{told['labels'][name]['auc']:.3f}" for name in how.labels)]
    cells += [" / ".join(str(verdicts[kind][verdict]) for verdict in ("normal", "pathology", "undetermined"))
              for kind in ("none_and_normal", "one_of_them", "other")]
    return " | ".join(cells)


def main(reader: str, data: Path, names: Sequence[str]) -> None:
    how: Scoring = importlib.import_module(f"pipelines.{reader}.validate").scoring()
    rows = chosen_rows(how, labelled(data, [*how.labels, *how.apart.values()], None, None))
    inference = EmbeddedInference(MODELS, 60, 1)
    print(f"| {len(rows.rows)} records | macro AUC | {' | '.join(how.labels)} | called normal | one of them | others |")
    print("|---" * (len(how.labels) + 5) + "|")
    for name, change in changes().items():
        if name in (names or changes()):
            progress(name)
            print(f"| {name} | {figures(how, rows, change, inference)} |", flush=True)


def changes() -> dict[str, Callable[[Ecg], Ecg]]:
    """By name."""
    told: dict[str, Callable[[Ecg], Ecg]] = {"as recorded": lambda ecg: ecg}
    told |= {f"{rate:g} Hz": partial(at_rate, rate) for rate in RATES}
    told |= {f"{seconds:g} s": partial(lasting, seconds) for seconds in SECONDS}
    return told | {f"another device ({number})": partial(on_another_device, number) for number in (1, 2)}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else DATA / "ptb-xl", sys.argv[3:])
