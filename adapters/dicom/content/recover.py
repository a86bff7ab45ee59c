"""An Instance from its file alone: what the index misses after a crash."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from adapters.dicom.content import part10
from adapters.dicom.content.common import MANUFACTURER
from gateway.intake import instance_of
from gateway.ports import Outcome, Stored, TagReader
from gateway.study import Instance, Sender

_PIECE = 1024 * 1024
"""Bytes read at a time: an object may be larger than the memory."""


def read_instance(path: str, read_tags: TagReader) -> Instance:
    """Raises OSError, Unreadable, Unusable. The sender is what file meta says (0002,0016), or the gateway itself."""
    digest = hashlib.sha256()

    def pieces(piece: bytes) -> Iterator[bytes]:
        while piece:
            digest.update(piece)
            yield piece
            piece = file.read(_PIECE)

    with Path(path).open("rb") as file:
        first = file.read(_PIECE)
        header, dataset = part10.split(first)
        tags = read_tags(header, pieces(dataset))
        status = os.fstat(file.fileno())
    # What the gateway made of non-DICOM input has to go out before its report: told by its manufacturer, where no
    # application entity has sent it.
    calling = part10.parse(header).source_ae_title
    made_here = tags.get("Manufacturer") == MANUFACTURER and not calling
    sender = Sender("wfdb", "recovered") if made_here else Sender("dicom", calling)
    stored = Stored(path, digest.hexdigest(), status.st_size, Outcome.STORED)
    return instance_of(tags, stored, sender, datetime.fromtimestamp(status.st_mtime, UTC))
