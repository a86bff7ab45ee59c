"""Other scanners, other heads, other lesions: what is done to slices while a network learns. Training only."""

from __future__ import annotations

import torch
from torch.nn import functional


def augmented(slices: torch.Tensor, masks: torch.Tensor, prior: torch.Tensor,
              random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Standardised slices (batch, channels, rows, columns), lesion masks and priors (batch, 1, rows, columns), bent and
    coloured at random; each channel gets other colours, one of nothing but zeros stays so."""
    flip = _uniform(random, len(slices)) < 0.5
    channels = slices.shape[1]
    stacked = torch.cat([slices, masks, (slices[:, :1] != 0).float()], 1)
    stacked[flip] = stacked[flip].flip(-1)
    bent = functional.grid_sample(stacked, _grid(stacked, random), align_corners=False)
    inside = bent[:, -1:] > 0.5
    told = bent[:, :channels] / bent[:, -1:].clamp(min=0.5)
    coloured = torch.cat([_coloured(told[:, n:n + 1], inside, random) for n in range(channels)], 1)
    there = (slices != 0).flatten(2).any(2)[:, :, None, None]
    return coloured * inside * there, (bent[:, channels:channels + 1] > 0.5).float(), _moved(prior, random)


def _uniform(random: torch.Generator, count: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    return torch.rand(count, generator=random) * (high - low) + low


def _grid(stacked: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Turned up to 12 degrees, scaled, sheared and shifted, then bent smoothly by a few pixels."""
    count, _, rows, columns = stacked.shape
    angle = _uniform(random, count, -0.2, 0.2)
    size_x, size_y = (_uniform(random, count, 0.88, 1.12) for _ in range(2))
    shear = _uniform(random, count, -0.1, 0.1)
    ratio = rows / columns
    theta = torch.stack([
        torch.stack([size_x * angle.cos(), (shear - angle.sin()) * ratio, _uniform(random, count, -0.06, 0.06)], 1),
        torch.stack([angle.sin() / ratio, size_y * angle.cos(), _uniform(random, count, -0.06, 0.06)], 1)], 1)
    grid = functional.affine_grid(theta, list(stacked.shape), align_corners=False)
    bends = torch.randn(count, 2, 6, 5, generator=random) * _uniform(random, count, 0, 0.025)[:, None, None, None]
    bent = functional.interpolate(bends, (rows, columns), mode="bicubic", align_corners=False)
    return grid + bent.permute(0, 2, 3, 1)


def _coloured(slices: torch.Tensor, inside: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Another contrast curve, an uneven coil, thick or blurred acquisition, noise."""
    count, _, rows, columns = slices.shape
    lifted = (slices + 5) / 10
    curve = torch.exp(_uniform(random, count, -0.35, 0.35))[:, None, None, None]
    out = lifted.clamp(min=0) ** curve * 10 - 5 * 0.5 ** (curve - 1)
    bias = torch.randn(count, 1, 4, 4, generator=random) * _uniform(random, count, 0, 0.35)[:, None, None, None]
    out = out + functional.interpolate(bias, (rows, columns), mode="bicubic", align_corners=False)
    out = _blurred(out * inside, random)
    noise = torch.randn(out.shape, generator=random) * (_uniform(random, count) ** 2)[:, None, None, None] * 0.6
    out = (out + noise) * torch.exp(_uniform(random, count, -0.2, 0.2))[:, None, None, None]
    return (out + torch.randn(count, 1, 1, 1, generator=random) * 0.15).clamp(-5, 5)


def _blurred(slices: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """A third of the slices loses detail along one axis or both."""
    chosen = _uniform(random, len(slices))
    across = chosen < 0.22
    along = (chosen > 0.11) & (chosen < 0.33)
    out = slices.clone()
    if across.any():
        out[across] = functional.avg_pool2d(out[across], (1, 3), 1, (0, 1))
    if along.any():
        out[along] = functional.avg_pool2d(out[along], (3, 1), 1, (1, 0))
    return out


def _moved(prior: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Sometimes nothing is known of where lesions use to be."""
    keep = (_uniform(random, len(prior)) < 0.85).float()
    return prior * keep[:, None, None, None]
