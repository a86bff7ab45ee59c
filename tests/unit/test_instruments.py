"""What `/metrics` counts while the gateway works."""

from __future__ import annotations

import pytest

from adapters.web.instruments import Instruments
from gateway.errors import Unusable
from gateway.study import Sender
from tests.web_fakes import FakeIntake


def test_objects_are_counted_by_protocol_and_outcome() -> None:
    made, inner = Instruments(lambda: 123), FakeIntake()
    door = made.metered(inner)
    for content in (b"1234", b"1234", b"56"):
        door.take(Sender("dicom", "CT1"), b"", [content])
    with pytest.raises(Unusable):
        door.take(Sender("upload", "x"), b"", [b"NOUID"])

    def value(name: str, **labels: str) -> float | None:
        return made.registry.get_sample_value(name, labels)

    assert value("triage_objects_received_total", protocol="dicom", outcome="stored") == 2
    assert value("triage_objects_received_total", protocol="dicom", outcome="duplicate") == 1
    assert value("triage_objects_received_total", protocol="upload", outcome="refused") == 1
    assert value("triage_objects_received_total", protocol="fhir", outcome="conflict") == 0
    assert value("triage_received_bytes_total", protocol="dicom") == 6
    assert value("triage_disk_free_bytes") == 123


def test_a_full_gateway_is_told_before_anything_is_taken() -> None:
    inner = FakeIntake(full=True)
    with pytest.raises(Exception, match="free space"):
        Instruments(lambda: 0).metered(inner).check()


def test_times_to_the_report_by_pipeline() -> None:
    made = Instruments(lambda: 0)
    made.reported("chest_ct", 7)
    for limit, count in (("5.0", 0), ("10.0", 1)):
        assert made.registry.get_sample_value("triage_report_seconds_bucket",
                                              {"pipeline": "chest_ct", "le": limit}) == count
