"""Disk watch, retention, silence, sweep: over real rows and a store whose disk we decide."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.dicom.content.tags import TagStream
from gateway.delivery import DeliveryState, Kind
from gateway.errors import StorageFull
from gateway.housekeeping import Housekeeping
from gateway.intake import Gate, ObjectIntake
from gateway.ports import Incoming, Outcome, Stored
from gateway.study import Sender
from tests.core.support import Core, MemoryDestination, core

pytestmark = pytest.mark.slow


class Disk:
    """An ObjectStore whose free space is what the test says."""

    def __init__(self) -> None:
        self.free, self.share = 10 * 2**30, 0.1
        self.deleted: list[str] = []

    def begin(self, header: bytes) -> Incoming:
        raise AssertionError("nothing is stored here")

    def put(self, study: str, sop: str, header: bytes, dataset: Iterable[bytes]) -> Stored:
        return Stored(f"/nowhere/{sop}", "d", 1, Outcome.STORED)

    def walk(self, since: float) -> Iterable[str]:
        return []

    def delete(self, path: str) -> None:
        self.deleted.append(path)
        self.share -= 0.2

    def free_bytes(self) -> int:
        return self.free

    def used_share(self) -> float:
        return self.share


def keeping(c: Core, disk: Disk, gate: Gate, ahead: timedelta = timedelta()) -> Housekeeping:
    return Housekeeping(c.settings, c.rows, disk, c.documents, gate, "test", lambda: datetime.now(UTC) + ahead)


def test_the_intake_shuts_under_the_floor_and_opens_above_it(tmp_path: Path) -> None:
    with core(tmp_path, start=False) as c:
        disk, gate = Disk(), Gate()
        intake = ObjectIntake(disk, TagStream, c.index, gate)
        disk.free = 2**20
        keeping(c, disk, gate).watch_disk()
        with pytest.raises(StorageFull, match="disk space"):
            intake.check()
        disk.free = 2**40
        keeping(c, disk, gate).watch_disk()
        intake.check()


def test_retention_never_deletes_what_is_not_delivered(tmp_path: Path) -> None:
    pacs = MemoryDestination("pacs", down=True)
    with core(tmp_path, destinations=[pacs], delivery={"first_retry_seconds": 3600}) as c:
        c.receive("1.2.3", "1.2.3.1.1")
        c.await_case(lambda i: i.state == "reported" and bool(i.deliveries))
        disk = Disk()
        late = keeping(c, disk, Gate(), timedelta(days=60))
        assert late.retain() == 0
        disk.share = 0.99
        assert late.retain() == 0
        pacs.down = False
        for delivery in c.queries.deliveries(DeliveryState.PENDING):
            for ticket in c.rows.hurry(delivery.delivery_id, datetime.now(UTC)):
                c.engine.enqueue_delivery(ticket)
        c.await_case(lambda i: all(d.state is DeliveryState.DELIVERED for d in i.deliveries))
        item = c.queries.worklist(1).items[0]
        assert late.retain() == 1
        assert len(disk.deleted) == 1
        assert c.queries.document(item.case_id, Kind.SC) is None
        assert c.queries.document(item.case_id, Kind.SR) is not None
        assert not list(c.settings.data_dir.glob("documents/*/*/sc.dcm"))
        assert late.retain() == 0


def test_a_full_disk_retires_the_oldest_delivered_first(tmp_path: Path) -> None:
    with core(tmp_path) as c:
        for n in (1, 2, 3):
            c.receive(f"1.2.{n}", f"1.2.{n}.1")
            c.await_case(lambda i, n=n: i.study_instance_uid == f"1.2.{n}" and i.state == "reported")
        disk = Disk()
        disk.share = 0.85
        keeping(c, disk, Gate(), timedelta(hours=2)).retain()
        assert disk.deleted[0] == "/nowhere/1.2.1/1.2.1.1.dcm"


def test_a_silent_sender_is_told_once_until_it_is_heard_again(tmp_path: Path) -> None:
    with core(tmp_path) as c:
        c.receive("1.2.3", "1.2.3.1.1")
        assert c.index.flush()
        assert keeping(c, Disk(), Gate()).silent_senders() == []
        assert keeping(c, Disk(), Gate(), timedelta(hours=25)).silent_senders() == ["dicom:CT1"]


def test_an_executor_is_silent_after_its_heart_stops(tmp_path: Path) -> None:
    with core(tmp_path, start=False) as c:
        at = datetime.now(UTC)
        c.rows.beat("other", at)
        assert c.rows.silent_executors("test", at, timedelta(seconds=20)) == []
        assert c.rows.silent_executors("test", at + timedelta(seconds=30), timedelta(seconds=20)) == ["other"]


def test_the_sweep_queues_what_nothing_carries_on(tmp_path: Path) -> None:
    class Deaf:
        def enqueue_run(self, *_: object) -> None: ...
        def enqueue_delivery(self, *_: object) -> None: ...

    with core(tmp_path) as c:
        c.work.use(Deaf())
        c.receive("1.2.3", "1.2.3.1.1")
        c.await_case(lambda i: i.state == "waiting")
        c.work.use(c.engine)
        house = keeping(c, Disk(), Gate())
        assert house.sweep(c.engine) == 1
        c.await_case(lambda i: i.state == "reported")
        assert house.sweep(c.engine) == 0


def test_an_intake_object_without_its_uids_never_reaches_the_store(tmp_path: Path) -> None:
    from gateway.errors import Rejected

    with core(tmp_path, start=False) as c:
        disk = Disk()
        intake = ObjectIntake(disk, TagStream, c.index, Gate())
        with pytest.raises(Rejected):
            intake.take(Sender("dicom", "X"), b"", [b"garbage"])
