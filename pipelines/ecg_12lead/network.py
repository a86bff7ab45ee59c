"""The network: a plain residual 1-D network over 12 leads at 100 Hz. Training only: what is served is ONNX."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from pipelines.ecg.leads import LEADS
from pipelines.ecg_12lead.labels import OUTPUTS


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


class Network(nn.Module):  # type: ignore[misc]
    """(batch, 12, 1000) mV → logits (batch, 12): the eleven labels and NORM."""

    def __init__(self, widths: tuple[int, ...] = (48, 64, 96, 128, 160)) -> None:
        super().__init__()
        stem = [nn.Conv1d(len(LEADS), widths[0], 15, 2, 7, bias=False), nn.BatchNorm1d(widths[0]), nn.ReLU()]
        blocks = [Block(widths[0], widths[0], 1)]
        blocks += [Block(a, b, 2) for a, b in pairwise(widths)]
        self.body = nn.Sequential(*stem, *blocks)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * widths[-1], len(OUTPUTS)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body(x)
        pooled = torch.cat([y.mean(dim=2), y.amax(dim=2)], dim=1)
        return self.head(pooled)


class Calibrated(nn.Module):  # type: ignore[misc]
    """The network with Platt's scaling and the sigmoid in the graph: what is exported and served."""

    def __init__(self, network: nn.Module, slope: torch.Tensor, offset: torch.Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("slope", slope)
        self.register_buffer("offset", offset)

    def forward(self, ecg: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.network(ecg) * self.slope + self.offset)
