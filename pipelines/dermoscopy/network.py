"""The model as one graph: features, cut-out and person in; probabilities, evidence and distance out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.dermoscopy.dictionary import SCALES, Dictionary
from pipelines.dermoscopy.fitting import PERSON_WIDTH, STRANGE_DISTANCE, STRANGE_WIDTH, WIDTH, Numbers, Space

MAP = 36
_STRONGEST, _FAR = 4.0, 8.0
_TINY, _LEAST_ROOT = 1e-6, 1e-2


class Texture(nn.Module):  # type: ignore[misc]
    """Fisher vector of a cut-out at one scale; and, given weights, how much each place adds to a linear score of it."""

    def __init__(self, dictionary: Dictionary, scale: int, step: int) -> None:
        super().__init__()
        self.scale, self.step, self.patch = scale, step, dictionary.filters.shape[-1]
        for name in ("filters", "offsets", "means", "variances", "shares"):
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(getattr(dictionary, name), np.float32)))

    def places(self, view: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted membership (n, places, words) and components (n, places, components)."""
        small = functional.avg_pool2d(view, self.scale) if self.scale > 1 else view
        seen = functional.conv2d(small[:, :3], self.filters, self.offsets, stride=self.step)
        weight = functional.avg_pool2d(small[:, 3:], self.patch, self.step).flatten(2).transpose(1, 2)
        found = seen.flatten(2).transpose(1, 2)
        inverse = 1 / self.variances
        logs = torch.log(self.shares) - (torch.log(self.variances).sum(1) + found**2 @ inverse.T
                                         - 2 * found @ (self.means * inverse).T
                                         + (self.means**2 * inverse).sum(1)) / 2
        return torch.softmax(logs, 2) * (weight / (weight.sum(1, keepdim=True) + _TINY)), found

    def sums(self, belongs: Tensor, found: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients by share, mean and variance before roots are taken."""
        count = belongs.sum(1)
        first, second = belongs.transpose(1, 2) @ found, belongs.transpose(1, 2) @ found**2
        root = self.shares.sqrt()
        n = count[..., None]
        by_mean = (first - n * self.means) / (self.variances.sqrt() * root[:, None])
        by_spread = ((second - 2 * self.means * first + n * self.means**2) / self.variances - n) / (
            (2 * self.shares).sqrt()[:, None])
        return (count - self.shares) / root, by_mean, by_spread

    def forward(self, view: Tensor) -> Tensor:
        """(n, words × (1 + 2 × components)), signed square roots, length 1."""
        plain = torch.cat([part.flatten(1) for part in self.sums(*self.places(view))], 1)
        rooted = plain.sign() * plain.abs().sqrt()
        return rooted / (rooted.norm(dim=1, keepdim=True) + _TINY)


class DermoscopyNet(nn.Module):  # type: ignore[misc]
    """`supports` (m, FEATURES) and `persons` (m, PERSON): what was learned from, scaled. `with_person`, `alone`
    (m, 2): their weights for melanoma and keratosis. `words` (scales × vector, 2), `bias` (2,): of the texture.
    `stacks` (2, 4, 3), `biases`: to the logits of the classes, for who is known and for who is not."""

    def __init__(self, space: Space, textures: list[Dictionary], heads: dict[str, Numbers]) -> None:
        super().__init__()
        self.textures = nn.ModuleList(Texture(one, *scale) for one, scale in zip(textures, SCALES, strict=True))
        told = {"centre": space.centre, "scale": space.scale, "axes": space.axes, "spreads": space.spreads,
                "rest": np.array(space.rest), **heads}
        for name, values in told.items():
            self.register_buffer(name, torch.from_numpy(np.array(values, np.float32)))

    def forward(self, features: Tensor, view: Tensor, person: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        plain = (features - self.centre) / self.scale
        close, away = squashed(plain), self.distance(plain)
        near = torch.exp(-WIDTH * _apart(close, self.supports))
        same = torch.exp(-PERSON_WIDTH * _apart((person - self.person_centre) / self.person_scale, self.persons))
        texture = self.texture(view)
        scores = torch.stack([torch.cat([(near * same) @ self.with_person, texture], 1),
                              torch.cat([near @ self.alone, texture], 1)])
        logits = (scores - self.score_centre[:, None]) / self.score_scale[:, None] @ self.stacks + self.biases[:, None]
        known = (person[:, 2:].amax(1, keepdim=True) > 0.5).float()
        probabilities = known * torch.softmax(logits[0], 1) + (1 - known) * torch.softmax(logits[1], 1)
        strange = self.strangeness(close) + STRANGE_DISTANCE * away
        return probabilities, self.evidence(view), torch.cat([away, strange], 1)

    def texture(self, view: Tensor) -> Tensor:
        return torch.cat([one(view) for one in self.textures], 1) @ self.words + self.bias

    def distance(self, plain: Tensor) -> Tensor:
        """(n, 1): about 1 for what is like that which was learned from."""
        bounded = plain.clamp(-_FAR, _FAR)
        along = bounded @ self.axes
        left = ((bounded - along @ self.axes.T)**2).mean(1, keepdim=True) / self.rest
        return ((along**2 / self.spreads).mean(1, keepdim=True) / 2 + left / 2).sqrt()

    def strangeness(self, close: Tensor) -> Tensor:
        """(n, 1): the higher, the more like pictures of other things than like lesions on skin. `close` (n, FEATURES):
        scaled and squashed. In double precision: thousands of weights nearly cancel each other."""
        learned = torch.cat([self.supports, self.others]).double()
        kernel = torch.exp(-STRANGE_WIDTH * _apart(close.double(), learned))
        return (kernel @ self.strange[:, None].double()).float()

    def evidence(self, view: Tensor) -> Tensor:
        """(n, 2, MAP, MAP): what each place adds to the texture's scores. The sum over places is the score but for a
        constant, since a square root is its argument divided by it."""
        size = self.words.shape[0] // len(self.textures)
        maps = [_map(one, view, self.words[number * size:(number + 1) * size])
                for number, one in enumerate(self.textures)]
        return torch.stack(maps).sum(0)


def squashed(plain: Tensor) -> Tensor:
    """Within ±2, so that no single feature decides."""
    return torch.tanh(plain.clamp(-_STRONGEST, _STRONGEST) / 2) * 2


def _apart(some: Tensor, others: Tensor) -> Tensor:
    """Squared distances (n, m)."""
    return ((some**2).sum(1, keepdim=True) + (others**2).sum(1) - 2 * some @ others.T).clamp(min=0)


def _map(texture: Texture, view: Tensor, words: Tensor) -> Tensor:
    belongs, found = texture.places(view)
    parts = texture.sums(belongs, found)
    plain = torch.cat([part.flatten(1) for part in parts], 1)
    roots = plain.abs().sqrt()
    length = plain.abs().sum(1, keepdim=True).sqrt() + _TINY
    slope = words.T[:, None] / (roots.clamp(min=_LEAST_ROOT) * length)  # (classes, n, vector)
    k, d = texture.means.shape
    root = texture.shares.sqrt()
    by_share = slope[..., :k] / root
    by_mean = slope[..., k:k + k * d].unflatten(-1, (k, d)) / (texture.variances.sqrt() * root[:, None])
    by_spread = slope[..., k + k * d:].unflatten(-1, (k, d)) / (2 * texture.shares).sqrt()[:, None]
    inverse = 1 / texture.variances
    constant = by_share - (by_mean * texture.means).sum(-1) + (by_spread * (texture.means**2 * inverse - 1)).sum(-1)
    linear = by_mean - 2 * by_spread * texture.means * inverse
    square = by_spread * inverse
    value = (constant[..., None, :] + found @ linear.transpose(-1, -2) + found**2 @ square.transpose(-1, -2))
    added = (belongs * value).sum(-1).transpose(0, 1)  # (n, classes, places)
    side = round(added.shape[-1] ** 0.5)
    return functional.interpolate(added.unflatten(-1, (side, side)), size=(MAP, MAP), mode="bilinear") * (
        side * side / (MAP * MAP))
