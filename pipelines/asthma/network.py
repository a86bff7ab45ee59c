"""The two networks that were tried, and the shell in which they are served. Training only: what is served is ONNX."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from pipelines.asthma.mel import BANDS, WINDOWS

FRAMES = 250
"""Of one clip."""


class Contrast(nn.Module):  # type: ignore[misc]
    """(batch, 3, 128, frames) → twice the channels: the spectrogram, and by how much each band exceeds those around."""

    def __init__(self, reach: int = 10) -> None:
        super().__init__()
        band = torch.arange(BANDS)
        near = ((band[:, None] - band).abs() <= reach).float()
        self.register_buffer("around", near / near.sum(dim=1, keepdim=True))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, 2 * (x - self.around @ x)], dim=1)


class Attention(nn.Module):  # type: ignore[misc]
    """Features over frequency and time (batch, channels, f, t) → their mean by attention, and that attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(channels, 1, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        score = self.score(x).flatten(1)
        weight = torch.softmax(score, dim=1)
        pooled = (x.flatten(2) * weight[:, None]).sum(dim=2)
        return pooled, weight.reshape(-1, x.shape[2], x.shape[3])


class Dense(nn.Module):  # type: ignore[misc]
    """A block of DenseNet: each convolution sees what all before it gave."""

    def __init__(self, channels: int, growth: int, layers: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(channels + growth * i), nn.ReLU(),
                          nn.Conv2d(channels + growth * i, growth, 3, 1, 1, bias=False)) for i in range(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for step in self.steps:
            x = torch.cat([x, step(x)], dim=1)
        return x


class DenseNet(nn.Module):  # type: ignore[misc]
    """A DenseNet of three blocks of three, growth 12: (batch, 3, 128, 250) → logits (batch, outputs), attention."""

    def __init__(self, outputs: int = 2, growth: int = 12, dropout: float = 0.3) -> None:
        super().__init__()
        stem = [Contrast(), nn.Conv2d(2 * len(WINDOWS), 16, (5, 7), (4, 4), (2, 3), bias=False)]
        blocks, channels = [], 16
        for number in range(3):
            blocks.append(Dense(channels, growth, 3))
            channels += 3 * growth
            blocks += [nn.BatchNorm2d(channels), nn.ReLU()]
            if number < 2:
                blocks += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
                channels //= 2
        self.body = nn.Sequential(*stem, *blocks)
        self.attention = Attention(channels)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pooled, attention = self.attention(self.body(x))
        return self.head(self.dropout(pooled)), attention


class Layer(nn.Module):  # type: ignore[misc]
    """One layer of a transformer, normalised before; gives the attention of its last token too."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.all, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout),
                                  nn.Linear(2 * width, width), nn.Dropout(dropout))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        batch, tokens, width = x.shape
        parts = self.all(self.before(x)).reshape(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        weight = torch.softmax(query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5, dim=-1)
        x = x + self.out((weight @ value).transpose(1, 2).reshape(batch, tokens, width))
        return x + self.wide(self.between(x)), weight[:, :, 0, 1:].mean(dim=1)


class Transformer(nn.Module):  # type: ignore[misc]
    """An audio spectrogram transformer of patches 16 bands by 20 frames (8 × 12), two layers of width 48."""

    GRID = (BANDS // 16, FRAMES // 20)

    def __init__(self, outputs: int = 2, width: int = 48, layers: int = 2, dropout: float = 0.2) -> None:
        super().__init__()
        self.contrast = Contrast()
        self.patches = nn.Conv2d(2 * len(WINDOWS), width, (16, 20), (16, 20))
        self.bands = nn.Parameter(0.02 * torch.randn(1, width, self.GRID[0], 1))
        self.frames = nn.Parameter(0.02 * torch.randn(1, width, 1, self.GRID[1]))
        self.told = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.layers = nn.ModuleList(Layer(width, 4, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        patches = self.patches(self.contrast(x)) + self.bands + self.frames
        tokens = patches.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.told.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        weight = tokens
        for layer in self.layers:
            tokens, weight = layer(tokens)
        return self.head(self.norm(tokens[:, 0])), weight.reshape(-1, *self.GRID)


class Together(nn.Module):  # type: ignore[misc]
    """The mean of several networks: logits and attention, which is brought to the finest of their grids."""

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, attention = zip(*(network(x) for network in self.networks), strict=True)
        grid = max((each.shape[1:] for each in attention), key=lambda shape: shape[0] * shape[1])
        return torch.stack(logits).mean(dim=0), torch.stack([_onto(each, grid) for each in attention]).mean(dim=0)


def _onto(attention: torch.Tensor, grid: torch.Size) -> torch.Tensor:
    """(batch, f, t) → (batch, *grid), of sum one again."""
    if attention.shape[1:] == grid:
        return attention
    finer = nn.functional.interpolate(attention[:, None], size=tuple(grid), mode="bilinear")[:, 0]
    return finer / finer.sum(dim=(1, 2), keepdim=True)
