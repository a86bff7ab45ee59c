"""SimCLR: the classifier's encoder first learns which two views show the same slab, without any label. Needs torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from gateway.pipeline import Floats
from pipelines.chest_ct.network import WIDTHS, Encoder
from pipelines.learning.precision import half_where_fast

VIEW = 96
"""Pixels on a side of a view."""
BATCH = 48
"""Slabs, each seen twice, among which a view looks for its other half."""
TEMPERATURE = 0.2
Pair = tuple[torch.Tensor, torch.Tensor]


class Contrast(nn.Module):  # type: ignore[misc]
    """The encoder and SimCLR's projection: views (n, 3, VIEW, VIEW) → directions (n, 64) of length one."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.projection = nn.Sequential(nn.Linear(WIDTHS[-1], 128), nn.ReLU(), nn.Linear(128, 64))

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        pooled = self.encoder(views)[-1].mean((2, 3))
        return functional.normalize(self.projection(pooled), dim=1)


def batches(slabs: Floats | Sequence[Floats], rng: np.random.Generator) -> Iterator[Pair]:
    """Pairs of views (n, 3, VIEW, VIEW) of the slabs (3, 160, 160), each slab once an epoch."""
    order = rng.permutation(len(slabs))
    for start in range(0, len(order) - BATCH + 1, BATCH):
        chosen = np.sort(order[start:start + BATCH])
        shown = torch.from_numpy(np.stack([slabs[number] for number in chosen]).astype(np.float32))
        yield view(shown, rng), view(shown, rng)


def steps(slabs: Floats | Sequence[Floats]) -> int:
    return len(slabs) // BATCH


def view(slabs: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Another cut-out, size, turning, brightness and grain of each slab; half of them mirrored."""
    count = len(slabs)
    size = torch.from_numpy(rng.uniform(0.5, 1.0, count).astype(np.float32))
    angle = torch.from_numpy(rng.uniform(-0.25, 0.25, count).astype(np.float32))
    mirrored = torch.from_numpy(rng.choice([-1.0, 1.0], count).astype(np.float32))
    place = torch.from_numpy(rng.uniform(-1, 1, (2, count)).astype(np.float32)) * (1 - size)
    cosine, sine = size * angle.cos(), size * angle.sin()
    turning = torch.stack([torch.stack([cosine * mirrored, -sine, place[0]], 1),
                           torch.stack([sine * mirrored, cosine, place[1]], 1)], 1)
    grid = functional.affine_grid(turning, [count, 3, VIEW, VIEW], align_corners=False)
    cut = functional.grid_sample(slabs, grid, align_corners=False)
    gain, lift, grain = (torch.from_numpy(rng.uniform(low, high, (count, 1, 1, 1)).astype(np.float32))
                         for low, high in ((0.8, 1.2), (-0.1, 0.1), (0.0, 0.05)))
    noise = torch.from_numpy(rng.standard_normal(cut.shape, np.float32)) * grain
    return (cut * gain + lift + noise).clamp(0, 1)


def contrastive_loss(network: nn.Module, batch: Pair) -> torch.Tensor:
    """NT-Xent: of all other views, the most alike must be the other one of the same slab."""
    device = next(network.parameters()).device
    views = torch.cat(batch).to(device, memory_format=torch.channels_last)
    with half_where_fast(device):
        told = network(views)
    alike = told.float() @ told.float().T / TEMPERATURE
    count = len(batch[0])
    alike.fill_diagonal_(-1e4)
    partner = torch.arange(2 * count, device=device).roll(count)
    return functional.cross_entropy(alike, partner)
