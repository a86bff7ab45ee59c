"""Measured intervals and axes as the report tells them: codes, units, rounding. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.codes import Code
from gateway.result import Measurement
from pipelines.ecg.delineation import Delineation

PER_MINUTE = Code("{H.B.}/min", "UCUM", "heart beats per minute")
MILLISECONDS = Code("ms", "UCUM", "ms")
DEGREES = Code("deg", "UCUM", "degrees")
HEART_RATE = Code("8867-4", "LN", "Heart rate")
PR = Code("8625-6", "LN", "P-R Interval")
QRS = Code("8633-0", "LN", "QRS duration")
QT = Code("8634-8", "LN", "Q-T interval")
QTC_BAZETT = Code("76635-2", "LN", "QTc interval by Bazett formula")
QTC_FRIDERICIA = Code("76634-5", "LN", "QTc interval by Fridericia formula")
P_AXIS = Code("8626-4", "LN", "P wave axis")
QRS_AXIS = Code("8632-2", "LN", "QRS axis")
T_AXIS = Code("8638-9", "LN", "T wave axis")
_DEFINING: Mapping[str, Code] = {
    "1AVB": PR, "CLBBB": QRS, "CRBBB": QRS, "IRBBB": QRS, "LAD": QRS_AXIS, "RAD": QRS_AXIS, "SBRAD": HEART_RATE,
    "STACH": HEART_RATE}
_SHORT: Mapping[Code, tuple[str, str]] = {PR: ("PR", " ms"), QRS: ("QRS", " ms"), QRS_AXIS: ("QRS axis", "\u00b0")}


def measurements(waves: Delineation | None) -> tuple[Measurement, ...]:
    """Everything that could be measured; an interval that could not be told is left out."""
    if waves is None:
        return ()
    values = ((HEART_RATE, waves.heart_rate, PER_MINUTE), (PR, waves.pr, MILLISECONDS), (QRS, waves.qrs, MILLISECONDS),
              (QT, waves.qt, MILLISECONDS), (QTC_BAZETT, waves.qtc_bazett, MILLISECONDS),
              (QTC_FRIDERICIA, waves.qtc_fridericia, MILLISECONDS), (P_AXIS, waves.p_axis, DEGREES),
              (QRS_AXIS, waves.qrs_axis, DEGREES), (T_AXIS, waves.t_axis, DEGREES))
    return tuple(Measurement(code, float(round(value)), unit) for code, value, unit in values if value is not None)


def defining_measurement(label: str, waves: Delineation | None) -> tuple[Measurement, ...]:
    """The measurement by which a syndrome is defined; empty where there is none."""
    return tuple(measured for measured in measurements(waves) if measured.code == _DEFINING.get(label))


def defining(label: str, waves: Delineation | None) -> str:
    """The same in words, as `PR 224 ms`; empty where there is none, or the rate, which the report tells anyway."""
    told = ((measured.value, *_SHORT[measured.code]) for measured in defining_measurement(label, waves)
            if measured.code in _SHORT)
    return "".join(f"{name} {value:.0f}{unit}" for value, name, unit in told)
