"""Deleting a study or a patient: refused while something is under way, and then with all its files."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.errors import Conflict
from gateway.ports import ObjectStore
from gateway.repository import DocumentFiles
from gateway.work import now

_PATIENCE_SECONDS = 30.0
_LOOK_AGAIN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Doomed:
    """What is to go with a study: paths of its objects and of its documents, and what the engine has done for it.

    `runs`: (run id, its last attempt); `deliveries`: (delivery id, its last generation).
    """

    study_id: str
    objects: tuple[str, ...]
    documents: tuple[str, ...]
    runs: tuple[tuple[str, int], ...] = ()
    deliveries: tuple[tuple[int, int], ...] = ()


class ErasingRows(Protocol):
    """Port. `study_id`, `patient_key`: of our own making; raises NotFound."""

    def doomed(self, study_id: str) -> Doomed:
        """Raises Conflict where objects came since it was doomed."""
        ...

    def doom(self, study_id: str, at: datetime, *, force: bool) -> None:
        """Nothing of the study is begun any more, and its files count as gone.

        Raises Conflict, unless forced, while it is received, read or under delivery.
        """
        ...

    def reading(self, study_id: str) -> bool:
        """Whether a reader is at work on it this moment."""
        ...

    def erase(self, doomed: Doomed, who: str, at: datetime, *, force: bool) -> None:
        """The rows, and one line of audit. Raises Conflict where objects came meanwhile."""
        ...

    def studies_of(self, patient_key: str) -> Sequence[str]: ...

    def erase_patient(self, patient_key: str, who: str, at: datetime) -> None:
        """The patient's row and orders, and one line of audit. Raises Conflict where a study came meanwhile."""
        ...

    def require_idle(self, study_ids: Sequence[str]) -> None:
        """Raises Conflict while one of them is received, read or under delivery."""
        ...


class ForgetfulEngine(Protocol):
    """Port: the engine, as far as it remembers what it has done."""

    def forget(self, runs: Sequence[tuple[str, int]], deliveries: Sequence[tuple[int, int]]) -> None:
        """The same run or delivery, should it come again, is new to it. See `Doomed`."""
        ...


class Eraser:
    """Deletes rows and files in an order that a crash leaves to be finished, never half-forgotten."""

    def __init__(self, rows: ErasingRows, store: ObjectStore, documents: DocumentFiles, engine: ForgetfulEngine,
                 clock: Callable[[], datetime] = now, pause: Callable[[float], None] = time.sleep) -> None:
        self._rows, self._store, self._documents, self._engine = rows, store, documents, engine
        self._clock, self._pause = clock, pause

    def study(self, study_id: str, who: str, *, force: bool) -> None:
        """Raises NotFound, Conflict, Transient; what was begun is finished by asking again."""
        self._rows.doom(study_id, self._clock(), force=force)
        self._await_reader(study_id)
        doomed = self._rows.doomed(study_id)
        for path in doomed.objects:
            self._store.delete(path)
        for path in doomed.documents:
            self._documents.delete(path)
        self._rows.erase(doomed, who, self._clock(), force=force)
        self._engine.forget(doomed.runs, doomed.deliveries)

    def patient(self, patient_key: str, who: str, *, force: bool) -> None:
        """The patient with all studies: all may go, or none does."""
        studies = self._rows.studies_of(patient_key)
        if not force:
            self._rows.require_idle(studies)
        for study_id in studies:
            self.study(study_id, who, force=force)
        self._rows.erase_patient(patient_key, who, self._clock())

    def _await_reader(self, study_id: str) -> None:
        """A reader that is at work would file documents of a study that is gone."""
        for _ in range(int(_PATIENCE_SECONDS / _LOOK_AGAIN_SECONDS)):
            if not self._rows.reading(study_id):
                return
            self._pause(_LOOK_AGAIN_SECONDS)
        raise Conflict("The study is being read at this moment: try again when the reading has ended.")
