"""The 2-D U-Net (MONAI's) with a mirrored view of the brain, and what is served of it. Training only: needs torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets.basic_unet import BasicUNet
from torch import nn
from torch.nn import functional

from pipelines.stroke_mr.labels import CROP, SIZE

CELL = 4
"""Pixels on a side that are folded into channels, and unfolded at the end: the U-Net works at a quarter of the
resolution and tells each pixel of a cell apart."""
TOP = 24
"""Cells with the highest lesion logit that the verdict on the whole slice looks at."""


class Network(nn.Module):  # type: ignore[misc]
    """Slices (batch, channels, rows, columns), zero outside the brain, and where lesions use to be (batch, 1, rows,
    columns) → lesion logits (batch, 1, rows, columns) and one logit a slice: any acute lesion in it.

    The midline lies in the middle: the left-right difference of the smoothed first channel is a channel of its own.
    """

    def __init__(self, channels: int = 1, width: int = 24) -> None:
        super().__init__()
        features = (width, width * 2, width * 3, width * 4, width * 6, width)
        self.unet = BasicUNet(spatial_dims=2, in_channels=(channels + 3) * CELL * CELL, out_channels=CELL * CELL,
                              features=features,
                              act=("LeakyReLU", {"negative_slope": 0.1, "inplace": True}), norm="batch",
                              upsample="nontrainable")
        self.head = nn.Sequential(nn.Linear(features[4] * 2 + 3, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 1))

    def forward(self, slices: torch.Tensor, prior: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        smooth = functional.avg_pool2d(slices[:, :1], 5, 1, 2)
        inside = (slices[:, :1] != 0).to(slices.dtype)
        stacked = torch.cat([slices, smooth - smooth.flip(-1), prior, inside], 1)
        shallow = self.unet.conv_0(functional.pixel_unshuffle(stacked, CELL))
        second = self.unet.down_1(shallow)
        third = self.unet.down_2(second)
        fourth = self.unet.down_3(third)
        deep = self.unet.down_4(fourth)
        up = self.unet.upcat_3(self.unet.upcat_4(deep, fourth), third)
        up = self.unet.upcat_1(self.unet.upcat_2(up, second), shallow)
        cells = self.unet.final_conv(up)
        return functional.pixel_shuffle(cells, CELL), self._verdict(deep, cells, inside)

    def _verdict(self, deep: torch.Tensor, cells: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        weight = functional.adaptive_avg_pool2d(inside, deep.shape[-2:])
        mean = (deep * weight).sum((2, 3)) / (weight.sum((2, 3)) + 1e-3)
        most = deep.amax((2, 3))
        highest = cells.amax(1).flatten(1).topk(TOP, 1).values
        told = torch.stack([highest[:, 0], highest[:, :TOP // 4].mean(1), highest.mean(1)], 1)
        return torch.as_tensor(self.head(torch.cat([mean, most, told], 1))[:, 0])


class Served(nn.Module):  # type: ignore[misc]
    """The mean of several networks, each asked about the slice and its mirror image, on slices of 256 × 256.

    `slope`, `offset` (Platt) turn the mean logit of the slice into a calibrated probability.
    """

    def __init__(self, networks: Sequence[nn.Module], slope: float, offset: float) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.slope, self.offset = slope, offset

    def forward(self, slices: torch.Tensor, prior: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        top, left = (SIZE - CROP[0]) // 2, (SIZE - CROP[1]) // 2
        seen = slices[:, :, top:top + CROP[0], left:left + CROP[1]]
        usual = prior[:, :, top:top + CROP[0], left:left + CROP[1]]
        maps, verdicts = zip(*(network(seen, usual) for network in self.networks), strict=True)
        turned, again = zip(*(network(seen.flip(-1), usual.flip(-1)) for network in self.networks), strict=True)
        lesion = torch.stack([*(torch.sigmoid(m) for m in maps), *(torch.sigmoid(m.flip(-1)) for m in turned)]).mean(0)
        logit = torch.stack([*verdicts, *again]).mean(0)
        probability = torch.sigmoid(self.slope * logit + self.offset)
        return functional.pad(lesion, (left, left, top, top)), probability[:, None]
