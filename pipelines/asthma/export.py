"""The networks of the folds and the regression as one ONNX file of the model repository. Training only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pipelines.asthma.combine import Combination
from pipelines.asthma.labels import OUTPUTS
from pipelines.asthma.measures import FEATURES
from pipelines.asthma.mel import BANDS, HIGHEST, HOP, WINDOWS
from pipelines.asthma.network import FRAMES
from pipelines.asthma.preprocess import KEPT, OVERLAP, RATE, TRIM, WINDOW
from pipelines.asthma.train_clips import Learned
from pipelines.learning.export import Release, Signature, write_model

VERSION = "1.0.0"
SHORTEST = 10.0
"""Seconds; the published rule is 14, the recordings at hand have 10."""


class Served(nn.Module):  # type: ignore[misc]
    """(clips, 3, 128, 250) and (clips, 3) → probabilities (clips, 4), attention (clips, f, t) that sums to one, and
    what each of the networks says by itself (clips, networks, 4)."""

    def __init__(self, networks: Sequence[nn.Module], combination: Combination) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        for name in ("network", "features", "offset"):
            self.register_buffer(name, torch.tensor(getattr(combination, name), dtype=torch.float32))

    def forward(self, mel: torch.Tensor, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        told = [network(mel) for network in self.networks]
        logits = torch.stack([logit for logit, _ in told], dim=1)
        attention = torch.stack([weight for _, weight in told]).mean(dim=0)
        beside = _weighed(features, self.features) + self.offset
        members = torch.stack([_weighed(logit, self.network) + beside for logit, _ in told], dim=1)
        return torch.sigmoid(_weighed(logits.mean(dim=1), self.network) + beside), attention, torch.sigmoid(members)


def _weighed(given: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """given @ weights, written so that the exported graph keeps the batch free."""
    return (given[:, :, None] * weights).sum(dim=1)


def write(model: Served, thresholds: Mapping[str, float], folder: Path, learned: Learned, memory: str,
          report: Mapping[str, Any]) -> str:
    """Write the model; returns the SHA-256 of its file."""
    model = model.cpu().eval()
    mels = learned.mels[:7].astype(np.float32)
    features = learned.features[learned.clip_of[:7]].astype(np.float32)
    with torch.no_grad():
        grid = tuple(model(torch.from_numpy(mels), torch.from_numpy(features))[1].shape[1:])
    signature = Signature({"mel": (len(WINDOWS), BANDS, FRAMES), "features": (len(FEATURES),)},
                          {"probabilities": (len(OUTPUTS),), "attention": grid,
                           "members": (len(model.networks), len(OUTPUTS))}, "probabilities")
    preprocessing = {"rate": RATE, "trim": TRIM, "kept": KEPT, "window": WINDOW, "overlap": OVERLAP,
                     "stft": WINDOWS, "hop": HOP, "bands": BANDS, "highest": min(HIGHEST, RATE / 2),
                     "features": FEATURES}
    status = f"cross-validated on {report['subjects']} subjects of KAUH; not cleared for clinical use"
    release = Release(VERSION, status, OUTPUTS, thresholds, preprocessing, report,
                      further={"shortest_seconds": f"{SHORTEST:g}", "memory": memory})
    return write_model(model, signature, release, folder, [mels, features])
