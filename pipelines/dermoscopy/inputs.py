"""What the model is given: the measured features, the lesion cut out, and whose it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gateway.pipeline import Array, Floats
from gateway.study import Study
from pipelines.dermoscopy.features import features
from pipelines.dermoscopy.lesion import Lesion
from pipelines.dermoscopy.prepare import SIDE, Prepared, squeezed_areas

VIEW = 144
"""Pixels of the cut-out's side."""
_AROUND = 1.3
"""The cut-out against the lesion's longer side."""
_SMALLEST = 72
_RIM = 0.15
"""Weight of what is not lesion in the cut-out."""
_AGE = re.compile(r"(\d{3})Y")
_MIDDLE_AGE, _SPREAD = 50.0, 18.0
PERSON = 5


@dataclass(frozen=True, slots=True)
class View:
    """A square of the prepared picture: top, left and side in its pixels; it may reach beyond the edge."""

    top: int
    left: int
    side: int

    @classmethod
    def of(cls, lesion: Lesion) -> View:
        top, left, bottom, right = lesion.box
        side = int(np.clip(max(bottom - top, right - left) * _AROUND, _SMALLEST, SIDE))
        return cls((top + bottom) // 2 - side // 2, (left + right) // 2 - side // 2, side)

    def cut(self, plane: Array) -> Floats:
        """(SIDE, SIDE, channels) → (VIEW, VIEW, channels); beyond the edge the outermost pixels repeat."""
        rows = np.clip(np.arange(self.top, self.top + self.side), 0, SIDE - 1)
        columns = np.clip(np.arange(self.left, self.left + self.side), 0, SIDE - 1)
        return squeezed_areas(np.asarray(plane[rows][:, columns], np.float32), VIEW)


def inputs_of(prepared: Prepared, lesion: Lesion, person: Floats) -> Mapping[str, Array]:
    """`features` (1, FEATURES), `view` (1, 4, VIEW, VIEW): L*, a*, b* against the skin in units of 25, and the weight
    of each pixel; `person` (1, PERSON)."""
    view = View.of(lesion)
    colour = view.cut((prepared.lab - lesion.skin) / np.float32(25))
    weight = np.clip(view.cut(lesion.mask[..., None].astype(np.float32)) + _RIM, 0, 1)
    planes = np.concatenate([colour, weight], axis=-1).transpose(2, 0, 1)
    return {"features": features(prepared, lesion)[None], "view": np.ascontiguousarray(planes, np.float32)[None],
            "person": person[None]}


def person_of(study: Study) -> Floats:
    """Of Patient's Age, else of birth date and study date; of Patient's Sex."""
    told = _AGE.fullmatch(str(study.tags.get("PatientAge") or ""))
    born, on = study.patient.birth_date, str(study.tags.get("StudyDate") or "")
    age = float("nan")
    if told:
        age = float(told[1])
    elif len(born) == 8 and len(on) == 8 and (born + on).isdigit():
        age = (int(on) - int(born)) // 10000
    return person(age, study.patient.sex)


def person(age: float, sex: str) -> Floats:
    """(PERSON,): age against 50 years, its square, whether it is known; male; female. Zeros where nobody says."""
    known = bool(np.isfinite(age)) and 0 <= age <= 120
    scaled = (age - _MIDDLE_AGE) / _SPREAD if known else 0.0
    return np.array([scaled, scaled**2 - 1 if known else 0.0, known, sex == "M", sex == "F"], np.float32)
