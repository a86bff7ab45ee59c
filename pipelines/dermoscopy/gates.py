"""What makes a picture unfit to be read: measured signs, and limits that the model was trained with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from gateway.pipeline import Floats
from gateway.result import Problem
from pipelines.dermoscopy.colour import Mask
from pipelines.dermoscopy.lesion import Lesion
from pipelines.dermoscopy.prepare import Prepared

SMALLEST = 128
"""Rows and columns below which nothing of a lesion's pattern is left."""
TOO_SMALL = Problem("too-small", "The photograph is smaller than 128 pixels.")
DARK = Problem("too-dark", "The photograph is too dark. Take it again with more light.")
BRIGHT = Problem("overexposed", "The photograph is overexposed. Take it again with less light.")
BLURRED = Problem("blurred", "The photograph is blurred. Focus on the lesion and take it again.")
NO_SKIN = Problem("not-skin", "The picture does not show skin.")
NO_LESION = Problem("no-lesion", "No lesion stands out from the skin.")
UNKNOWN = Problem("unknown", "Unknown: the lesion looks unlike those from which the model learned.")
INVALID_OUTPUT = Problem("invalid-model-output", "The model gave something that is no probability.")

_WHITE, _WARM = 0.97, 0.1
OF_PICTURE = ("brightness", "glare", "sharpness", "redness", "greenness", "colourful", "tint")
OF_LESION = ("contrast", "certainty", "paler", "clutter")
SIGNS = (*OF_PICTURE, *OF_LESION)


def signs_of(prepared: Prepared, lesion: Lesion | None) -> dict[str, float]:
    """Of the picture, and of the lesion if there is one."""
    return signs_of_picture(prepared) | ({} if lesion is None else signs_of_lesion(prepared, lesion))


def signs_of_picture(prepared: Prepared) -> dict[str, float]:
    """`brightness` of the lit part, in [0, 1]; `glare`: share of it that is burnt out; `sharpness`: strength of
    structure of about a pixel against that of four; `redness`, `greenness`: median log ratios red to blue and green to
    the mean of both, in the light as it was; `colourful`: share of pixels that are bluer or greener than red; `tint`:
    spread of the log ratio of red to blue, nothing in a grey picture."""
    raw = prepared.raw
    lit = raw[~prepared.outside] if not prepared.outside.all() else raw.reshape(-1, 3)
    grey = raw.mean(axis=-1)
    safe = np.maximum(lit, 0.02)
    logs = np.log(safe)
    return {
        "brightness": float(np.median(lit.mean(axis=1))),
        "glare": float((lit.min(axis=1) > _WHITE).mean()),
        "sharpness": _sharpness(grey, ~prepared.outside),
        "redness": float(np.median(logs[:, 0] - logs[:, 2])),
        "greenness": float(np.median(logs[:, 1] - (logs[:, 0] + logs[:, 2]) / 2)),
        "colourful": float((lit[:, 0] < np.maximum(lit[:, 1], lit[:, 2]) - 0.06).mean()),
        "tint": float(np.subtract(*np.quantile(logs[:, 0] - logs[:, 2], (0.95, 0.05)))),
    }


def signs_of_lesion(prepared: Prepared, lesion: Lesion) -> dict[str, float]:
    """`contrast` and `certainty`: see Lesion; `paler`: mean L* of the lesion above that of the skin; `clutter`:
    strength of structure of some pixels' size around it, in L*: skin is smooth."""
    light = prepared.lab[..., 0]
    paler = float(light[lesion.mask].mean() - lesion.skin[0])
    around = ~ndimage.binary_dilation(lesion.mask, iterations=8) & ~ndimage.binary_dilation(prepared.outside,
                                                                                          iterations=8)
    structure = np.abs(ndimage.gaussian_filter(light, 2.0) - ndimage.gaussian_filter(light, 5.0))
    clutter = float(np.quantile(structure[around], 0.9)) if around.sum() > 500 else 0.0
    return {"contrast": lesion.contrast, "certainty": lesion.certainty, "paler": paler, "clutter": clutter}


def _sharpness(grey: Floats, usable: Mask) -> float:
    """Ratio of the upper percentiles of two difference-of-Gaussians bands."""
    inside = ndimage.binary_erosion(usable, iterations=6)
    inside = inside if inside.any() else np.ones_like(usable)
    smooth = [ndimage.gaussian_filter(grey, sigma) for sigma in (0.6, 1.2, 3.0, 6.0)]
    fine = np.abs(smooth[0] - smooth[1])[inside]
    coarse = np.abs(smooth[2] - smooth[3])[inside]
    return float(np.quantile(fine, 0.98) / (np.quantile(coarse, 0.98) + 0.004))


def problems_of(signs: Mapping[str, float], limits: Mapping[str, float]) -> tuple[Problem, ...]:
    """The first that holds, the plainest first: what is dark is not called blurred. `signs`: of the picture, and of the
    lesion where one was found. What is blurred and shows no lesion is told as both."""
    if signs["brightness"] < limits["darkest"]:
        return (DARK,)
    if signs["brightness"] > limits["brightest"] or signs["glare"] > limits["most_glare"]:
        return (BRIGHT,)
    if not skin(signs, limits):
        return (NO_SKIN,)
    nothing = _problems_of_lesion(signs, limits)
    if signs["sharpness"] >= limits["least_sharp"]:
        return nothing
    return (BLURRED, NO_LESION) if NO_LESION in nothing else (BLURRED,)


def skin(signs: Mapping[str, float], limits: Mapping[str, float]) -> bool:
    """Whether the colours of the picture as a whole are those of skin under a lamp, and no line as sharp as print.
    Colours that hardly differ are no skin where they are grey; skin alone may be as even."""
    return (limits["least_red"] <= signs["redness"] <= limits["most_red"]
            and limits["least_green"] <= signs["greenness"] <= limits["most_green"]
            and signs["sharpness"] <= limits["most_sharp"]
            and signs["colourful"] <= limits["most_colourful"]
            and (signs["tint"] >= limits["least_tint"] or signs["redness"] >= _WARM))


def _problems_of_lesion(signs: Mapping[str, float], limits: Mapping[str, float]) -> tuple[Problem, ...]:
    """Clutter around it is told first: where there is no skin, there is no lesion either."""
    if "contrast" not in signs:
        return (NO_LESION,)
    if signs["clutter"] > limits["most_clutter"]:
        return (NO_SKIN,)
    faint = signs["contrast"] < limits["least_contrast"] or signs["certainty"] < limits["least_certain"]
    if faint or signs["paler"] > limits["palest"]:
        return (NO_LESION,)
    return (NO_SKIN,) if signs["tint"] < limits["least_tint"] else ()


def problems_of_distance(distance: Floats, limits: Mapping[str, float]) -> tuple[Problem, ...]:
    """`distance` (2,): how far from the pictures that were learned from, and how like pictures of other things."""
    if float(distance[1]) > limits["strangest"]:
        return (NO_SKIN,)
    return (UNKNOWN,) if float(distance[0]) > limits["furthest"] else ()
