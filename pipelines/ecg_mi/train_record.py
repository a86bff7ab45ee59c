"""What the beat that stands for a recording and its measurements say. Training only: what is served is ONNX."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from gateway.pipeline import Floats
from pipelines.ecg.network import Standard
from pipelines.ecg_mi.signs import SHAPE

_BEAT = 64
Pairs = Sequence[tuple[int, int]]
"""Outputs of which at most one holds."""


class BeatBranch(nn.Module):  # type: ignore[misc]
    """The averaged beat, (batch, leads, SHAPE) → (batch, 64)."""

    def __init__(self, leads: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(leads, 48, 5, 1, 2), nn.BatchNorm1d(48), nn.ReLU(),
            nn.Conv1d(48, 48, 5, 2, 2), nn.BatchNorm1d(48), nn.ReLU(), nn.Dropout(0.1),
            nn.Conv1d(48, 64, 5, 2, 2), nn.BatchNorm1d(64), nn.ReLU(),
            nn.Conv1d(64, 32, 3, 2, 1), nn.BatchNorm1d(32), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3),
            nn.Linear(32 * (-(-SHAPE // 8)), _BEAT), nn.ReLU())

    def forward(self, beat: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.body(beat))


class RecordBranch(nn.Module):  # type: ignore[misc]
    """Beat (batch, leads, SHAPE) and measurements (batch, features) → (batch, outputs).

    `features`: those of the training records, for the scale.
    """

    def __init__(self, leads: int, outputs: int, features: Floats) -> None:
        super().__init__()
        count = features.shape[1]
        self.beat, self.standard = BeatBranch(leads), Standard(features)
        self.measured = nn.Sequential(nn.Dropout(0.1), nn.Linear(count, 96), nn.ReLU(), nn.Dropout(0.3),
                                      nn.Linear(96, _BEAT), nn.ReLU())
        self.beside = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * _BEAT, outputs))
        self.direct = nn.Linear(count, outputs)

    def forward(self, beat: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        told = self.standard(features)
        both = torch.cat([self.beat(beat), self.measured(told)], dim=1)
        return torch.as_tensor(self.beside(both) + 0.5 * self.direct(told))


class RecordNetwork(nn.Module):  # type: ignore[misc]
    """A network of its own of beat and measurements alone: logits (batch, outputs)."""

    def __init__(self, leads: int, outputs: int, features: Floats, pairs: Pairs) -> None:
        super().__init__()
        self.branch, self.pairs = RecordBranch(leads, outputs, features), tuple(pairs)

    def forward(self, beat: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return apart(self.branch(beat, features), self.pairs)


def apart(logits: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    """(..., outputs): of each pair the logits of a softmax over one, the other and neither."""
    if not pairs:
        return logits
    columns = list(logits.unbind(dim=-1))
    for one, other in pairs:
        first, second = columns[one], columns[other]
        columns[one] = first - nn.functional.softplus(second)
        columns[other] = second - nn.functional.softplus(first)
    return torch.stack(columns, dim=-1)
