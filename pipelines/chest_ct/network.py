"""The two networks: a narrow ResNet-18 with an evidence map, and an autoencoder. Training only: needs torch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from pipelines.chest_ct.views import CELL, TOP

WIDTHS = (24, 48, 96, 192)
"""Features of the encoder's four stages."""
SHIFT = CELL
"""Pixels by which slabs are moved when they are asked about again."""


class Block(nn.Module):  # type: ignore[misc]
    """A dilated residual convolution."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + functional.relu(self.norm(self.convolution(x)))


class Residual(nn.Module):  # type: ignore[misc]
    """ResNet's basic block: two convolutions beside a short cut."""

    def __init__(self, narrow: int, wide: int, stride: int) -> None:
        super().__init__()
        self.first = _layer(narrow, wide, stride)
        self.second = nn.Sequential(nn.Conv2d(wide, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide))
        same = stride == 1 and narrow == wide
        self.beside = nn.Identity() if same else nn.Sequential(
            nn.Conv2d(narrow, wide, 1, stride=stride, bias=False), nn.BatchNorm2d(wide))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.second(self.first(x)) + self.beside(x))


class Encoder(nn.Module):  # type: ignore[misc]
    """ResNet-18, `WIDTHS` features in its four stages: (n, 3, rows, columns) → features at 1/4, 1/8, 1/16 and 1/32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, WIDTHS[0], 7, stride=2, padding=3, bias=False),
                                  nn.BatchNorm2d(WIDTHS[0]), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        narrow = (WIDTHS[0], *WIDTHS[:-1])
        self.stages = nn.ModuleList(nn.Sequential(Residual(before, wide, 1 if number == 0 else 2),
                                                  Residual(wide, wide, 1))
                                    for number, (before, wide) in enumerate(zip(narrow, WIDTHS, strict=True)))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x, told = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            told.append(x)
        return told


class Classifier(nn.Module):  # type: ignore[misc]
    """(n, 3, 160, 160) → scores (n, labels), evidence (n, labels, 40, 40), both logits.

    The encoder's four stages come together at the finest of them, coarse ones spread out and added. A score is the mean
    of the six highest cells of its map.
    """

    def __init__(self, labels: int, width: int = 40) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.narrowed = nn.ModuleList(nn.Conv2d(wide, width, 1) for wide in WIDTHS)
        self.joined = _layer(width, width)
        self.head = nn.Conv2d(width, labels, 1)
        nn.init.constant_(self.head.bias, -4.0)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        stages = [narrow(told) for narrow, told in zip(self.narrowed, self.encoder(x), strict=True)]
        joined = stages[-1]
        for finer in reversed(stages[:-1]):
            joined = finer + functional.interpolate(joined, scale_factor=2.0, mode="nearest")
        evidence = self.head(self.joined(joined))
        return torch.topk(evidence.flatten(2), TOP).values.mean(-1), evidence


class Served(nn.Module):  # type: ignore[misc]
    """The classifier's mean answer to a slab, to its mirror image, and to both moved by a cell: test-time augmentation
    inside the graph. Maps are laid back before they are averaged."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        flipped = x.flip(-1)
        asked = (x, flipped, _moved(x, SHIFT), _moved(flipped, SHIFT))
        scores, maps = zip(*(self.classifier(one) for one in asked), strict=True)
        straight = maps[0] + _moved_back(maps[2], maps[0], SHIFT // CELL)
        mirrored = maps[1] + _moved_back(maps[3], maps[1], SHIFT // CELL)
        return torch.stack(scores).mean(0), (straight + mirrored.flip(-1)) / len(asked)


def _moved(x: torch.Tensor, by: int) -> torch.Tensor:
    """Down and to the right; air comes in."""
    return functional.pad(x[..., :-by, :-by], (by, 0, by, 0))


def _moved_back(moved: torch.Tensor, still: torch.Tensor, by: int) -> torch.Tensor:
    """Undoes `_moved`; what went over the edge is taken from the picture that was not moved."""
    wide = torch.cat((moved[..., by:, by:], still[..., :-by, -by:]), dim=-1)
    return torch.cat((wide, still[..., -by:, :]), dim=-2)


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
