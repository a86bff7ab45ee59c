"""What is measured while the gateway works, for `/metrics`: objects taken in, time to the report, free disk space."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.ports import Outcome, Stored

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

    def reported(self, pipeline: str, seconds: float) -> None:
        self._seconds.labels(pipeline).observe(seconds)

    def count(self, protocol: str, stored: Stored | None, number: int = 1) -> None:
        """One object: as it was stored, or None for a refused one. Or several of which the same is true, with the bytes
        of all."""
        self._objects.labels(protocol, str(stored.outcome) if stored else "refused").inc(number)
        if stored and stored.outcome is not Outcome.DUPLICATE:
            self._bytes.labels(protocol).inc(stored.size)
