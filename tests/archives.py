"""Zip archives for tests."""

from __future__ import annotations

import io
import zipfile


def zipped(*files: tuple[str | zipfile.ZipInfo, bytes], **named: bytes) -> bytes:
    """Members in the order given; two may have the same name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (*files, *named.items()):
            archive.writestr(name, content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
