"""How a worklist item is shown, on the page and in the terminal alike: pure, from the JSON form of the contract.

What was not analysed to the end never gets the tone of a normal study (`Tone.CALM`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from adapters.web.catalogue import Texts

Form = Mapping[str, Any]


class Tone(StrEnum):
    """What a row asks of the reader. Each has its own shape and colour."""

    ALARM = "alarm"
    """Pathology."""
    CAUTION = "caution"
    """A person must look: undetermined, failed, unsupported, or a normal verdict that cannot be relied on."""
    CALM = "calm"
    """Normal, complete and current."""
    BUSY = "busy"
    """Not read yet."""
    OFF = "off"
    """Cancelled."""


SYMBOLS = {Tone.ALARM: "▲", Tone.CAUTION: "?", Tone.CALM: "○", Tone.BUSY: "…", Tone.OFF: "–"}
DELIVERY_SYMBOLS = {"delivered": "●", "pending": "○", "unproven": "◐", "refused": "✕", "dead": "✕"}
_UNDER_WAY = frozenset({"receiving", "waiting", "analysing"})
_FOUND_SHOWN = 4
_DIGEST = re.compile("[0-9a-f]{64}")
_DIFFERENT = 3
"""Different values of a list in a receipt that are told one by one."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One delivery: its state and what it is, in words."""

    state: str
    symbol: str
    title: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Waiting time against its budget. `share` of the budget that is used up, in [0, 1]."""

    text: str
    share: float
    overdue: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One row, ready to print.

    `risk` in [0, 1], None where there is none or only an earlier reading's; `why` says why there is no plain verdict;
    `here`: why the row stands where it does, and `place` of that what no reader would expect. `wait`: None where nobody
    waits any more.
    """

    case_id: str
    tone: Tone
    word: str
    risk: float | None
    risk_text: str
    found: tuple[str, ...]
    more: int
    why: str
    patient: str
    patient_id: str
    age_sex: str
    modality: str
    description: str
    priority: str
    priority_word: str
    waiting: str
    wait: Wait | None
    state: str
    state_word: str
    badges: tuple[str, ...]
    demonstration: bool
    read: bool
    deliveries: tuple[Mark, ...]
    here: tuple[str, ...] = ()
    place: str = ""

    @property
    def symbol(self) -> str:
        return SYMBOLS[self.tone]


def line(form: Form, t: Texts, now: datetime) -> Line:
    """`form`: an item of `/api/worklist`, times as datetime or ISO 8601; `now`: aware."""
    tone = tone_of(form)
    present = found(form)
    unread = tone in {Tone.BUSY, Tone.OFF} or (form["verdict"] == "undetermined" and not form["findings"])
    risk = None if unread else form["risk"]  # a risk of nothing looked at would read as none
    return Line(
        case_id=form["case_id"], tone=tone, word=verdict_word(form, t), risk=risk,
        risk_text="–" if risk is None else f"{risk:.2f}",
        found=tuple(f["display"] for f in present[:_FOUND_SHOWN]), more=max(0, len(present) - _FOUND_SHOWN),
        why=why(form, t), patient=person_name(form["patient_name"]) or t("no_name"),
        patient_id=form["patient_id"] or t("no_id"),
        age_sex=age_sex(form.get("patient_birth_date", ""), form.get("patient_sex", ""), now.date(), t),
        modality=form["modality"], description=form.get("study_description", ""), priority=form["priority"],
        priority_word=t(f"priority.{form['priority']}"), waiting=_waiting(form, t, now),
        wait=wait_of(form, t, now), state=form["state"],
        state_word=t(f"state.{form['state']}"), badges=_badges(form, t), demonstration=form["demonstration"],
        read=form["read_at"] is not None, deliveries=tuple(mark(d, t) for d in form["deliveries"]))


def tone_of(form: Form) -> Tone:
    """Pathology stays an alarm in every state but cancelled; normal is calm only when reported, whole and coherent."""
    state, verdict = form["state"], form["verdict"]
    if state == "cancelled":
        return Tone.OFF
    if verdict == "pathology":
        return Tone.ALARM
    if state in _UNDER_WAY:
        return Tone.BUSY
    if state == "reported" and verdict == "normal" and not _reserved(form):
        return Tone.CALM
    return Tone.CAUTION


def verdict_word(form: Form, t: Texts) -> str:
    """The word beside the shape: the verdict where it holds, else what became of the case."""
    state, verdict = form["state"], form["verdict"]
    if verdict == "pathology" and state != "cancelled":
        return t("pathology")
    if state != "reported":
        return t(f"word.{state}")
    if verdict == "normal" and _reserved(form):
        return t("word.conflict" if form.get("conflict") else "word.partial")
    return t(verdict) if verdict else t("word.none")


def found(form: Form) -> list[Form]:
    """Present findings, the most probable first."""
    return sorted((f for f in form["findings"] if f["present"]), key=lambda f: -f["probability"])


def why(form: Form, t: Texts) -> str:
    """Why there is no plain verdict, or which earlier one is being replaced; "" where the findings say it all."""
    state, verdict = form["state"], form["verdict"]
    if state == "failed" and form.get("error"):
        return str(form["error"])
    if state not in {"reported", "cancelled"} and verdict:
        return t("earlier", verdict=t(verdict).lower())
    if verdict == "pathology":
        return ""
    *others, last = [str(problem["text"]) for problem in (form.get("problems") or ())[:2]] or [""]
    said = "; ".join([*(text.rstrip(".") for text in others), last])
    if tone_of(form) is Tone.CAUTION:
        said = "; ".join(part for part in (_lacks(form, t), said) if part)
        return said or t("conflict_long" if form.get("conflict") else "partial" if _partial(form) else "not_normal")
    return said or (t("no_finding") if tone_of(form) is Tone.CALM else "")


def proof(receipt: Form, t: Texts) -> list[tuple[str, str]]:
    """What the peer answered, one (name, text) each. Of a list its different values, counted; of many the first."""
    return [(_fact(name, t), _told(value if isinstance(value, list | tuple) else [value]))
            for name, value in receipt.items() if value != 0]


def _fact(name: str, t: Texts) -> str:
    try:
        return t(f"fact.{name}")
    except KeyError:  # of an older release
        return name


def _told(values: Sequence[Any]) -> str:
    counted = Counter(_short(str(value)) for value in values)
    if len(counted) > _DIFFERENT:
        return f"{values[0]} … ({len(values)})"
    return ", ".join(f"{n} × {value}" if n > 1 else value for value, n in counted.items())


def _short(text: str) -> str:
    """A digest by its beginning; the whole of it is in the ledger of the API."""
    return f"{text[:16]}…" if _DIGEST.fullmatch(text) else text


def person_name(name: str) -> str:
    """DICOM PN (PS3.5 6.2.1) for reading: the first group that is not empty, in the order it is written."""
    group = next((g for g in name.split("=") if g.strip("^ ")), "")
    family, given, middle, prefix, suffix = (group.split("^") + [""] * 5)[:5]
    return " ".join(part for part in (prefix, family, given, middle, suffix) if part)


def age_sex(birth_date: str, sex: str, today: date, t: Texts) -> str:
    """`63 y · F`; months under two years; whatever is unknown is left out. `birth_date`: YYYYMMDD."""
    parts = []
    try:
        born = date(int(birth_date[:4]), int(birth_date[4:6]), int(birth_date[6:8]))
    except ValueError:
        born = None
    if born is not None and born <= today:
        months = (today.year - born.year) * 12 + today.month - born.month - (today.day < born.day)
        parts.append(t("months", n=months) if months < 24 else t("years", n=months // 12))
    if sex in {"M", "F", "O"}:
        parts.append(t(f"sex.{sex}"))
    return " · ".join(parts)


def duration(seconds: float, t: Texts) -> str:
    """`12 min`, `3 h`, `3 h 05`, `2 d 4 h`."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return t("seconds")
    if minutes < 60:
        return t("minutes", n=minutes)
    if minutes < 48 * 60:
        return t("hours", n=minutes // 60, m=minutes % 60) if minutes % 60 else t("whole_hours", n=minutes // 60)
    return t("days", n=minutes // 1440, m=minutes % 1440 // 60)


def mark(delivery: Form, t: Texts) -> Mark:
    state = delivery["state"]
    title = f"{delivery['destination']} · {t('kind.' + delivery['kind'])}: {t('delivery.' + state)}"
    return Mark(state, DELIVERY_SYMBOLS[state], title)


def as_time(value: datetime | str) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def _waiting(form: Form, t: Texts, now: datetime) -> str:
    """Since it was received, until somebody has read it."""
    if form["read_at"] is not None:
        return t("read")
    return duration((now - as_time(form["received_at"])).total_seconds(), t)


def wait_of(form: Form, t: Texts, now: datetime) -> Wait | None:
    """Counted from the first object until a person has read it; what was cancelled waits no longer."""
    if form["read_at"] is not None or form["state"] == "cancelled" or not form.get("due_at"):
        return None
    since = as_time(form["received_at"])
    allowed = (as_time(form["due_at"]) - since).total_seconds()
    waited = max(0.0, (now - since).total_seconds())
    text = t("wait_of", waited=duration(waited, t), budget=duration(allowed, t))
    return Wait(text, min(1.0, waited / allowed) if allowed > 0 else 1.0, waited >= allowed)


def _lacks(form: Form, t: Texts) -> str:
    """What is known to be missing; "" where nothing is known."""
    told = [t(f"missing.{one['lack']}", **{name: one[name] for name in ("missing", "of", "series")})
            for one in form.get("missing") or ()]
    return f"{t('partial')}: {'; '.join(told)}" if told else ""


def _partial(form: Form) -> bool:
    return bool(form["completeness"] == "partial")


def _reserved(form: Form) -> bool:
    return _partial(form) or bool(form.get("conflict"))


def _badges(form: Form, t: Texts) -> tuple[str, ...]:
    """Doubts about the study that the verdict's own word does not say yet."""
    doubts = (*([t("word.partial")] if _partial(form) else []), *([t("word.conflict")] if form.get("conflict") else []))
    return tuple(doubt for doubt in doubts if doubt != verdict_word(form, t))
