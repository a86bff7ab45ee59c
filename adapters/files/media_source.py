"""Attachments as the DICOM objects that they become."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.dicom.content.restamp import restamped
from adapters.files.conversion import HEAD_BYTES, Conversion
from gateway.errors import Unusable
from gateway.media import MediaSource

_TAKEN = ("sound", "photo")


@dataclass(frozen=True, slots=True)
class MediaConversion:
    """Implements gateway.media.MediaWriter. What an attachment is, it says by its first bytes, not by its name."""

    conversion: Conversion

    def __call__(self, source: MediaSource) -> list[bytes]:
        kind = self.conversion.kind(source.content[:HEAD_BYTES])
        if kind not in _TAKEN:
            raise Unusable("the attachment is no WAV or FLAC sound and no PNG or JPEG photograph",
                           element="Media.content.data")
        made = self.conversion.objects(kind, source.content, source.title, source.recorded_at.timestamp())
        return [restamped(part10, source, number) for number, part10 in enumerate(made, 1)]
