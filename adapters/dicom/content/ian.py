"""Instance Availability Notification (PS3.4 Annex R): which instances of a study can be had."""

from __future__ import annotations

from datetime import datetime

from pydicom.dataset import Dataset

from adapters.dicom.content.attributes import items, text, uid
from gateway.completion import Evidence, EvidenceKind

SOP_CLASS = "1.2.840.10008.5.1.4.33"
_AVAILABILITY = ("ONLINE", "NEARLINE", "OFFLINE", "UNAVAILABLE")
_GONE = "UNAVAILABLE"


def notified(notification_uid: str, sender: str, at: datetime, attributes: Dataset) -> list[Evidence]:
    """The statement of an N-CREATE; none where nothing that it names can be had. Raises Refused."""
    study = uid(attributes, "StudyInstanceUID")
    listed: dict[str, frozenset[str]] = {}
    for series in items(attributes, "ReferencedSeriesSequence", needed=True):
        series_uid = uid(series, "SeriesInstanceUID")
        named = frozenset(uid(item, "ReferencedSOPInstanceUID")
                          for item in items(series, "ReferencedSOPSequence", needed=True)
                          if text(item, "InstanceAvailability", _AVAILABILITY) != _GONE)
        listed[series_uid] = listed.get(series_uid, frozenset()) | named
    said = Evidence(EvidenceKind.IAN, study, notification_uid, sender, at, listed=listed)
    return [said] if said.instances else []
