"""All that the archive's routes ask."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.archive import Audit, Patients, Studies
from gateway.erasing import Eraser


@dataclass(frozen=True, slots=True)
class Library:
    """Patients and studies as people keep them."""

    patients: Patients
    studies: Studies
    audit: Audit
    eraser: Eraser
