"""The chest CT classifier: ResNet-18's layout, its pretraining without labels, and averaging over moved slabs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from pipelines.chest_ct import pretraining  # noqa: E402
from pipelines.chest_ct.network import WIDTHS, Classifier, Encoder, Residual, Served  # noqa: E402
from pipelines.chest_ct.views import CELL, SIZE  # noqa: E402


class Brightness(torch.nn.Module):  # type: ignore[misc,name-defined]
    """A classifier of one label whose evidence is the brightness of each cell."""

    def forward(self, x: Any) -> tuple[Any, Any]:
        evidence = torch.nn.functional.avg_pool2d(x[:, :1], CELL)
        return evidence.flatten(1).mean(1, keepdim=True), evidence


def slabs(count: int, seed: int = 0) -> Any:
    return torch.from_numpy(np.random.default_rng(seed).random((count, 3, SIZE, SIZE), np.float32))


def test_the_encoder_is_a_resnet_18() -> None:
    encoder = Encoder()
    assert sum(isinstance(part, Residual) for part in encoder.modules()) == 8
    convolutions = [part for part in encoder.modules() if isinstance(part, torch.nn.Conv2d)]
    assert sum(part.kernel_size != (1, 1) for part in convolutions) == 17  # and the head makes eighteen
    told = encoder.eval()(slabs(1))
    assert [tuple(stage.shape[1:]) for stage in told] == [(wide, SIZE // n, SIZE // n)
                                                          for wide, n in zip(WIDTHS, (4, 8, 16, 32), strict=True)]


def test_a_score_comes_from_the_highest_cells_of_its_own_map() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        scores, evidence = Classifier(5).eval()(slabs(2))
    assert evidence.shape == (2, 5, SIZE // CELL, SIZE // CELL)
    highest = evidence.flatten(2).topk(6).values.mean(-1)
    torch.testing.assert_close(scores, highest)


def test_averaging_lays_every_map_back_in_its_place() -> None:
    shown = slabs(2)
    plain = Brightness()(shown)[1]
    scores, evidence = Served(Brightness())(shown)
    torch.testing.assert_close(evidence, plain, atol=1e-6, rtol=0)
    assert scores.shape == (2, 1)
    mirrored = Served(Brightness())(shown.flip(-1))[1]
    torch.testing.assert_close(mirrored.flip(-1), plain, atol=1e-6, rtol=0)


def test_views_of_a_slab_differ_and_come_again_with_the_seed() -> None:
    shown = slabs(4)
    one, other = (pretraining.view(shown, np.random.default_rng(seed)) for seed in (1, 2))
    assert one.shape == (4, 3, pretraining.VIEW, pretraining.VIEW)
    assert 0 <= float(one.min()) < float(one.max()) <= 1
    assert not torch.equal(one, other)
    assert torch.equal(one, pretraining.view(shown, np.random.default_rng(1)))


def test_the_loss_is_low_where_the_two_views_of_a_slab_are_alike_and_others_are_not() -> None:
    class Given(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))

        def forward(self, views: Any) -> Any:
            return torch.nn.functional.normalize(views.flatten(1) * self.scale, dim=1)

    apart = torch.eye(6)[:, :, None, None]
    loss = pretraining.contrastive_loss
    assert loss(Given(), (apart, apart)) < 0.2
    assert loss(Given(), (apart, apart.roll(1, 0))) > 3
    assert pretraining.steps(slabs(2)) == 0
