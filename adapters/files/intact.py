"""Is a stored file still what was received?"""

from __future__ import annotations

import hashlib
from pathlib import Path

from adapters.dicom.content import part10
from gateway.commitment_desk import StoredCopy
from gateway.errors import Unreadable

_PIECE = 1024 * 1024
_LARGEST_META = 1024 * 1024


def is_intact(copy: StoredCopy) -> bool:
    """Whether the file can be read to its end and has its digest. Reads it in pieces; raises nothing for the file."""
    digest = hashlib.sha256()
    try:
        with Path(copy.path).open("rb") as file:
            if not copy.whole_file:
                file.seek(part10.header_length(file.read(_LARGEST_META)))
            while piece := file.read(_PIECE):
                digest.update(piece)
    except (OSError, Unreadable):
        return False
    return digest.hexdigest() == copy.digest
