"""An Instance from its file alone: what the index misses after a crash."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from adapters.dicom.content import part10
from adapters.dicom.content.common import MANUFACTURER
from gateway.intake import instance_of
from gateway.ports import Outcome, Stored, TagReader
from gateway.study import Instance, Sender


def read_instance(path: str, read_tags: TagReader) -> Instance:
    """Raises OSError, Unreadable, Unusable. The sender is what file meta says (0002,0016), or the gateway itself."""
    file = Path(path)
    content = file.read_bytes()
    header, dataset = part10.split(content)
    tags = read_tags(header, [dataset])
    # What the gateway made of non-DICOM input has to go out before its report: told by its manufacturer, where no
    # application entity has sent it.
    calling = part10.parse(header).source_ae_title
    made_here = tags.get("Manufacturer") == MANUFACTURER and not calling
    sender = Sender("wfdb", "recovered") if made_here else Sender("dicom", calling)
    stored = Stored(path, hashlib.sha256(dataset).hexdigest(), len(content), Outcome.STORED)
    return instance_of(tags, stored, sender, datetime.fromtimestamp(file.stat().st_mtime, UTC))
