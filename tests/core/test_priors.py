"""The prior beside a study: fetched before the reading, never read itself, never waited for longer than agreed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.database.evidence import DatabaseEvidence
from adapters.database.priors import DatabasePriors
from gateway import arrivals
from gateway.archivist import Archivist
from gateway.errors import Transient
from gateway.fetching import ArchivedInstance, ArchivedStudy, Fetched
from tests.core.support import Core, MemoryDestination, core, instance

pytestmark = pytest.mark.slow
ROUTE = {"name": "ot", "when": {"Modality": "OT"}, "pipeline": "stand_in", "prior": "newest"}


@dataclass
class FakeArchive:
    """Holds one earlier study. `block`: hangs until it is set. `down`: cannot be reached. `elsewhere`: it sends to
    somebody else. `late`: seconds after its last word until an object comes."""

    core: Core | None = None
    name: str = "pacs"
    ae_title: str = "PACS"
    retrieves: bool = True
    down: bool = False
    elsewhere: bool = False
    late: float = 0
    arrived: Callable[[], None] = lambda: None
    block: threading.Event | None = None
    holds: list[str] = field(default_factory=lambda: ["1.1.1", "1.1.2"])
    fetched: list[str] = field(default_factory=list)

    def count(self, study_instance_uid: str) -> int | None:
        return None

    def instances(self, study_instance_uid: str) -> tuple[ArchivedInstance, ...]:
        return tuple(ArchivedInstance("1.1.9", uid) for uid in self.holds)

    def studies_of(self, patient_id: str) -> tuple[ArchivedStudy, ...]:
        if self.down:
            raise Transient("the archive cannot be reached")
        if self.block:
            self.block.wait(30)
        return (ArchivedStudy("1.1", patient_id, "", "", ("OT",), "20200101"),)

    def fetch(self, study_instance_uid: str, wanted: Sequence[ArchivedInstance],
              held: Sequence[ArchivedInstance]) -> Fetched:
        for one in wanted:
            self.fetched.append(one.sop_instance_uid)
        if self.late:
            threading.Timer(self.late, self._come, (wanted,)).start()
        elif not self.elsewhere:
            self._come(wanted)
        return Fetched(len(wanted), told=bool(self.late) or self.elsewhere)

    def _come(self, wanted: Sequence[ArchivedInstance]) -> None:
        assert self.core is not None
        for one in wanted:
            self.core.index.add(replace(instance("1.1", one.sop_instance_uid), sender="dicom:PACS"), conflict=False)
        if self.late:
            self.core.index.flush()
            self.arrived()


@contextmanager
def beside(tmp: Path, archive: FakeArchive, wait: float = 20) -> Iterator[tuple[Core, DatabasePriors]]:
    made: list[Archivist] = []
    destination = MemoryDestination("PACS")
    with core(tmp, destinations=[destination], routes=[{**ROUTE, "prior_wait_seconds": wait}],
              held_back=lambda study, at: made[0].waits(study, at) if made else 0.0) as running:
        archive.core = running
        rows = DatabasePriors(running.database, "SITE")
        evidence = DatabaseEvidence(running.database, "SITE", running.clock.poke)
        archivist = Archivist(running.settings, {"pacs": archive}, rows, running.rows, evidence, running.index.flush,
                              running.clock.poke)
        made.append(archivist)
        archive.arrived = archivist.arrived
        archivist.start()
        try:
            yield running, rows
        finally:
            if archive.block:
                archive.block.set()
            archivist.stop()


def of_case(running: Core, study: str = "1.2") -> Any:
    case: Any = running.await_case(lambda one: one.study_instance_uid == study and one.state == "reported")
    found = running.queries.case(case.case_id)
    assert found is not None
    return found


def settled(running: Core) -> dict[str, Any]:
    """The prior of the case once nothing is done about it any more."""
    pause = threading.Event()
    for _ in range(400):
        prior: dict[str, Any] = of_case(running).prior
        if prior["state"] not in ("wanted", "fetching"):
            return prior
        pause.wait(0.05)
    raise AssertionError("the prior is never settled")


def test_the_prior_is_fetched_before_the_reading_and_is_not_read(tmp_path: Path) -> None:
    archive = FakeArchive()
    with beside(tmp_path, archive) as (running, rows):
        running.receive("1.2", "1.2.1", StudyDate="20260101")
        found = of_case(running)
        assert found.prior == {"state": "fetched", "study_instance_uid": "1.1", "archive": "pacs", "objects": 2,
                               "error": ""}
        assert [one.study_instance_uid for one in running.queries.worklist(10).items] == ["1.2"]
        assert rows.open_priors() == []
        running.receive("1.2", "1.2.2", StudyDate="20260101")  # late objects ask for no second prior
        running.await_case(lambda one: len(running.queries.case(one.case_id).runs) == 2 and one.state == "reported")
        assert archive.fetched == ["1.1.1", "1.1.2"]
        assert [one.study_instance_uid for one in running.queries.worklist(10).items] == ["1.2"]


def test_a_prior_that_somebody_sends_is_read(tmp_path: Path) -> None:
    with beside(tmp_path, FakeArchive()) as (running, rows):
        running.receive("1.2", "1.2.1", StudyDate="20260101")
        of_case(running)
        assert not rows.sent("dicom:PACS", ["1.1"], datetime.now(UTC))  # the archive itself, on our own account
        assert rows.sent("dicom:CT1", ["1.1", "1.2"], datetime.now(UTC))  # nothing new in it, and asked for
        running.clock.poke()
        assert of_case(running, "1.1").instances == 2


def test_a_new_object_of_a_prior_makes_it_a_study_to_be_read(tmp_path: Path) -> None:
    with beside(tmp_path, FakeArchive()) as (running, _):
        running.receive("1.2", "1.2.1", StudyDate="20260101")
        of_case(running)
        running.receive("1.1", "1.1.3")
        assert of_case(running, "1.1").instances == 3


def test_an_archive_that_hangs_holds_up_the_reading_only_so_long(tmp_path: Path) -> None:
    with beside(tmp_path, FakeArchive(block=threading.Event()), wait=1) as (running, _):
        running.receive("1.2", "1.2.1", StudyDate="20260101")
        assert of_case(running).prior["state"] == "wanted"


def test_an_archive_that_is_down_is_told_on_the_case(tmp_path: Path) -> None:
    with beside(tmp_path, FakeArchive(down=True), wait=1) as (running, _):
        running.receive("1.2", "1.2.1", StudyDate="20260101")
        prior = of_case(running).prior
        assert prior["state"] in ("wanted", "failed")
        assert prior["state"] == "wanted" or "cannot be reached" in prior["error"]


def test_a_prior_that_the_archive_sent_to_somebody_else_is_not_said_to_be_fetched(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "PATIENCE_SECONDS", 0.2)
    with beside(tmp_path, FakeArchive(elsewhere=True), wait=1) as (running, _):
        running.receive("1.2", "1.2.1", StudyDate="20260101")
        prior = settled(running)
        assert (prior["state"], prior["objects"]) == ("failed", 0)
        assert prior["error"] == ("pacs: 0 of 2 objects came: the archive says it sent them; see where its entry for "
                                  "our AE title points.")


def test_a_prior_that_comes_after_the_archives_last_word_is_fetched(tmp_path: Path) -> None:
    with beside(tmp_path, FakeArchive(late=0.5)) as (running, _):
        running.receive("1.2", "1.2.1", StudyDate="20260101")
        assert (settled(running)["state"], settled(running)["objects"]) == ("fetched", 2)


def test_an_archive_that_names_no_object_of_the_prior_has_none_to_fetch(tmp_path: Path) -> None:
    with beside(tmp_path, FakeArchive(holds=[]), wait=1) as (running, _):
        running.receive("1.2", "1.2.1", StudyDate="20260101")
        assert (settled(running)["state"], settled(running)["objects"]) == ("failed", 0)


def test_a_study_without_a_patient_id_is_read_without_asking(tmp_path: Path) -> None:
    with beside(tmp_path, FakeArchive()) as (running, _):
        running.receive("1.2", "1.2.1", StudyDate="20260101", PatientID="")
        assert of_case(running).prior["state"] == "none"


def test_fetching_goes_on_after_a_restart(tmp_path: Path) -> None:
    with beside(tmp_path, FakeArchive(block=threading.Event()), wait=1) as (running, rows):
        running.receive("1.2", "1.2.1", StudyDate="20260101")
        of_case(running)
        assert len(rows.open_priors()) == 1
    with beside(tmp_path, FakeArchive()) as (running, _):
        assert (settled(running)["state"], settled(running)["objects"]) == ("fetched", 2)
