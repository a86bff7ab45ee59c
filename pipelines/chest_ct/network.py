"""The two demonstration networks: a small convolutional classifier with an evidence map, and an autoencoder."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

TOP = 6
"""Cells that make a slab's score."""


class Block(nn.Module):  # type: ignore[misc]
    """A dilated residual convolution."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + functional.relu(self.norm(self.convolution(x)))


class Classifier(nn.Module):  # type: ignore[misc]
    """(n, 3, 160, 160) → scores (n, kinds), evidence (n, kinds, 40, 40), both logits.

    A score is the mean of the six highest cells of its map.
    """

    def __init__(self, kinds: int, width: int = 40) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        )
        self.blocks = nn.Sequential(*(Block(width, dilation) for dilation in (1, 2, 4, 8, 1)))
        self.head = nn.Conv2d(width, kinds, 1)
        nn.init.constant_(self.head.bias, -4.0)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        evidence = self.head(self.blocks(self.stem(x)))
        return torch.topk(evidence.flatten(2), TOP).values.mean(-1), evidence


class Autoencoder(nn.Module):  # type: ignore[misc]
    """(n, 1, 80, 80) → the same as healthy lungs would look: trained to undo blots, so disease is lost on the way."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.fine = _layer(1, 16, stride=2)
        self.coarse = nn.Sequential(_layer(16, width, stride=2), *(Block(width, n) for n in (1, 2, 4, 8, 1)))
        self.middle = _layer(width + 16, 24)
        self.head = nn.Sequential(_layer(24, 12), nn.Conv2d(12, 1, 3, padding=1), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fine = self.fine(x)
        coarse = functional.interpolate(self.coarse(fine), scale_factor=2.0, mode="nearest")
        middle = self.middle(torch.cat((fine, coarse), dim=1))
        rebuilt: torch.Tensor = self.head(functional.interpolate(middle, scale_factor=2.0, mode="nearest"))
        return rebuilt


def _layer(narrow: int, wide: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(narrow, wide, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(wide),
                         nn.ReLU())
