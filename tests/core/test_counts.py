"""An archive that is asked how many objects of a study it holds, on real rows: every study is asked about, and what was
made here hides nothing that is missing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.database.evidence import DatabaseEvidence
from adapters.database.priors import DatabasePriors
from gateway.archivist import Archivist
from gateway.errors import Transient
from gateway.fetching import ArchivedInstance, ArchivedStudy, Fetched
from tests.core.support import Core, MemoryDestination, core, instance

pytestmark = pytest.mark.slow


@dataclass
class CountingArchive:
    """`holds`: SOP Instance UIDs by study. `answers`: returns when it is about to answer; raises what it likes."""

    holds: dict[str, list[str]]
    answers: Callable[[], object] = lambda: None
    name: str = "pacs"
    ae_title: str = "PACS"
    retrieves: bool = True
    lists: bool = True
    core: Core | None = None
    asked: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def count(self, study_instance_uid: str) -> int | None:
        self.asked.append(study_instance_uid)
        self.answers()
        return len(self.holds[study_instance_uid]) if study_instance_uid in self.holds else None

    def instances(self, study_instance_uid: str) -> tuple[ArchivedInstance, ...]:
        if not self.lists:
            raise Transient("the archive ended the association")
        return tuple(ArchivedInstance(study_instance_uid + ".1", uid) for uid in self.holds[study_instance_uid])

    def studies_of(self, patient_id: str) -> tuple[ArchivedStudy, ...]:
        return ()

    def fetch(self, study_instance_uid: str, wanted: Sequence[ArchivedInstance],
              held: Sequence[ArchivedInstance]) -> Fetched:
        assert self.core is not None
        for one in wanted:
            self.fetched.append(one.sop_instance_uid)
            self.core.index.add(replace(instance(study_instance_uid, one.sop_instance_uid), sender="dicom:PACS"),
                                conflict=False)
        return Fetched(len(wanted))


@contextmanager
def beside(tmp: Path, archive: CountingArchive) -> Iterator[Core]:
    policy = {"quiet_seconds": 1, "settle_seconds": 0.5, "max_wait_seconds": 60, "count_from": "pacs"}
    with core(tmp, destinations=[MemoryDestination("PACS")], assembly=policy) as running:
        archive.core = running
        evidence = DatabaseEvidence(running.database, "SITE", running.clock.poke)
        archivist = Archivist(running.settings, {"pacs": archive}, DatabasePriors(running.database, "SITE"),
                              running.rows, evidence, running.index.flush, running.clock.poke)
        archivist.start()
        try:
            yield running
        finally:
            archivist.stop()


def completeness(running: Core, study: str, runs: int = 1) -> str:
    """Of the study once it has been read so often."""
    def is_read(line: object) -> bool:
        if line.study_instance_uid != study or line.state != "reported":
            return False
        versions = running.queries.case(line.case_id).runs
        return len(versions) == runs and versions[0]["run_id"] == line.run_id

    line = running.await_case(is_read, timeout=60)
    return str(line.completeness)


def test_what_was_made_here_does_not_hide_what_is_missing(tmp_path: Path) -> None:
    archive = CountingArchive({"1.2": ["1.2.1", "1.2.2"]})
    with beside(tmp_path, archive) as running:
        running.receive("1.2", "1.2.1")
        running.receive("1.2", "1.2.2")
        assert completeness(running, "1.2") == "complete"
        archive.holds["1.2"] += ["1.2.3", "1.2.4", "1.2.5"]  # as many more as there are objects and own documents
        running.receive("1.2", "1.2.3")
        assert completeness(running, "1.2", 2) == "complete"
        assert archive.fetched == ["1.2.4", "1.2.5"]


def test_what_was_made_here_and_is_at_the_archive_is_not_missed(tmp_path: Path) -> None:
    archive = CountingArchive({"1.2": ["1.2.1"]})
    with beside(tmp_path, archive) as running:
        running.receive("1.2", "1.2.1")
        assert completeness(running, "1.2") == "complete"
        made = DatabasePriors(running.database, "SITE").made("1.2")
        assert made
        archive.holds["1.2"] += [*made, "1.2.2"]
        running.receive("1.2", "1.2.2")
        assert completeness(running, "1.2", 2) == "complete"
        assert archive.fetched == []


def test_every_study_of_many_is_asked_about_before_it_is_read(tmp_path: Path) -> None:
    names = [f"1.2.{number}" for number in range(12)]
    archive = CountingArchive({name: [f"{name}.1", f"{name}.2"] for name in names})
    slow = threading.Event()
    archive.answers = lambda: slow.wait(0.3)
    with beside(tmp_path, archive) as running:
        for name in names:
            running.receive(name, f"{name}.1")
        assert [completeness(running, name) for name in names] == ["complete"] * 12
        assert sorted(archive.fetched) == sorted(f"{name}.2" for name in names)


def test_an_archive_that_does_not_answer_is_told_and_holds_up_no_study_for_long(tmp_path: Path) -> None:
    def fails() -> None:
        raise Transient("the archive cannot be reached")

    with beside(tmp_path, CountingArchive({}, fails)) as running:
        running.receive("1.2", "1.2.1")
        assert completeness(running, "1.2") == "assumed"
        case = running.queries.case(running.queries.worklist(1).items[0].case_id)
        assert [(one["kind"], one.get("state")) for one in case.evidence] == [("quiet", None), ("count", "broken")]


def test_a_number_without_a_list_of_what_was_made_here_is_none(tmp_path: Path) -> None:
    archive = CountingArchive({"1.2": ["1.2.1"]})
    with beside(tmp_path, archive) as running:
        running.receive("1.2", "1.2.1")
        assert completeness(running, "1.2") == "complete"
        archive.holds["1.2"] += ["1.2.2", *DatabasePriors(running.database, "SITE").made("1.2")]
        archive.lists = False
        running.receive("1.2", "1.2.2")
        assert completeness(running, "1.2", 2) == "assumed"
        case = running.queries.case(running.queries.worklist(1).items[0].case_id)
        assert [one["state"] for one in case.evidence if one["kind"] == "count"] == ["broken"]


def test_an_archive_that_has_not_got_the_study_yet_is_asked_again(tmp_path: Path) -> None:
    archive = CountingArchive({})
    with beside(tmp_path, archive) as running:
        archive.answers = lambda: archive.holds.update({"1.2": ["1.2.1"]} if len(archive.asked) == 2 else {})
        running.receive("1.2", "1.2.1")
        assert completeness(running, "1.2") == "complete"
        assert len(archive.asked) == 3


def test_that_an_archive_does_not_answer_is_kept_once(tmp_path: Path) -> None:
    with core(tmp_path, start=False) as running:
        pokes: list[int] = []
        evidence = DatabaseEvidence(running.database, "SITE", lambda: pokes.append(1))
        running.index.start()
        for objects in (1, 2):
            running.receive("1.2", f"1.2.{objects}")
            assert running.index.flush()
            for _ in range(3):
                evidence.uncounted("1.2", "pacs", datetime.now(UTC))
            assert len(pokes) == objects
        evidence.counted("1.2", "pacs", 2, datetime.now(UTC))
        evidence.uncounted("1.2", "pacs", datetime.now(UTC))
        ((_, heard),) = running.rows.receiving()
        assert [one.count for one in heard.evidence] == [2]
        running.index.stop()


def test_an_archive_that_hangs_holds_up_no_study_for_ever(tmp_path: Path) -> None:
    hangs = threading.Event()
    with beside(tmp_path, CountingArchive({}, lambda: hangs.wait(120))) as running:
        try:
            for name in ("1.2", "1.3", "1.4", "1.5", "1.6"):
                running.receive(name, name + ".1")
            assert {completeness(running, name) for name in ("1.2", "1.3", "1.4", "1.5", "1.6")} == {"assumed"}
        finally:
            hangs.set()
