"""A sound or a photograph that came as an attachment (FHIR Media): becomes DICOM objects of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.study import Patient


@dataclass(frozen=True, slots=True)
class MediaSource:
    """`key`: what makes it the same when sent again; UIDs derive from it.

    `content`: the file's bytes, `title` its name. `body_site`: where on the body, in words.
    """

    key: tuple[str, ...]
    patient: Patient
    content: bytes
    title: str
    recorded_at: datetime
    accession_number: str = ""
    study_instance_uid: str = ""
    age_years: int | None = None
    body_site: str = ""
    description: str = ""


MediaWriter = Callable[[MediaSource], Sequence[bytes]]
"""MediaSource → DICOM Part 10 bytes of each object, the same for the same source. Raises Unusable where the content is
nothing that is read."""
