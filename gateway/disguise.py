"""What else than DICOM a program would take a file for that goes by its first bytes, which DICOM leaves free."""

from __future__ import annotations

_MARKUP = (b"<html", b"<script", b"<svg", b"<?php", b"<!doctype")
_DISGUISED = {
    b"MZ": "a Windows program", b"\x7fELF": "a program", b"\xca\xfe\xba\xbe": "a program",
    b"\xcf\xfa\xed\xfe": "a program", b"#!": "a script", b"%PDF": "a PDF document", b"GIF8": "a GIF picture",
    b"\x89PNG": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture", b"PK\3\4": "a zip archive",
    b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7z archive", b"\x1f\x8b": "a gzip archive",
    b"{\\rtf": "an RTF document", b"/*": "a script", b"//": "a script", b"BM": "a BMP picture",
    b"RIFF": "a sound or film"}


def disguise_of(preamble: bytes) -> str:
    """What a program would take the file for that goes by the preamble."""
    text = preamble.translate(None, b"\0").lstrip(b"\xff\xfe\xef\xbb\xbf\t\r\n ").lower()  # also as UTF-16
    if text.startswith(b"<") or any(mark in text for mark in _MARKUP):
        return "an HTML or XML document"
    if b"%pdf-" in text:  # readers look for it anywhere in the first 1024 bytes
        return "a PDF document"
    return next((what for start, what in _DISGUISED.items() if preamble.startswith(start)), "")


def both_at_once(told: str) -> str:
    """The refusal of a Part 10 file that is `told` as well."""
    return f"This file is a DICOM object and {told} at once: its preamble or its end is not DICOM's own."
