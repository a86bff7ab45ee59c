"""`python -m tests.bench.ecg_exchanged [DATA]`: how often two exchanged chest leads of PTB-XL are named, and rightly,
and how often it is said of records as they are. Every third record with each pair of its chest leads exchanged."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from pipelines.ecg.beats import Beats
from pipelines.ecg.checking import check
from pipelines.ecg.chest import problems_of_chest
from pipelines.ecg.leads import LEADS
from pipelines.ecg.preprocess import in_order
from pipelines.ecg.ptbxl import read, rows
from tests.bench.lines import progress
from tests.reading import DATA

CHEST = LEADS[6:]
EVERY = 3


def exchanged(beats: Beats, one: str, other: str) -> Beats:
    median = beats.median.copy()
    rows_of = [LEADS.index(one), LEADS.index(other)]
    median[rows_of] = median[rows_of[::-1]]
    return replace(beats, median=median)


def readable(data: Path) -> list[Beats]:
    """The beats of what passes the gates."""
    found = []
    for number, row in enumerate(rows(data)):
        signal, rate, leads = read(row.path)
        ordered, missing = in_order(signal, leads)
        checked = check(ordered, rate, missing)
        if not checked.problems and checked.beats is not None:
            found.append(checked.beats)
        if number % 500 == 0:
            progress(f"{number} records")
    return found


def main(data: Path) -> None:
    beats = readable(data)
    false = sum(bool(problems_of_chest(of)) for of in beats)
    print(f"as recorded: named in {false} of {len(beats)}")
    right = named = 0
    for pair in combinations(CHEST, 2):
        told = [problems_of_chest(exchanged(of, *pair)) for of in beats[::EVERY]]
        texts = [problems[0].text for problems in told if problems]
        named += len(texts)
        right += sum(f"{pair[0]} and {pair[1]} " in text for text in texts)
        print(f"{pair[0]} with {pair[1]}: named in {len(texts) / len(told):.2f}")
    print(f"the two that are named are right in {right / named:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "ptb-xl")
