"""From where on a pixel counts: chosen so that the volumes of synthetic heads come out right."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from pipelines.stroke_mr.train_volumes import LEVELS, calibrated, heads  # noqa: E402

pytestmark = pytest.mark.slow


def seen_by_adc(slices: Any, prior: Any) -> tuple[Any, Any]:
    """Tissue of low ADC, the surer the lower."""
    adc = torch.nn.functional.avg_pool2d(slices[:, 1:2], 3, 1, 1)
    lesion = torch.sigmoid(-2 * (adc + 2.0)) * (slices[:, :1] != 0)
    return lesion, (lesion > 0.5).float().sum((2, 3)).clamp(max=60) / 60


def wider(slices: Any, prior: Any) -> tuple[Any, Any]:
    lesion, told = seen_by_adc(slices, prior)
    return torch.nn.functional.max_pool2d(lesion, 5, 1, 2), told


def test_who_outlines_too_much_gets_a_higher_threshold() -> None:
    right = calibrated(seen_by_adc, 0.3, 5, 2)
    too_much = calibrated(wider, 0.3, 5, 2)
    assert LEVELS[0] <= right["pixel_threshold"] < too_much["pixel_threshold"]
    assert right["volume_ratio"] == pytest.approx(1, abs=0.25)
    assert right["volume_dice"] > 0.7


def test_the_same_seed_gives_the_same_head() -> None:
    one, again = (next(heads(1, 3)) for _ in range(2))
    assert (one.lesion == again.lesion).all()
    assert (one.series.volume.values == again.series.volume.values).all()
    assert 0.5 < float(one.lesion.sum()) * 5.5 * 1.8 * 1.8 / 1000 < 60
