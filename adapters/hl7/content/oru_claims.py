"""What an ORU^R01 of ours says, read from its bytes with the reader for foreign messages."""

from __future__ import annotations

from adapters.hl7.content.faults import REQUIRED, Location, UnusableMessage
from adapters.hl7.content.observations import ACCESSION, LOCAL, PROBABILITY, RISK, STUDY_UID, VERDICT, VERDICT_CODES
from adapters.hl7.content.patients import required
from adapters.hl7.content.segments import Message, Segment, read
from gateway.delivery import Kind
from gateway.documents import Claims

_VERDICTS = {code.value: verdict.value for verdict, code in VERDICT_CODES.items()}
_PRESENCE = {"52101004": True, "2667000": False}


def claims(content: bytes) -> Claims:
    """Raises UnreadableMessage, UnusableMessage where a part that every ORU of ours has is missing."""
    message = read(content)
    verdict = _one(message, VERDICT, LOCAL)
    return Claims(
        kind=Kind.ORU, patient_id=required(message, "PID").get(3),
        study_instance_uid=_one(message, *_code(STUDY_UID)).get(5), accession_number=_accession(message),
        verdict=_VERDICTS.get(verdict.get(5)), risk=float(_one(message, RISK, LOCAL).get(5)),
        findings=_findings(message))


def _code(identifier: str) -> tuple[str, str]:
    value, _, scheme = identifier.split("^")
    return value, scheme


def _one(message: Message, value: str, scheme: str) -> Segment:
    found = [obx for obx in message.all("OBX") if (obx.get(3), obx.get(3, 3)) == (value, scheme)]
    if len(found) != 1:
        raise UnusableMessage(f"The message has {len(found)} observations {value}.", Location("OBX", 3), REQUIRED)
    return found[0]


def _accession(message: Message) -> str:
    wanted = _code(ACCESSION)
    found = [obx.get(5) for obx in message.all("OBX") if (obx.get(3), obx.get(3, 3)) == wanted]
    return found[0] if found else ""


def _findings(message: Message) -> dict[str, tuple[float, bool]]:
    """label → (probability, present): the probability and the presence under one OBX-4."""
    probabilities: dict[str, float] = {}
    presences: dict[str, bool] = {}
    for obx in message.all("OBX"):
        if obx.get(3, 3) == LOCAL and obx.get(3).endswith(PROBABILITY):
            probabilities[obx.get(3).removesuffix(PROBABILITY)] = round(float(obx.get(5)), 3)
        elif obx.get(2) == "CWE" and obx.get(5) in _PRESENCE:
            presences[obx.get(3, 4)] = _PRESENCE[obx.get(5)]
    if probabilities.keys() != presences.keys():
        raise UnusableMessage("A finding has a probability without its presence, or the other way round.",
                              Location("OBX", 3), REQUIRED)
    return {label: (probabilities[label], presences[label]) for label in probabilities}
