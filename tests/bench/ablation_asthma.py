"""`python -m tests.bench.ablation_asthma DATA NETWORK [TRICK…]`: the breath sound reader's cross-validation with each
synthetic trick left out in turn, in the first draw of folds. Areas under the curve on stdout, a line each."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path

import torch

from gateway.app.recordings import RecordingFiles
from pipelines.asthma.augment import Tricks
from pipelines.asthma.train import SYNTHETIC, drawn
from pipelines.asthma.train_clips import gather, synthetic
from pipelines.asthma.train_judged import figures, told
from pipelines.asthma.train_networks import RECIPES, Job, tuned, unheard

EVERYTHING = "nothing"
LEFT_OUT = (EVERYTHING, *(trick.name for trick in fields(Tricks)))


def main(data: str, network: str, *names: str) -> None:
    torch.set_num_threads(1)
    learned = gather(Path(data), RecordingFiles(), say)
    (folds, *_), recipe = drawn(learned, 0), RECIPES[network]
    made = synthetic(SYNTHETIC, 0, say)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(0, "cpu", Tricks(), Path(folder), False, say)
        first = unheard(network, recipe, learned, made, job)
        print(f"synthetic sounds alone: {told(figures(learned, folds, first.logits))}", flush=True)
        for name in names or LEFT_OUT:
            tricks = Tricks() if name == EVERYTHING else replace(Tricks(), **{name: False})
            without = replace(job, tricks=tricks, folder=Path(folder) / name)
            begun = first if tricks.synthesis else unheard(network, recipe, learned, made, without)
            found = tuned(network, recipe, learned, folds, 0, begun, without)
            print(f"then recordings, without {name}: {told(figures(learned, folds, found.logits))}", flush=True)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
