"""UCUM: is this a unit? (The Unified Code for Units of Measure, case sensitive, as far as measurements here go.)"""

from __future__ import annotations

import re

_METRIC = frozenset({"m", "s", "g", "rad", "V", "A", "Hz", "N", "Pa", "J", "W", "Ohm", "mol", "K", "Cel", "L", "l",
                     "Bq", "Gy", "Sv", "B", "bit", "By", "eV", "F", "C", "T", "cal", "sr", "H", "S", "lm", "lx", "cd",
                     "m[Hg]", "m[H2O]", "B[V]", "B[mV]", "B[SPL]", "[iU]", "[IU]", "kat", "eq", "osm", "Ci", "ar"})
_PLAIN = frozenset({"%", "[ppth]", "[ppm]", "min", "h", "d", "wk", "mo", "a", "deg", "'", "''", "[pi]", "[hnsf'U]",
                    "[degF]", "[in_i]", "[ft_i]", "[lb_av]", "[pH]", "[arb'U]", "10*", "10^", "dB", "[HF]"})
_PREFIXES = ("da", "Ki", "Mi", "Gi", "Ti", *"YZEPTGMkhdcmunpfazy")
_TOKEN = re.compile(r"[^./{}\[\]]*(?:\[[^\[\]{}]*\][^./{}\[\]]*)*(?:\{[^{}]*\})?")


def is_unit(text: str) -> bool:
    """Whether `text` is a UCUM unit term, such as `1`, `ms`, `mm3`, `{H.B.}/min`, `[hnsf'U]` or `mg/dL`."""
    if not text or " " in text:
        return False
    rest = text.removeprefix("/")
    while rest:
        token = _TOKEN.match(rest)
        if token is None or not token.group() or not _is_component(token.group()):
            return False
        rest = rest[token.end():]
        if rest and (rest[0] not in "./" or len(rest) == 1):
            return False
        rest = rest[1:]
    return text != "/"


def _is_component(token: str) -> bool:
    body, brace, note = token.partition("{")
    if brace and not re.fullmatch(r"[\x21-\x7a|~]*\}", note):
        return False
    if not body:
        return bool(brace)
    if body.isdigit():
        return True
    return any(_is_simple(unit) for unit in _without_exponent(body))


def _without_exponent(body: str) -> tuple[str, ...]:
    found = re.fullmatch(r"(.*?\D)[+-]?\d+", body)
    return (body, found.group(1)) if found else (body,)


def _is_simple(unit: str) -> bool:
    if unit in _METRIC or unit in _PLAIN:
        return True
    return any(unit.startswith(prefix) and unit[len(prefix):] in _METRIC for prefix in _PREFIXES)
