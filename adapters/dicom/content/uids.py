"""Unique identifiers (PS3.5 9.1) as others send them."""

from __future__ import annotations

import re

LONGEST_UID = 64
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """As PS3.5 9.1 asks, but for leading zeros: many senders have them."""
    return len(text) <= LONGEST_UID and _UID.fullmatch(text) is not None
