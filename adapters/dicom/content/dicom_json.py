"""The DICOM JSON Model (PS3.18 Annex F): of indexed tags, and of stored objects with their bulk data by reference."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

from adapters.dicom.content.values import decode
from adapters.dicom.content.waveform_read import MALFORMED
from gateway.errors import Transient, Unusable
from gateway.study import Tags

Json = dict[str, Any]
MEDIA_TYPE = "application/dicom+json"

INLINE_BYTES = 1024
"""Binary values up to this length stand in the metadata (base64); longer ones are referred to."""
BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_TEXT_NUMBERS = frozenset({"DS", "IS"})
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_ISSUER = "IssuerOfAccessionNumberSequence"
_PIXEL_DATA = {0x7FE00008, 0x7FE00009, 0x7FE00010}
_GROUP_LENGTH = 0x0000
_ESCAPE = b"\x1b"
_CHARACTER_SET = 0x00080005
"""JSON is UTF-8, whatever the object is written in (F.2)."""


def encoded(value: Any) -> bytes:
    """As bytes. Numbers that JSON cannot tell (NaN) never get here."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")


# ---------------------------------------------------------------- of indexed tags


def of_tags(tags: Tags, keywords: Iterable[str]) -> Json:
    """The attributes in order of their tags; one that is asked for and has no value is there without one (F.2.5)."""
    told = {}
    for keyword in keywords:
        tag = tag_for_keyword(keyword)
        if tag is not None:
            told[f"{tag:08X}"] = of_value(keyword, tags.get(keyword))
    return dict(sorted(told.items()))


def of_value(keyword: str, value: Any) -> Json:
    """One attribute: `vr`, and `Value` where there is one."""
    if keyword == _ISSUER and isinstance(value, str):
        value = [{"LocalNamespaceEntityID": value}] if value else None
    values = value if isinstance(value, list | tuple) else [value]
    vr = _vr(keyword, values)
    told = [_told(vr, one) for one in values if one is not None and one != ""]
    return {"vr": vr, "Value": told} if told else {"vr": vr}


def _vr(keyword: str, values: Sequence[Any]) -> str:
    """`US or SS` is SS where a value is negative: the index does not tell."""
    choices: list[str] = dictionary_VR(keyword).split(" or ")
    if len(choices) > 1 and "SS" in choices and any(isinstance(v, int) and v < 0 for v in values):
        return "SS"
    return choices[0]


def _told(vr: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return of_tags(value, value)
    if vr == "PN":
        return _person_name(str(value))
    return value


def _person_name(name: str) -> Json:
    groups = zip(_NAME_GROUPS, name.split("="), strict=False)
    return {kind: group for kind, group in groups if group}


# ---------------------------------------------------------------- of stored objects


Refer = Callable[[str], str]
"""`7FE00010`, or `54000100/1/54001010` (sequence, 1-based item, attribute) → the URL of that bulk value."""


def of_file(path: Path, refer: Refer) -> Json:
    """Metadata of one stored object, its long binary values by BulkDataURI, and the transfer syntax it is kept in.

    Raises Unusable where the object is damaged, Transient where its file is out of reach.
    """
    try:
        with opened(path) as dataset:
            told = _dataset(dataset, refer, "")
            told["00083002"] = {"vr": "UI", "Value": [str(dataset.file_meta.TransferSyntaxUID)]}
            return dict(sorted(told.items()))
    except OSError as error:
        raise Transient("the file of an object is out of reach") from error
    except MALFORMED as error:
        raise Unusable("the object is damaged: its metadata cannot be read") from error


def of_dataset(dataset: Dataset) -> Json:
    """The attributes of a data set; long binary values are left out."""
    told = _dataset(dataset, lambda _: "", "")
    return {tag: value for tag, value in told.items() if "BulkDataURI" not in value}


def opened(path: Path) -> Dataset:
    """The data set with its long values left in the file (those of a deflated one are in memory)."""
    try:
        return dcmread(path, defer_size=INLINE_BYTES)
    except MALFORMED:
        return dcmread(path)


def _dataset(dataset: Dataset, refer: Refer, within: str) -> Json:
    told: Json = {}
    for tag in sorted(dataset.keys()):
        if tag.element == _GROUP_LENGTH:
            continue  # retired, and never in the JSON model (F.2.2)
        key = f"{tag:08X}"
        element = dataset.get_item(tag, keep_deferred=True)
        bulk = _bulk_vr(dataset, element)
        if bulk:
            told[key] = {"vr": bulk, "BulkDataURI": refer(within + key)}
        else:
            told[key] = _escaped_names(dataset, element) or _element(dataset[tag], refer, within + key)
    return told


def _escaped_names(dataset: Dataset, element: DataElement | RawDataElement) -> Json:
    """PN with escape sequences, else nothing: pydicom lets a character set go on behind the part of a name that it ends
    with (PS3.5 6.1.2.5.3)."""
    raw = element.value if isinstance(element, RawDataElement) else None
    if raw is None or _ESCAPE not in raw or dataset[element.tag].VR != "PN":
        return {}
    encodings = dataset.original_character_set
    names = decode("PN", raw, False, [encodings] if isinstance(encodings, str) else encodings)
    return {"vr": "PN", "Value": [_person_name(str(name)) for name in names]} if names else {"vr": "PN"}


def _bulk_vr(dataset: Dataset, element: DataElement | RawDataElement) -> str:
    """The VR of a value that is to be referred to; empty for others."""
    if int(element.tag) in _PIXEL_DATA:
        return str(element.VR or "OW") if is_deferred(element) else str(dataset[element.tag].VR)
    if isinstance(element, RawDataElement):
        vr = str(element.VR or "UN")
        return vr if vr in BINARY and element.length > INLINE_BYTES else ""
    return str(element.VR) if element.VR in BINARY and len(element.value or b"") > INLINE_BYTES else ""


def is_deferred(element: DataElement | RawDataElement) -> bool:
    return isinstance(element, RawDataElement) and element.value is None and element.length != 0


def _element(element: DataElement, refer: Refer, key: str) -> Json:
    if element.VR in BINARY and len(element.value or b"") > INLINE_BYTES:
        return {"vr": str(element.VR), "BulkDataURI": refer(key)}
    if element.VR == "SQ":
        items = [_dataset(item, refer, f"{key}/{number}/") for number, item in enumerate(element.value, start=1)]
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
    if element.VR in _TEXT_NUMBERS:
        return _numbers(element)
    if int(element.tag) == _CHARACTER_SET:
        return {"vr": "CS", "Value": ["ISO_IR 192"]}
    told: Json = element.to_json_dict(None, INLINE_BYTES)
    return _finite(told)


def _numbers(element: DataElement) -> Json:
    """DS and IS as numbers; one that is none makes the whole value text, as it stands in the object."""
    values = list(element.value) if element.VM > 1 else [element.value]
    kept = [None if v is None or v == "" else _number(v) for v in values]
    if not any(v is not None for v in kept):
        return {"vr": str(element.VR)}
    return {"vr": str(element.VR), "Value": kept}


def _number(value: Any) -> Any:
    try:
        number = int(value) if isinstance(value, int) else float(value)
    except (ValueError, TypeError):
        return str(value)
    return number if math.isfinite(number) else str(value)


def _finite(told: Json) -> Json:
    """FL and FD that are no numbers are told as text (F.2.4 allows both forms)."""
    values = told.get("Value")
    if isinstance(values, list):
        told["Value"] = [str(v) if isinstance(v, float) and not math.isfinite(v) else v for v in values]
    return told


# ---------------------------------------------------------------- bulk values


def bulk_paths(dataset: Dataset) -> Iterator[str]:
    """Where the values lie that metadata refer to."""
    found: list[str] = []
    _dataset(dataset, lambda where: found.append(where) or where, "")  # type: ignore[func-returns-value]
    return iter(found)


def element_at(dataset: Dataset, where: str) -> DataElement | None:
    """The binary element of a path as `Refer` takes it; None where nothing is there."""
    steps = where.split("/")
    inner: Any = dataset
    for sequence, item in zip(steps[:-1:2], steps[1:-1:2], strict=True):
        held = inner.get(int(sequence, 16))
        if held is None or held.VR != "SQ" or not 1 <= int(item) <= len(held.value):
            return None
        inner = held.value[int(item) - 1]
    found = inner.get(int(steps[-1], 16))
    return found if found is not None and found.VR in BINARY else None


def is_pixel_data(where: str) -> bool:
    return "/" not in where and int(where, 16) in _PIXEL_DATA
