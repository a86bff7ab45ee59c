"""C-FIND SCU (PS3.4 C.4.1) with bounds on time and number of answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import build_context

from adapters.dicom.content import query
from adapters.dicom.transport.association import Peer
from adapters.dicom.transport.requestor import associated
from gateway.errors import Transient
from gateway.fetching import ArchivedInstance, ArchivedStudy

MOST_ANSWERS = 20_000
_ASKED_FOR_SERIES = 20
_SUCCESS = 0x0000


class Finder:
    """Asks one archive. Each method is one association; raises Transient or Permanent."""

    def __init__(self, peer: Peer, longest: float) -> None:
        """`longest`: seconds for all answers of one method, however lively the archive is."""
        self._peer, self._longest = peer, longest

    def count(self, study: str) -> int | None:
        """The archive's Number of Study Related Instances; counted where it does not tell. None: unknown study."""
        with self._asking() as association:
            known, number = query.told_count(_answers(association, query.count_of_study(study)), study)
            if not known or number is not None:
                return number
            return len(_instances(association, study))

    def instances(self, study: str) -> tuple[ArchivedInstance, ...]:
        """Series by series, as archives without relational queries need it."""
        with self._asking() as association:
            return tuple(_instances(association, study))

    def studies_of(self, patient_id: str) -> tuple[ArchivedStudy, ...]:
        """Newest first. Modalities in Study is optional: where it is left out, the newest tell it by their series."""
        with self._asking() as association:
            found = query.told_studies(_answers(association, query.studies_of_patient(patient_id)))
            found = tuple(sorted(found, key=lambda one: one.moment, reverse=True))
            return tuple(_with_modalities(association, one) if number < _ASKED_FOR_SERIES else one
                         for number, one in enumerate(found))

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        with associated(self._peer, [build_context(query.FIND)]) as association, deadline(association, self._longest):
            yield association


@contextmanager
def deadline(association: Any, seconds: float) -> Iterator[None]:
    """The association is aborted when the time is over: whoever waits for its next answer is told that it is gone."""
    timer = threading.Timer(seconds, association.abort)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _with_modalities(association: Any, study: ArchivedStudy) -> ArchivedStudy:
    if study.modalities:
        return study
    uid = study.study_instance_uid
    return replace(study, modalities=query.told_modalities(_answers(association, query.series_of_study(uid)), uid))


def _instances(association: Any, study: str) -> list[ArchivedInstance]:
    found: list[ArchivedInstance] = []
    for series in query.told_series(_answers(association, query.series_of_study(study)), study):
        found += query.told_instances(_answers(association, query.instances_of_series(study, series)), series)
        if len(found) > MOST_ANSWERS:
            raise Transient(f"The archive names more than {MOST_ANSWERS} instances.")
    return list({one.sop_instance_uid: one for one in found}.values())


def _answers(association: Any, identifier: Dataset) -> list[Dataset]:
    """Raises Transient where the archive breaks off, refuses, or does not come to an end."""
    found: list[Dataset] = []
    try:
        for status, answer in association.send_c_find(identifier, query.FIND):
            if "Status" not in status:
                raise Transient("The archive broke off its answer.")
            if status.Status == _SUCCESS:
                return found
            if status.Status not in query.PENDING:
                raise Transient(f"The archive refused the query with status 0x{status.Status:04X}.")
            if answer is not None:
                found.append(answer)
            if len(found) > MOST_ANSWERS:
                raise Transient(f"The archive gives more than {MOST_ANSWERS} answers.")
    except (RuntimeError, ValueError) as error:  # the library's words for an association that is gone
        raise Transient("The archive broke off the association.") from error
    raise Transient("The archive broke off its answer.")
