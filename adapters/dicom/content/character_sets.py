"""Defined terms of Specific Character Set (PS3.3 C.12.1.1.2) that pydicom lacks, or reads escape sequences and all."""

from __future__ import annotations

from pydicom import charset

_LATIN_9, _GB_2312 = "iso8859_15", "iso_ir_58"
_TERMS = {"ISO_IR 203": _LATIN_9, "ISO 2022 IR 203": _LATIN_9, "ISO_IR 58": _GB_2312, "ISO 2022 58": _GB_2312}
"""The last two are no defined terms, but some write them."""
_DESIGNATION = b"\x1b-b"
"""Of Latin alphabet No. 9 as G1 (PS3.3 Table C.12-3)."""


def complete() -> None:
    """Complete the tables that pydicom decodes and encodes every text by: its data sets' and ours are one text."""
    charset.python_encoding.update(_TERMS)
    charset.CODES_TO_ENCODINGS[_DESIGNATION] = _LATIN_9
    charset.ENCODINGS_TO_CODES[_LATIN_9] = _DESIGNATION
    # Python's codec of GB 2312 knows no escape sequences: whoever decodes takes them off, as those of KS X 1001
    charset.handled_encodings = tuple(name for name in charset.handled_encodings if name != _GB_2312)
