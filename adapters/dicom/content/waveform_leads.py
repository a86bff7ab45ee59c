"""Names of ECG leads: DICOM CID 3001 (ISO/IEEE 11073-10101), SCP-ECG codes and the words people write."""

from __future__ import annotations

import re
from collections.abc import Iterable

STANDARD = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

# EN 1064 (SCP-ECG) numbers its leads; MDC writes the same number as 2:N, and as 131072 + N in its flat form.
_NUMBERS = {
    "I": 1, "II": 2, "III": 61, "aVR": 62, "aVL": 63, "aVF": 64, "V1": 3, "V2": 4, "V3": 5, "V4": 6, "V5": 7, "V6": 8,
    "V7": 9, "V8": 66, "V9": 67, "V2R": 10, "V3R": 11, "V4R": 12, "V5R": 13, "V6R": 14, "V7R": 15, "V8R": 68,
    "V9R": 69, "X": 16, "Y": 17, "Z": 18,
}
_DERIVED = {"I": 31, "II": 32, "III": 111, "aVR": 112, "aVL": 113, "aVF": 114, "V1": 33, "V2": 34, "V3": 35, "V4": 36,
            "V5": 37, "V6": 38}
_BY_NUMBER = {n: name for table in (_NUMBERS, _DERIVED) for name, n in table.items()}
_MEANINGS = {"aVR": "aVR, augmented voltage, right", "aVL": "aVL, augmented voltage, left",
             "aVF": "aVF, augmented voltage, foot"}
_FLAT_BASE = 2 << 16

_CODE = re.compile(r"(?:2:|5\.6\.3-9-)(\d{1,3})|(\d{6})")
_DECORATION = re.compile(
    r"\b(?:LEADS?|ECG|EKG|MDC|DERIVED|EINTHOVEN|GOLDBERGER|WILSON|AUGMENTED|UNIPOLAR|BIPOLAR|LIMB|CHEST|PRECORDIAL"
    r"|VOLTAGE|RIGHT|LEFT|FOOT)\b")
_WORDS = {name.upper(): name for name in _NUMBERS} | {
    **{f"C{n}": f"V{n}" for n in range(1, 10)},
    "L1": "I", "L2": "II", "L3": "III", "D1": "I", "D2": "II", "D3": "III", "DI": "I", "DII": "II", "DIII": "III",
}


def lead_number(value: str) -> int | None:
    """The lead's number in MDC `2:1`, flat MDC `131073` or SCPECG `5.6.3-9-1`; None for other codes and for 0,
    the unspecified lead."""
    found = _CODE.fullmatch(value.strip())
    if not found:
        return None
    number = int(found[1]) if found[1] else int(found[2]) - _FLAT_BASE
    return number if 0 < number < 1000 else None


def lead_of_code(value: str) -> str | None:
    """The lead that a code names; also by reference identifiers such as MDC_ECG_LEAD_AVR."""
    number = lead_number(value)
    if number is None:
        return lead_of_text(value) if "_" in value else None
    return _BY_NUMBER.get(number)


def lead_of_text(text: str) -> str | None:
    """The lead that a label or code meaning names (`Lead I (Einthoven)`, `avr`, `V-3`); None for any other."""
    if "nonaugmented" in text.lower() or text.strip().startswith(("-", "−")):
        return None
    words = re.sub(r"[^A-Z0-9]+", " ", _DECORATION.sub(" ", text.upper().replace("_", " ")))
    return _WORDS.get(words.replace(" ", ""))


def code_of_lead(lead: str) -> tuple[str, str]:
    """(code value, code meaning) in MDC, from CID 3001; `2:0` Unspecified lead where CID 3001 has no such lead."""
    if lead not in _NUMBERS:
        return "2:0", "Unspecified lead"
    return f"2:{_NUMBERS[lead]}", _MEANINGS.get(lead, f"Lead {lead}")


def in_standard_order(leads: Iterable[str]) -> list[int]:
    """Positions of `leads`, I II III aVR aVL aVF V1..V6 first, the others after them in the order given."""
    names = list(leads)
    return sorted(range(len(names)),
                  key=lambda i: (STANDARD.index(names[i]) if names[i] in STANDARD else len(STANDARD), i))
