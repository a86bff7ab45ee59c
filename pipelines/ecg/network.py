"""The networks of ECG readers: a residual trunk over the leads, measurements beside it, a branch for each lead alone.

Training only: what is served is ONNX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from gateway.pipeline import Floats

STEPS = 50
"""Of the evidence map in a window."""
_CLIP = 4.0
_SHARPNESS = 2.0


class Block(nn.Module):  # type: ignore[misc]
    """Two convolutions with a shortcut, the squeeze-and-excitation of the channels between."""

    def __init__(self, channels: int, wider: int, stride: int, kernel: int = 7, dropout: float = 0.1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(channels, wider, kernel, stride, kernel // 2, bias=False), nn.BatchNorm1d(wider), nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv1d(wider, wider, kernel, 1, kernel // 2, bias=False), nn.BatchNorm1d(wider))
        self.gate = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Conv1d(wider, wider // 8, 1), nn.ReLU(),
                                  nn.Conv1d(wider // 8, wider, 1), nn.Sigmoid())
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels != wider:
            self.shortcut = nn.Sequential(nn.AvgPool1d(stride, stride, ceil_mode=True),
                                          nn.Conv1d(channels, wider, 1, bias=False), nn.BatchNorm1d(wider))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body(x)
        return torch.relu(y * self.gate(y) + self.shortcut(x))


class Standard(nn.Module):  # type: ignore[misc]
    """Measurements in units of their spread over the training records; what is not known (NaN) is the mean."""

    def __init__(self, features: Floats) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(np.nanmean(features, axis=0).astype(np.float32)))
        self.register_buffer("spread", torch.from_numpy((np.nanstd(features, axis=0) + 1e-6).astype(np.float32)))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        told = (features - self.mean) / self.spread
        return torch.where(torch.isnan(told), torch.zeros_like(told), told).clamp(-_CLIP, _CLIP)


class EachLead(nn.Module):  # type: ignore[misc]
    """The same small network on every lead alone: for each output, lead and 0.2 s how much speaks for it."""

    def __init__(self, leads: int, outputs: int, channels: int = 24) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(1, 12, 15, 5, 7, bias=False), nn.BatchNorm1d(12), nn.ReLU(),
            nn.Conv1d(12, channels, 9, 4, 4, bias=False), nn.BatchNorm1d(channels), nn.ReLU())
        self.weight = nn.Parameter(torch.randn(leads, outputs, channels) * 0.05)
        self.offset = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, leads, 1000) → evidence (batch, outputs, leads, 50) and the logits (batch, outputs) it adds up to."""
        batch, leads, samples = x.shape
        seen = self.body(x.reshape(batch * leads, 1, samples)).reshape(batch, leads, -1, STEPS)
        told = torch.einsum("blct,loc->bolt", seen, self.weight)
        over_time = torch.logsumexp(_SHARPNESS * told, dim=3) / _SHARPNESS - float(np.log(STEPS)) / _SHARPNESS
        return told, over_time.sum(dim=2) + self.offset


@dataclass(frozen=True, slots=True)
class Shape:
    """`outputs`: what is served; `auxiliary`: further outputs that are only learned from."""

    leads: int
    outputs: int
    auxiliary: int
    widths: tuple[int, ...] = (32, 48, 64, 96, 128)


class Member(nn.Module):  # type: ignore[misc]
    """Signal (batch, leads, 1000) mV and measurements (batch, features) → logits.

    `features`: those of the training records, for the scale.
    """

    def __init__(self, shape: Shape, features: Floats) -> None:
        super().__init__()
        self.shape, widths = shape, shape.widths
        stem = [nn.Conv1d(shape.leads, widths[0], 15, 4, 7, bias=False), nn.BatchNorm1d(widths[0]), nn.ReLU()]
        self.body = nn.Sequential(*stem, Block(widths[0], widths[0], 1), *[Block(a, b, 2) for a, b in pairwise(widths)])
        self.standard = Standard(features)
        count, every = features.shape[1], shape.outputs + shape.auxiliary
        self.measured = nn.Sequential(nn.Linear(count, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 48), nn.ReLU())
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(2 * widths[-1] + 48, every)
        self.direct = nn.Linear(count, every)
        self.each_lead = EachLead(shape.leads, shape.outputs)

    def forward(self, x: torch.Tensor, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (batch, outputs + auxiliary), and those (batch, outputs) that the leads alone add up to."""
        y, told = self.body(x), self.standard(features)
        _, by_leads = self.each_lead(x)
        return self._logits(y, told, by_leads), by_leads

    def explained(self, x: torch.Tensor, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (batch, outputs), and evidence (batch, outputs, leads, 50) in [0, 1]: what the branch sees in a lead,
        where the trunk sees it too (class activation)."""
        y, told = self.body(x), self.standard(features)
        seen, by_leads = self.each_lead(x)
        width = y.shape[1]
        weight = self.head.weight[:self.shape.outputs]
        active = torch.relu(torch.einsum("bct,oc->bot", y, weight[:, :width] + weight[:, width:2 * width]))
        when = nn.functional.interpolate(active, size=STEPS, mode="linear", align_corners=False)[:, :, None]
        evidence = torch.sqrt(_share(torch.relu(seen)) * (0.1 + 0.9 * _share(when)))
        return self._logits(y, told, by_leads)[:, :self.shape.outputs], evidence

    def _logits(self, y: torch.Tensor, told: torch.Tensor, by_leads: torch.Tensor) -> torch.Tensor:
        pooled = torch.cat([y.mean(dim=2), y.amax(dim=2), self.measured(told)], dim=1)
        logits = self.head(self.dropout(pooled)) + 0.5 * self.direct(told)
        return logits + nn.functional.pad(by_leads, (0, self.shape.auxiliary))


def _share(values: torch.Tensor) -> torch.Tensor:
    """Of the largest of each output of each record; zero where there is none."""
    return values / values.amax(dim=(2, 3), keepdim=True).clamp_min(1e-3)


class Ensemble(nn.Module):  # type: ignore[misc]
    """What is exported: members averaged and calibrated, their evidence, and what each member says by itself.

    `scales`, `member_scales`: slope and offset (outputs, 2) of Platt's scaling, of the mean and of each member.
    """

    def __init__(self, members: Sequence[Member], scales: Floats, member_scales: Floats) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("scales", torch.from_numpy(scales))
        self.register_buffer("member_scales", torch.from_numpy(member_scales))

    def forward(self, ecg: torch.Tensor, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Probabilities (batch, outputs), evidence (batch, outputs, leads, 50), members (batch, members, outputs)."""
        told = [member.explained(ecg, features) for member in self.members]
        logits = torch.stack([logit for logit, _ in told], dim=1)
        evidence = torch.stack([where for _, where in told]).mean(dim=0)
        mean = logits.mean(dim=1)
        alone = torch.sigmoid(logits * self.member_scales[None, :, :, 0] + self.member_scales[None, :, :, 1])
        return torch.sigmoid(mean * self.scales[:, 0] + self.scales[:, 1]), evidence, alone
