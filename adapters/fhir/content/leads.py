"""ECG leads as FHIR components name them."""

from __future__ import annotations

import re

from adapters.fhir.content.datatypes import Json
from gateway.codes import FHIR_SYSTEMS

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
_ORDINALS = {"I": 1, "II": 2, "V1": 3, "V2": 4, "V3": 5, "V4": 6, "V5": 7, "V6": 8, "III": 61, "aVR": 62, "aVL": 63,
             "aVF": 64}
"""SCP-ECG lead numbers (EN 1064, table of lead identification); MDC codes are 2:256 + number."""
_MDC_BASE = 2 * 65536 + 256
_MDC = {str(_MDC_BASE + number): lead for lead, number in _ORDINALS.items()}
_SCP = {f"5.6.3-9-{number}": lead for lead, number in _ORDINALS.items()}
_MDC_SYSTEMS = frozenset({FHIR_SYSTEMS["MDC"], "urn:oid:2.16.840.1.113883.6.24"})
_BY_NAME = {lead.upper(): lead for lead in LEADS}
_PREFIX = re.compile(r"^(MDC[_ ]ECG[_ ](ELEC[_ ]POTL|LEAD)[_ ]|ECG |EKG )?(LEAD[ _:]*)?", re.IGNORECASE)


def lead_of(concept: Json) -> str:
    """The lead's standard name by MDC or SCP-ECG code, else by name or text (`V1`, `Lead aVR`); empty if none."""
    codings = concept.get("coding", [])
    for coding in codings:
        code, system = str(coding.get("code", "")), coding.get("system", "")
        found = (_MDC.get(code, "") if system in _MDC_SYSTEMS else "") or _SCP.get(code, "") or _by_name(code)
        if found:
            return found
    texts = [concept.get("text", ""), *(coding.get("display", "") for coding in codings)]
    return next((found for text in texts if (found := _by_name(str(text)))), "")


def _by_name(text: str) -> str:
    return _BY_NAME.get(_PREFIX.sub("", text.strip()).strip().upper(), "")
