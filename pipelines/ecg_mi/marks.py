"""What was measured of an infarction, as the report tells it: Q waves, ST, T and R in the leads that show something."""

from __future__ import annotations

from gateway.codes import Code
from gateway.result import Measurement
from pipelines.ecg.intervals import MILLISECONDS
from pipelines.ecg.leads import LEADS
from pipelines.ecg_mi.signs import Signs

MILLIVOLT = Code("mV", "UCUM", "mV")
RATIO = Code("1", "UCUM", "no units")
Q_WIDE, Q_DEEP, Q_SHARE = 30.0, 0.1, 0.25
"""A Q wave counts from 30 ms and 0.1 mV on, or from 0.1 mV and a quarter of Q and R together, in two leads of a group
(Fourth Universal Definition of Myocardial Infarction, table 2: 30 ms and 1 mm)."""
GROUPS = (("I", "aVL"), ("II", "III", "aVF"), ("V1", "V2", "V3", "V4", "V5", "V6"))
ST_LEVEL = {"V2": 0.2, "V3": 0.2}
ST_ELSEWHERE = 0.1
"""mV, 60 ms after the QRS, up or down."""
T_INVERTED = -0.1
_T_ANY_WAY = frozenset({"aVR", "V1", "III"})
"""T upside down is no sign here."""
_PROGRESSION = ("V1", "V2", "V3", "V4")


def marks(signs: Signs | None) -> tuple[Measurement, ...]:
    """Q, ST and T where they are beyond the usual, and R from V1 to V4 always; nothing where nothing was measured."""
    if signs is None:
        return ()
    told, with_q = list[Measurement](), q_leads(signs)
    for lead in LEADS:
        told += (_q_wave(signs, lead) if lead in with_q else []) + _st_and_t(signs, lead)
    return *told, *(_of(f"R-{lead}", f"R amplitude in {lead}", signs.of(lead, "r_mv")) for lead in _PROGRESSION)


def q_leads(signs: Signs | None) -> tuple[str, ...]:
    """Where a Q wave is told."""
    if signs is None:
        return ()
    found = [[lead for lead in group if _has_q(signs, lead)] for group in GROUPS]
    return tuple(lead for group in found if len(group) > 1 for lead in group)


def _has_q(signs: Signs, lead: str) -> bool:
    deep = signs.of(lead, "q_mv") >= Q_DEEP
    telling = signs.of(lead, "q_ms") >= Q_WIDE or signs.of(lead, "q_share") >= Q_SHARE
    return deep and telling


def _q_wave(signs: Signs, lead: str) -> list[Measurement]:
    wide = Measurement(Code(f"QDUR-{lead}", "99TRIAGE", f"Q duration in {lead}"), float(round(signs.of(lead, "q_ms"))),
                       MILLISECONDS)
    share = Measurement(Code(f"QSHARE-{lead}", "99TRIAGE", f"Q of Q and R together in {lead}"),
                        round(signs.of(lead, "q_share"), 2), RATIO)
    return [wide, _of(f"Q-{lead}", f"Q amplitude in {lead}", -signs.of(lead, "q_mv")), share]


def _st_and_t(signs: Signs, lead: str) -> list[Measurement]:
    found = []
    level, lowest = signs.of(lead, "st_60_mv"), signs.of(lead, "t_lowest")
    if lead != "aVR" and abs(level) >= ST_LEVEL.get(lead, ST_ELSEWHERE):
        found.append(_of(f"ST60-{lead}", f"ST level in {lead}, 60 ms after the QRS", level))
    if lead not in _T_ANY_WAY and lowest <= T_INVERTED and -lowest > signs.of(lead, "t_highest"):
        found.append(_of(f"TINV-{lead}", f"Inverted T amplitude in {lead}", lowest))
    return found


def _of(value: str, meaning: str, millivolt: float) -> Measurement:
    return Measurement(Code(value, "99TRIAGE", meaning), round(millivolt, 2), MILLIVOLT)
