"""`python -m tests.bench.ablation_asthma DATA NETWORK [TRICK…]`: the breath sound reader's cross-validation with each
synthetic trick left out in turn, one network a fold. Areas under the curve over subjects on stdout, a line each."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from gateway.app.recordings import RecordingFiles
from pipelines.asthma.augment import Tricks
from pipelines.asthma.train import FOLDS, RECIPES, SYNTHETIC, Job, cross_validated, figures, told
from pipelines.asthma.train_clips import gather, synthetic
from pipelines.learning.folds import grouped_folds

LEFT_OUT = ("mixing", "stretching", "synthesis")


def main(data: str, network: str, *names: str) -> None:
    torch.set_num_threads(1)
    learned = gather(Path(data), RecordingFiles(), say)
    folds = grouped_folds(learned.truth[:, :2].astype(float), learned.persons, FOLDS, 0)
    made = synthetic(SYNTHETIC, 0, say)
    with tempfile.TemporaryDirectory() as folder:
        for name in names or LEFT_OUT:
            tricks = Tricks() if name == "none" else replace(Tricks(), **{name: False})
            job = Job(0, "cpu", tricks, Path(folder) / name, False, say)
            found = cross_validated(network, replace(RECIPES[network], times=1), learned, folds, made, job)
            print(f"without {name}: {told(figures(learned, folds, found.logits))}", flush=True)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
