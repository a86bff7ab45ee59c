"""What the pipeline says, in other languages: language → English → translation."""

from __future__ import annotations

from pipelines.ecg.words import RUSSIAN, SYNDROMES

WORDS: dict[str, dict[str, str]] = {"ru": {
    **RUSSIAN,
    **SYNDROMES,
}}
