"""Modality Performed Procedure Step (PS3.4 Annex F): what a step says of the studies that it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from pydicom.dataset import Dataset

from adapters.dicom.content.attributes import PROCESSING_FAILURE, Refused, items, text, uid
from gateway.completion import Evidence, EvidenceKind, Listed, State

SOP_CLASS = "1.2.840.10008.3.1.2.3.3"
_STATES = {"IN PROGRESS": State.OPEN, "COMPLETED": State.ENDED, "DISCONTINUED": State.DISCONTINUED}
_STATUS = "PerformedProcedureStepStatus"
_CLOSED_ERROR_ID = 0xA710
_INSTANCES = ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")


def created(step_uid: str, sender: str, at: datetime, attributes: Dataset) -> list[Evidence]:
    """One statement for each study of an N-CREATE (Scheduled Step Attributes Sequence). Raises Refused.

    What a study's completeness does not depend on may be missing: it is not ours to judge.
    """
    text(attributes, _STATUS, ("IN PROGRESS",))
    scheduled = items(attributes, "ScheduledStepAttributesSequence", needed=True)
    studies = tuple(dict.fromkeys(uid(item, "StudyInstanceUID") for item in scheduled))
    listed = performed(attributes) or {}
    return [Evidence(EvidenceKind.MPPS, study, step_uid, sender, at, State.OPEN, listed,
                     studies=studies if len(studies) > 1 else ()) for study in studies]


def changed(step: Evidence, at: datetime, modifications: Dataset) -> Evidence:
    """The step after an N-SET. Raises Refused, with Error ID A710 where it has ended already (PS3.4 F.7.2.2)."""
    if step.state is not State.OPEN:
        raise Refused(PROCESSING_FAILURE, "Performed Procedure Step Object may no longer be updated", _STATUS,
                      _CLOSED_ERROR_ID)
    state = _STATES[text(modifications, _STATUS, _STATES)] if _STATUS in modifications else State.OPEN
    listed = performed(modifications)
    return replace(step, state=state, heard_at=at, listed=step.listed if listed is None else listed)


def performed(attributes: Dataset) -> Listed | None:
    """Series and instances of the Performed Series Sequence; None where there is no such sequence. Raises Refused."""
    if "PerformedSeriesSequence" not in attributes:
        return None
    found: dict[str, frozenset[str]] = {}
    for series in items(attributes, "PerformedSeriesSequence"):
        named = [uid(item, "ReferencedSOPInstanceUID") for keyword in _INSTANCES for item in items(series, keyword)]
        series_uid = uid(series, "SeriesInstanceUID")
        found[series_uid] = found.get(series_uid, frozenset()) | frozenset(named)
    return found
