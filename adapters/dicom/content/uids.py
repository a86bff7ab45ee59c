"""Unique identifiers (PS3.5 9.1) as others send them."""

from __future__ import annotations

import re
from functools import lru_cache

LONGEST_UID = 64
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """As PS3.5 9.1 asks, but for leading zeros: many senders have them."""
    return len(text) <= LONGEST_UID and _UID.fullmatch(text) is not None


@lru_cache(maxsize=8192)
def plain_uid(raw: bytes) -> str:
    """Of an encoded value in which there is nothing to be read but one UID; else empty."""
    uid = raw.rstrip(b"\0").decode("latin-1")
    return uid if is_uid(uid) else ""
