"""Fakes of the ports behind the worklist's saved views, its notices and the operations page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gateway.errors import Unreadable, Unusable
from gateway.explaining import Explained
from gateway.operations import Console, Counted, DestinationLoad, Disk, Latency, Queue
from gateway.views import MOST_VIEWS, SavedView

NOW = datetime.now(UTC).replace(microsecond=0)
REFUSED = "The receiver answered 0xA700: out of resources."


@dataclass
class FakeViews:
    kept: dict[str, list[SavedView]] = field(default_factory=dict)
    last: int = 0

    def list(self, owner: str) -> tuple[SavedView, ...]:
        return tuple(sorted(self.kept.get(owner, []), key=lambda view: view.name))

    def save(self, owner: str, name: str, query: Mapping[str, Sequence[str]]) -> None:
        others = [view for view in self.list(owner) if view.name != name]
        if len(others) >= MOST_VIEWS:
            raise Unusable(f"there are {MOST_VIEWS} saved views already; delete one first", element="name")
        self.last += 1
        self.kept[owner] = [*others, SavedView(self.last, name, dict(query))]

    def delete(self, owner: str, view_id: int) -> None:
        self.kept[owner] = [view for view in self.list(owner) if view.view_id != view_id]


def _loads(at: datetime) -> tuple[DestinationLoad, ...]:
    return (
        DestinationLoad("PACS", last_success=at - timedelta(minutes=2)),
        DestinationLoad("RIS", waiting=14, oldest=at - timedelta(hours=3), last_success=at - timedelta(hours=3),
                        last_error="connection refused"),
        DestinationLoad("EHR", waiting=1, unproven=2, dead=3, oldest=at - timedelta(minutes=1), last_error=REFUSED))


@dataclass
class FakeOperations:
    """Its times count from when it was made, since the page's count from when it is asked."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    loads: tuple[DestinationLoad, ...] = ()

    def __post_init__(self) -> None:
        self.loads = self.loads or _loads(self.at)

    def queues(self) -> tuple[Queue, ...]:
        return (Queue("receiving", 1, self.at - timedelta(seconds=20)),
                Queue("waiting", 12, self.at - timedelta(minutes=7)), Queue("analysing", 0, None))

    def destinations(self, configured: Sequence[str]) -> tuple[DestinationLoad, ...]:
        return self.loads

    def earlier(self) -> Sequence[Counted]:
        return (Counted(self.at - timedelta(minutes=30), {"dicom:CART": 1}), Counted(self.at, {"dicom:CART": 3}))


def console(rows: object = None, views: FakeViews | None = None, operations: FakeOperations | None = None) -> Console:
    """`rows`: something with `rows` whose change is to be noticed."""
    return Console(
        views or FakeViews(), operations or FakeOperations(), lambda: tuple(map(id, getattr(rows, "rows", ()))),
        lambda: Disk(420_000_000_000, 0.42),
        lambda: {"ecg_12lead": Latency(1204, 0.0183, 0.0412), "chest_ct": Latency(88, 0.62, 1.4)})


def explained(objects: Iterable[bytes]) -> Explained:
    """What the rule tester's page gets to show."""
    content = b"".join(objects)
    if b"BROKEN" in content:
        raise Unreadable("The file meta cannot be read.")
    taken = b"ECG" in content
    return Explained((("ecg", taken, "series 1 of 1 satisfies every condition" if taken else
                       "Modality is 'MR', the rule wants 'ECG'"), ("chest ct", False, "there is no order")),
                     "ecg_12lead reads 1 of 1 objects" if taken else
                     "no rule takes it: the study would be shown as unsupported")
