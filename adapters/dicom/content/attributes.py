"""Attributes of N-CREATE and N-SET data sets, each refused with the status that says what is wrong (PS3.7 Annex C)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydicom.dataset import Dataset

from adapters.dicom.content.uids import is_uid
from gateway.errors import Unusable

INVALID_VALUE = 0x0106
PROCESSING_FAILURE = 0x0110
DUPLICATE_INSTANCE = 0x0111
NO_SUCH_INSTANCE = 0x0112
INVALID_INSTANCE = 0x0117
MISSING_ATTRIBUTE = 0x0120
MISSING_VALUE = 0x0121
RESOURCE_LIMITATION = 0x0213
MOST_ITEMS = 100_000
"""Of one sequence; a whole day of a scanner has fewer objects."""


class Refused(Unusable):
    """What was sent cannot be taken. `status`: of the response; `error_id`: its Error ID (0000,0903), 0 for none."""

    def __init__(self, status: int, reason: str, element: str = "", error_id: int = 0) -> None:
        super().__init__(reason, element=element)
        self.status, self.error_id = status, error_id


def uid(dataset: Dataset, keyword: str) -> str:
    """A UID that has to be there. Raises Refused."""
    found = text(dataset, keyword)
    if not is_uid(found):
        raise Refused(INVALID_VALUE, f"{keyword} is no UID.", keyword)
    return found


def text(dataset: Dataset, keyword: str, allowed: Iterable[str] = ()) -> str:
    """A value that has to be there, and to be one of `allowed`. Raises Refused."""
    value = _value(dataset, keyword)
    if value is None and keyword not in dataset:
        raise Refused(MISSING_ATTRIBUTE, f"{keyword} is missing.", keyword)
    found = "" if value is None else str(value).strip(" \0")
    if not found:
        raise Refused(MISSING_VALUE, f"{keyword} is empty.", keyword)
    if allowed and found not in allowed:
        raise Refused(INVALID_VALUE, f"{keyword} is none of {', '.join(allowed)}.", keyword)
    return found


def items(dataset: Dataset, keyword: str, *, needed: bool = False) -> list[Dataset]:
    """The items of a sequence; none where it is absent or empty and not needed. Raises Refused."""
    value = _value(dataset, keyword)
    if needed and keyword not in dataset:
        raise Refused(MISSING_ATTRIBUTE, f"{keyword} is missing.", keyword)
    found = [] if value is None or isinstance(value, str | bytes) else list(value)
    if needed and not found:
        raise Refused(MISSING_VALUE, f"{keyword} is empty.", keyword)
    if len(found) > MOST_ITEMS:
        raise Refused(RESOURCE_LIMITATION, f"{keyword} has over {MOST_ITEMS} items.", keyword)
    return found


def _value(dataset: Dataset, keyword: str) -> Any:
    try:
        return dataset.get(keyword)
    except Exception as error:  # the library raises what its converters happen to meet
        raise Refused(INVALID_VALUE, f"{keyword} cannot be read.", keyword) from error
