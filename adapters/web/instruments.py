"""What is measured while the gateway works, for `/metrics`: objects taken in, time to the report, free disk space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.errors import GatewayError
from gateway.ports import Intake, Outcome, Piece, Reception, Stored
from gateway.study import Sender

_SECONDS = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14400.0)
_PROTOCOLS = ("dicom", "dicomweb", "fhir", "upload", "wfdb")


class Instruments:
    """Made once for each gateway. `registry` is scraped; labels name protocols and pipelines, never people."""

    def __init__(self, free_bytes: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self._objects = Counter("triage_objects_received", "DICOM objects by what became of them.",
                                ["protocol", "outcome"], registry=self.registry)
        self._bytes = Counter("triage_received_bytes", "Bytes of the objects stored.", ["protocol"],
                              registry=self.registry)
        self._seconds = Histogram("triage_report_seconds", "From the last object of a study to its first report.",
                                  ["pipeline"], buckets=_SECONDS, registry=self.registry)
        free = Gauge("triage_disk_free_bytes", "Free space where objects are stored.", registry=self.registry)
        free.set_function(free_bytes)
        for protocol in _PROTOCOLS:
            self._bytes.labels(protocol)
            for outcome in (*Outcome, "refused"):
                self._objects.labels(protocol, str(outcome))

    def metered(self, intake: Intake) -> Intake:
        """The same door, counted."""
        return metered(intake, self.count)

    def reported(self, pipeline: str, seconds: float) -> None:
        self._seconds.labels(pipeline).observe(seconds)

    def count(self, protocol: str, stored: Stored | None, number: int = 1) -> None:
        """One object: as it was stored, or None for a refused one. Or several of which the same is true, with the bytes
        of all."""
        self._objects.labels(protocol, str(stored.outcome) if stored else "refused").inc(number)
        if stored and stored.outcome is not Outcome.DUPLICATE:
            self._bytes.labels(protocol).inc(stored.size)


def metered(intake: Intake, count: Callable[[str, Stored | None], None]) -> Intake:
    """The same door; `count` is called once for each object, with its protocol."""
    return _MeteredIntake(intake, count)


@dataclass(frozen=True, slots=True)
class _MeteredIntake:
    inner: Intake
    count: Callable[[str, Stored | None], None]

    def check(self) -> None:
        self.inner.check()

    def receive(self, sender: Sender, header: bytes) -> Reception:
        meter = _Meter(self.count, sender.protocol)
        with meter:
            return _MeteredReception(self.inner.receive(sender, header), meter)

    def bring(self, sender: Sender, header: bytes, dataset: Sequence[Piece], announced: Mapping[str, str]) -> Reception:
        meter = _Meter(self.count, sender.protocol)
        with meter:
            return _MeteredReception(self.inner.bring(sender, header, dataset, announced), meter)

    def take(self, sender: Sender, header: bytes, dataset: Sequence[bytes]) -> Stored:
        with _Meter(self.count, sender.protocol) as meter:
            return meter.stored(self.inner.take(sender, header, dataset))


@dataclass(slots=True)
class _Meter:
    """Counts one object once: when it is stored, or at the first refusal."""

    count: Callable[[str, Stored | None], None]
    protocol: str
    counted: bool = False

    def stored(self, stored: Stored) -> Stored:
        self._count(stored)
        return stored

    def __enter__(self) -> _Meter:
        return self

    def __exit__(self, _kind: object, error: object, _traceback: object) -> None:
        if isinstance(error, GatewayError):
            self._count(None)

    def _count(self, stored: Stored | None) -> None:
        if not self.counted:
            self.counted = True
            self.count(self.protocol, stored)


@dataclass(frozen=True, slots=True)
class _MeteredReception:
    inner: Reception
    meter: _Meter

    def write(self, piece: Piece) -> None:
        with self.meter:
            self.inner.write(piece)

    def uids(self) -> Mapping[str, str]:
        with self.meter:
            return self.inner.uids()

    def tags(self) -> Mapping[str, Any]:
        with self.meter:
            return self.inner.tags()

    def stage(self) -> None:
        with self.meter:
            self.inner.stage()

    def finish(self) -> Stored:
        with self.meter:
            return self.meter.stored(self.inner.finish())

    def abort(self) -> None:
        self.inner.abort()
