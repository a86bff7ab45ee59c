"""QIDO-RS (PS3.18 10.6): parameters of a search → what to look for; what was found → DICOM JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag, tag_for_keyword

from adapters.dicom.content import dicom_json, keywords
from adapters.dicom.content.dicom_json import Json
from adapters.dicom.content.waveform_read import MALFORMED
from gateway.errors import Unreadable
from gateway.held import Held, HeldQuery, Level, Match

DEFAULT_LIMIT, LARGEST_LIMIT, LARGEST_OFFSET = 200, 1000, 10_000_000
WHOLE_STUDY = 100_000
"""Results told at once of one study, which a viewer wants whole."""
_CONTROLS = frozenset({"limit", "offset", "includefield", "fuzzymatching", "accept"})
_MOST_VALUES, _LONGEST_VALUE, _MOST_FIELDS = 1000, 4096, 100
_WILDCARDS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_UID = re.compile(r"[0-9.]{1,64}")
_DATE, _TIME = re.compile(r"\d{8}"), re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?")
_IN_STUDY, _IN_REQUEST = "ModalitiesInStudy", "RequestAttributesSequence"

_STUDY = ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientID",
          "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID")
"""What each result tells of its study (Table 10.6.3-3)."""
_SERIES = ("Modality", "SeriesInstanceUID", "SeriesNumber")
_INSTANCE = ("SOPClassUID", "SOPInstanceUID", "InstanceNumber")
_IF_KNOWN: Mapping[Level, tuple[str, ...]] = {
    Level.STUDY: ("TimezoneOffsetFromUTC", "StudyDescription", "IssuerOfPatientID"),
    Level.SERIES: ("SeriesDescription", "SeriesDate", "SeriesTime", "BodyPartExamined",
                   "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", _IN_REQUEST),
    Level.INSTANCE: ("Rows", "Columns", "BitsAllocated", "NumberOfFrames")}
"""Told where there is a value."""

_OF_STUDY = frozenset({*_STUDY, *keywords.PATIENT, *keywords.STUDY})
_OF_SERIES = frozenset({*_SERIES, *keywords.SERIES, *keywords.EQUIPMENT, *_IF_KNOWN[Level.SERIES]})
_LEVELS: Mapping[Level, frozenset[str]] = {
    Level.STUDY: _OF_STUDY, Level.SERIES: _OF_STUDY | _OF_SERIES,
    Level.INSTANCE: _OF_STUDY | _OF_SERIES | frozenset(keywords.KEYWORDS)}
"""Attributes that belong to the results of a level: they can be matched on, and `includefield=all` tells them."""

MATCHING: Mapping[Level, tuple[str, ...]] = {
    Level.STUDY: (*_STUDY, _IN_STUDY),
    Level.SERIES: (*_STUDY, _IN_STUDY, *_SERIES, "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
    Level.INSTANCE: (*_STUDY, _IN_STUDY, *_SERIES, *_INSTANCE)}
"""Those that the standard asks for (Table 10.6.1-5), told in the API's description."""


@dataclass(frozen=True, slots=True)
class Search:
    """`include`: keywords asked for besides the usual ones. `capped`: the client asked for more than is given at once.
    """

    query: HeldQuery
    include: tuple[str, ...] = ()
    include_all: bool = False
    fuzzy: bool = False
    capped: bool = False


def parse(level: Level, parameters: Sequence[tuple[str, str]], study: str = "", series: str = "") -> Search:
    """Raises Unreadable (one sentence, the parameter as element) for what is unknown or cannot be read."""
    return _parsed(parameters, HeldQuery(level, study, series), lambda keyword: _require_matched(keyword, level))


def parse_workitems(parameters: Sequence[tuple[str, str]]) -> Search:
    """Of a search for workitems (PS3.18 11.9); every attribute can be matched on. Raises Unreadable."""
    return _parsed(parameters, HeldQuery(Level.STUDY), lambda _: None)


def _parsed(parameters: Sequence[tuple[str, str]], query: HeldQuery, require: Callable[[str], None]) -> Search:
    controls = {name: value for name, value in parameters if name in _CONTROLS}
    matching, include = [], []
    for name, value in parameters:
        _require_plain(name, value)
        if name not in _CONTROLS:
            keyword = keyword_path(name, "a parameter")
            require(keyword)
            include.append(keyword.partition(".")[0])
            matching += [parse_match(keyword, value)] if value.strip("*\\ ") else []
    fields = [f.strip() for n, v in parameters if n == "includefield" for f in v.split(",") if f.strip()]
    if len(fields) > _MOST_FIELDS:
        raise Unreadable(f"includefield names more than {_MOST_FIELDS} attributes.", element="includefield")
    include += [keyword_path(f, "includefield").partition(".")[0] for f in fields if f.lower() != "all"]
    largest = WHOLE_STUDY if query.study else LARGEST_LIMIT
    asked = _whole(controls, "limit", WHOLE_STUDY if query.study else DEFAULT_LIMIT)
    query = replace(query, matching=tuple(matching), limit=min(asked, largest),
                    offset=min(_whole(controls, "offset", 0), LARGEST_OFFSET))
    return Search(query, tuple(dict.fromkeys(include)), any(f.lower() == "all" for f in fields),
                  _flag(controls.get("fuzzymatching", "false")), asked > largest or "limit" not in controls)


def _require_plain(name: str, value: str) -> None:
    if len(name) > 256 or len(value) > _LONGEST_VALUE:
        raise Unreadable(f"A parameter is longer than {_LONGEST_VALUE} characters.")
    if not (name + value).isprintable():
        raise Unreadable("A parameter holds control characters.")


def _whole(controls: Mapping[str, str], name: str, default: int) -> int:
    text = controls.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise Unreadable(f"{name} is no whole number from 0 up.", element=name)
    return int(text)


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise Unreadable("fuzzymatching is true or false.", element="fuzzymatching")
    return text.lower() == "true"


def _require_matched(keyword: str, level: Level) -> None:
    """Raises Unreadable where that attribute is not matched at this level."""
    head, _, inner = keyword.partition(".")
    nested = head == _IN_REQUEST and bool(inner)
    plain = not inner and (keyword == _IN_STUDY or (head in _LEVELS[level] and dictionary_VR(head) != "SQ"))
    if not plain and not (nested and level is not Level.STUDY):
        raise Unreadable(f"{keyword} is not matched on when {level.name.lower()} results are asked for; "
                         f"{', '.join(MATCHING[level])} and others of that level are.", element=keyword)


def keyword_path(name: str, what: str) -> str:
    """A keyword or tag, or a path of them, as keywords. Raises Unreadable."""
    told = []
    for part in name.split("."):
        tag = int(part, 16) if re.fullmatch(r"[0-9A-Fa-f]{8}", part) else tag_for_keyword(part)
        if tag is None or not dictionary_has_tag(tag):
            # what was sent is not repeated: it may be a name or a number in the wrong place
            raise Unreadable(f"The name of {what} is neither an attribute of DICOM (a keyword or an eight-digit tag) "
                             f"nor one of {', '.join(sorted(_CONTROLS))}.", element="query")
        told.append(keyword_for_tag(tag))
    return ".".join(told)


def parse_match(keyword: str, value: str) -> Match:
    vr = dictionary_VR(keyword.rpartition(".")[2])
    if vr in ("DA", "TM", "DT"):
        return _in_time(keyword, vr, value)
    if vr == "UI":
        values = tuple(v.strip() for v in re.split(r"[,\\]", value) if v.strip())
        if not all(_UID.fullmatch(v) for v in values):
            raise Unreadable(f"{keyword} holds something that is no UID.", element=keyword)
    else:
        values = tuple(v.strip() for v in value.split("\\") if v.strip())
    if len(values) > _MOST_VALUES:
        raise Unreadable(f"{keyword} holds more than {_MOST_VALUES} values.", element=keyword)
    return Match(keyword, values, wildcards=vr in _WILDCARDS, name=vr == "PN")


def _in_time(keyword: str, vr: str, value: str) -> Match:
    """A single date or time, or a range with `-`, one end of which may be open (PS3.4 C.2.2.2.5)."""
    compact = value.replace(":", "").replace(" ", "") if vr != "DA" else value.strip()
    low, dash, high = compact.partition("-")
    form = _DATE if vr == "DA" else _TIME if vr == "TM" else re.compile(r"\d{4,14}(\.\d{1,6})?")
    if not (low or high) or not all(form.fullmatch(end) for end in (low, high) if end):
        example = "20250131 or 20250101-20250131" if vr == "DA" else "0800 or 0800-1159"
        raise Unreadable(f"{keyword} is no value or range such as {example}.", element=keyword)
    return Match(keyword, between=(low, high if dash else low))


# ---------------------------------------------------------------- results


def result(held: Held, search: Search, base: str) -> Json:
    """One result in the DICOM JSON Model. `base`: URL of the DICOMweb service, without a slash at the end."""
    told = dicom_json.of_tags(held.tags, _wanted(held, search))
    more: dict[str, Any] = {"InstanceAvailability": "ONLINE", "RetrieveURL": _retrieve_url(held, base)}
    if held.level is Level.STUDY or not search.query.study:
        more |= {_IN_STUDY: list(held.modalities), "NumberOfStudyRelatedSeries": held.study_series,
                 "NumberOfStudyRelatedInstances": held.study_instances}
    if held.level is Level.SERIES or (held.level is Level.INSTANCE and not search.query.series):
        more["NumberOfSeriesRelatedInstances"] = held.series_instances
    if held.level is Level.INSTANCE:
        more["AvailableTransferSyntaxUID"] = held.tags.get("TransferSyntaxUID")
    told |= dicom_json.of_tags(more, more)
    absent = [k for k in search.include if k not in held.tags and k not in more]
    return dict(sorted((told | _from_file(held.path, absent)).items()))


def _wanted(held: Held, search: Search) -> Iterable[str]:
    """Keywords of the result: the standard's for its level and, where the URL names no study or series, those of the
    levels above (10.6.3.3)."""
    wanted: dict[str, None] = {}
    for level, required in ((Level.STUDY, _STUDY), (Level.SERIES, _SERIES), (Level.INSTANCE, _INSTANCE)):
        named = (level is Level.STUDY and search.query.study) or (level is Level.SERIES and search.query.series)
        if level > held.level or (named and level is not held.level):
            continue
        wanted |= dict.fromkeys(required)
        wanted |= dict.fromkeys(k for k in _IF_KNOWN[level] if held.tags.get(k) not in (None, ""))
    wanted |= dict.fromkeys(("StudyInstanceUID", "SeriesInstanceUID")[:min(2, held.level)])
    wanted |= dict.fromkeys(k for k in search.include if k in held.tags)
    if search.include_all:
        wanted |= dict.fromkeys(k for k in held.tags if k in _LEVELS[held.level])
    return wanted


def _retrieve_url(held: Held, base: str) -> str:
    parts = (("studies", held.study_instance_uid), ("series", held.series_instance_uid),
             ("instances", held.sop_instance_uid))
    return "/".join([base, *(part for pair in parts[:held.level] for part in pair)])


def _from_file(path: str, wanted: Sequence[str]) -> Json:
    """Attributes that are not indexed, from the (first) object itself; without a value where it has none."""
    told = {f"{tag_for_keyword(k):08X}": dicom_json.of_value(k, None) for k in wanted}
    tags = [tag for k in wanted if (tag := tag_for_keyword(k)) is not None and tag < 0x60000000]
    if not path or not tags:
        return told
    try:
        with dcmread(Path(path), specific_tags=tags, stop_before_pixels=True) as dataset:
            found = dicom_json.of_dataset(dataset)
    except (OSError, *MALFORMED):
        return told
    return told | {tag: value for tag, value in found.items() if tag in told}
