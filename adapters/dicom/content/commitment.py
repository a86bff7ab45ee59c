"""Data sets of the Storage Commitment Push Model (PS3.4 Tables J.3-1 and J.3-2) and what they say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydicom.dataset import Dataset

from adapters.dicom.content.uids import is_uid
from gateway.commitment import MOST_REFERENCES, Failed, Reason, Reference, Report, Request
from gateway.errors import Unusable

SOP_CLASS = "1.2.840.10008.1.20.1"
SOP_INSTANCE = "1.2.840.10008.1.20.1.1"
ASK = 1
"""Action Type ID "Request Storage Commitment"."""
ALL_COMMITTED, FAILURES_EXIST = 1, 2
"""Event Type IDs."""
MISSING_ATTRIBUTE = 0x0120
INVALID_ARGUMENT = 0x0115
RESOURCE_LIMITATION = 0x0213


class BadCommitment(Unusable):
    """What came cannot be understood. `status`: of the N-ACTION or N-EVENT-REPORT response (PS3.7 Annex C)."""

    def __init__(self, status: int, reason: str, element: str) -> None:
        super().__init__(reason, element=element)
        self.status = status


def read_request(dataset: Dataset, peer: str) -> Request:
    """The Action Information of an N-ACTION. Raises BadCommitment."""
    references = tuple(dict.fromkeys(_references(dataset, "ReferencedSOPSequence")))
    if not references:
        raise BadCommitment(MISSING_ATTRIBUTE, "ReferencedSOPSequence names no object.", "ReferencedSOPSequence")
    return Request(_transaction(dataset), peer, references)


def read_report(dataset: Dataset) -> Report:
    """The Event Information of an N-EVENT-REPORT. Raises BadCommitment."""
    failed = tuple(_failures(dataset))
    return Report(_transaction(dataset), tuple(_references(dataset, "ReferencedSOPSequence")), failed)


def request_dataset(transaction_uid: str, references: Iterable[Reference]) -> Dataset:
    made = Dataset()
    made.TransactionUID = transaction_uid
    made.ReferencedSOPSequence = [_item(reference) for reference in references]
    return made


def report_dataset(report: Report) -> Dataset:
    made = Dataset()
    made.TransactionUID = report.transaction_uid
    if report.committed:
        made.ReferencedSOPSequence = [_item(reference) for reference in report.committed]
    if report.failed:
        made.FailedSOPSequence = [_failure(one) for one in report.failed]
    return made


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def _failure(failed: Failed) -> Dataset:
    item = _item(failed.reference)
    item.FailureReason = int(failed.reason)
    return item


def _transaction(dataset: Dataset) -> str:
    return _uid(dataset, "TransactionUID")


def _references(dataset: Dataset, keyword: str) -> list[Reference]:
    return [_reference(item) for item in _items(dataset, keyword)]


def _failures(dataset: Dataset) -> list[Failed]:
    return [Failed(_reference(item), _reason(item)) for item in _items(dataset, "FailedSOPSequence")]


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    items: Any = _value(dataset, keyword)
    if items is None or items == "":
        return []
    if not isinstance(items, Iterable) or isinstance(items, str | bytes):
        raise BadCommitment(INVALID_ARGUMENT, f"{keyword} is no sequence.", keyword)
    found = list(items)
    if len(found) > MOST_REFERENCES:
        raise BadCommitment(RESOURCE_LIMITATION, f"{keyword} names more than {MOST_REFERENCES} objects.", keyword)
    return found


def _reference(item: Dataset) -> Reference:
    return Reference(_uid(item, "ReferencedSOPClassUID"), _uid(item, "ReferencedSOPInstanceUID"))


def _reason(item: Dataset) -> int:
    value = _value(item, "FailureReason")
    return value if isinstance(value, int) else int(Reason.PROCESSING_FAILURE)


def _uid(dataset: Dataset, keyword: str) -> str:
    value = _value(dataset, keyword)
    if value is None or value == "":
        raise BadCommitment(MISSING_ATTRIBUTE, f"{keyword} is missing.", keyword)
    text = str(value)
    if not is_uid(text):
        raise BadCommitment(INVALID_ARGUMENT, f"{keyword} is no UID.", keyword)
    return text


def _value(dataset: Dataset, keyword: str) -> Any:
    """Raises BadCommitment where the bytes of the value cannot be what its VR says."""
    try:
        return dataset.get(keyword)
    except Exception as error:  # the library raises what its converters happen to meet
        raise BadCommitment(INVALID_ARGUMENT, f"{keyword} cannot be read.", keyword) from error
