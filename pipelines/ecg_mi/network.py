"""The network of both stages: convolutions over ten seconds, a transformer over each window of them, the beat and what
is measured of it beside; the windows' probabilities averaged. Training only: what is served is ONNX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from gateway.pipeline import Floats
from pipelines.ecg.network import STEPS, EachLead
from pipelines.ecg_mi.sections import SECTION, Windows
from pipelines.ecg_mi.train_record import RecordBranch, RecordNetwork

TOKEN = 25
"""Samples at 500 Hz of one token: 50 ms."""
_WIDTH, _HEADS = 48, 4
_FINE, _COARSE = 5, 5
_LITTLE = 0.01
"""Keeps the root from making much of rounding near nothing."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`outputs`: what is served; `auxiliary`: further outputs that are only learned from."""

    windows: Windows
    leads: int
    outputs: int
    auxiliary: int


class Residual(nn.Module):  # type: ignore[misc]
    """Two convolutions with a shortcut."""

    def __init__(self, width: int, kernel: int = 5) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(width, width, kernel, 1, kernel // 2, bias=False), nn.BatchNorm1d(width), nn.ReLU(),
            nn.Conv1d(width, width, kernel, 1, kernel // 2, bias=False), nn.BatchNorm1d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.body(x))


class Transformer(nn.Module):  # type: ignore[misc]
    """One encoder block, normalised first: attention of all tokens of a window to all, then each by itself."""

    def __init__(self, width: int, heads: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asked = nn.Linear(width, 3 * width)
        self.told = nn.Linear(width, width)
        self.each = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout),
                                  nn.Linear(2 * width, width), nn.Dropout(dropout))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(windows, tokens, width) → the same."""
        count, tokens, width = x.shape
        parts = self.asked(self.before(x)).reshape(count, tokens, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        weight = torch.softmax(query @ key.transpose(-2, -1) / float(np.sqrt(width // self.heads)), dim=-1)
        x = x + self.told((weight @ value).transpose(1, 2).reshape(count, tokens, width))
        return x + self.each(self.after(x))


class WindowBranch(nn.Module):  # type: ignore[misc]
    """Ten seconds → what each of its windows says, (batch, windows, 48)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.tokens, self.step = shape.windows.length // TOKEN, shape.windows.step // TOKEN
        self.stem = nn.Sequential(
            nn.Conv1d(shape.leads, 24, 15, _FINE, 7, bias=False), nn.BatchNorm1d(24), nn.ReLU(), Residual(24),
            nn.Conv1d(24, _WIDTH, 9, _COARSE, 4, bias=False), nn.BatchNorm1d(_WIDTH), nn.ReLU(), nn.Dropout(0.1))
        self.place = nn.Parameter(torch.randn(self.tokens, _WIDTH) * 0.02)
        self.block = Transformer(_WIDTH, _HEADS)
        self.last = nn.LayerNorm(_WIDTH)

    def forward(self, x: torch.Tensor, chosen: torch.Tensor | None = None) -> torch.Tensor:
        """`chosen`: numbers of the windows to look at, all of them when None."""
        tokens = self.stem(x).unfold(2, self.tokens, self.step)
        if chosen is not None:
            tokens = tokens[:, :, chosen]
        batch, width, windows, count = tokens.shape
        each = tokens.permute(0, 2, 3, 1).reshape(batch * windows, count, width) + self.place
        return self.last(self.block(each)).mean(dim=1).reshape(batch, windows, width)


class Member(nn.Module):  # type: ignore[misc]
    """Ten seconds, beat and measurements → a logit for each window and output.

    `features`: those of the training records, for the scale.
    """

    def __init__(self, shape: Shape, features: Floats) -> None:
        super().__init__()
        self.shape = shape
        every = shape.outputs + shape.auxiliary
        self.windows, self.record = WindowBranch(shape), RecordBranch(shape.leads, every, features)
        self.seen = nn.Sequential(nn.Dropout(0.3), nn.Linear(_WIDTH, every))
        self.each_lead = EachLead(shape.leads, shape.outputs)

    def take_over(self, other: Member, rows: Sequence[int]) -> None:
        """Begin with what a network with other windows and outputs has learned. `rows`: which of its outputs and
        auxiliary ones ours are, in turn."""
        learned = other.state_dict()
        for name, own in self.state_dict().items():
            given = learned[name]
            if name.startswith(("record.beside.", "record.direct.", "seen.")):
                given = given[list(rows)]
            elif name == "windows.place":
                given = given[:len(own)]
            if given.shape == own.shape:
                own.copy_(given)

    def forward(self, ecg: torch.Tensor, beat: torch.Tensor, features: torch.Tensor,
                chosen: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits (batch, windows, outputs + auxiliary); what the windows alone say of them; what each lead alone does,
        (batch, outputs)."""
        seen = self.seen(self.windows(ecg, chosen))
        _, by_leads = self.each_lead(coarse(ecg))
        return seen + self.record(beat, features)[:, None], seen, by_leads

    def explained(self, ecg: torch.Tensor, beat: torch.Tensor,
                  features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (batch, windows, outputs), and how much each lead shows of each output over time (batch, outputs,
        leads, 50), at most 1."""
        outputs = self.shape.outputs
        logits = self.seen(self.windows(ecg)) + self.record(beat, features)[:, None]
        seen, _ = self.each_lead(coarse(ecg))
        shown = torch.relu(seen - seen.mean(dim=3, keepdim=True))  # what stands out, not what a lead shows all along
        return logits[:, :, :outputs], shown / shown.amax(dim=(2, 3), keepdim=True).clamp_min(1e-3)


class Accompanied(nn.Module):  # type: ignore[misc]
    """A network and those of the record alone that left out the same patients: the mean of what they say, these
    together counting as much as the network.

    `rows`: which of their outputs the network's are, in turn.
    """

    def __init__(self, member: Member, beside: Sequence[RecordNetwork], rows: Sequence[int]) -> None:
        super().__init__()
        self.shape, self.member, self.beside, self.rows = member.shape, member, nn.ModuleList(beside), list(rows)

    def explained(self, ecg: torch.Tensor, beat: torch.Tensor,
                  features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As `Member.explained`."""
        logits, shown = self.member.explained(ecg, beat, features)
        told = torch.stack([network(beat, features) for network in self.beside]).mean(dim=0)
        return (logits + told[:, None, self.rows]) / 2, shown


def coarse(ecg: torch.Tensor) -> torch.Tensor:
    """500 → 100 Hz by means."""
    return nn.functional.avg_pool1d(ecg, _FINE)


class Ensemble(nn.Module):  # type: ignore[misc]
    """What is exported: the members' logits averaged, made probabilities window by window, and these averaged.

    `scales`, `member_scales`: slope and offset (outputs, 2) of Platt's scaling, of the mean and of each member.
    """

    def __init__(self, members: Sequence[Accompanied], scales: Floats, member_scales: Floats) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("scales", torch.from_numpy(scales))
        self.register_buffer("member_scales", torch.from_numpy(member_scales))
        self.register_buffer("over", torch.from_numpy(_coverage(members[0].shape.windows)))

    def forward(self, ecg: torch.Tensor, beat: torch.Tensor, features: torch.Tensor,
                weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """`weights` (batch, windows), 1 together. Probabilities (batch, outputs), evidence (batch, outputs, leads, 50)
        in [0, 1], members (batch, members, outputs)."""
        told = [member.explained(ecg, beat, features) for member in self.members]
        logits = torch.stack([logit for logit, _ in told], dim=1)
        each = torch.sigmoid(logits.mean(dim=1) * self.scales[:, 0] + self.scales[:, 1])
        scales = self.member_scales[None, :, None]
        alone = torch.sigmoid(logits * scales[..., 0] + scales[..., 1])
        members = (alone * weights[:, None, :, None]).sum(dim=2)
        shown = torch.stack([where for _, where in told]).mean(dim=0)
        return (each * weights[:, :, None]).sum(dim=1), self._evidence(shown, each, weights), members

    def _evidence(self, shown: torch.Tensor, each: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """What a lead shows, where the windows over it say so too."""
        counted = (weights > 0).to(each.dtype)
        over = (counted @ self.over).clamp_min(1e-6)
        when = torch.einsum("bwo,ws->bos", each * counted[:, :, None], self.over) / over[:, None]
        when = when / when.amax(dim=2, keepdim=True).clamp_min(1e-3)
        return torch.sqrt(shown * (0.1 + 0.9 * when[:, :, None]) + _LITTLE**2) - _LITTLE


def _coverage(windows: Windows) -> Floats:
    """(windows, 50): which share of a step each window covers."""
    length = SECTION // STEPS
    begin, at = windows.step * np.arange(windows.count)[:, None], length * np.arange(STEPS)[None]
    overlap = np.minimum(begin + windows.length, at + length) - np.maximum(begin, at)
    return np.asarray(np.maximum(overlap, 0) / length, np.float32)
