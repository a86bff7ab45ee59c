"""What `/metrics` counts while the gateway works."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.dicom.content import part10
from adapters.dicom.content.tags import TagStream
from adapters.files.store import FileObjectStore
from adapters.web.instruments import Instruments
from gateway.errors import GatewayError, StorageFull
from gateway.intake import Gate, ObjectIntake
from gateway.ports import Outcome
from gateway.study import Instance, Sender
from tests.dicom_objects import part10_bytes, slice_dataset


def objects(number: int = 1, name: str = "Doe^Jane") -> tuple[bytes, bytes]:
    return part10.split(part10_bytes(slice_dataset(number, name=name)))


def counting(folder: Path, made: Instruments, gate: Gate) -> ObjectIntake:
    class Nowhere:
        def add(self, instance: Instance, *, conflict: bool) -> None:
            """What is counted is looked at instead."""

    return ObjectIntake(FileObjectStore(folder, 0), TagStream, Nowhere(), gate, count=made.count)


def test_objects_are_counted_by_protocol_and_outcome(tmp_path: Path) -> None:
    made, gate = Instruments(lambda: 123), Gate()
    door = counting(tmp_path, made, gate)
    first, other = objects(), objects(name="Roe^Richard")
    ct, upload = Sender("dicom", "CT1"), Sender("upload", "x")
    for header, dataset in (first, first, other):
        door.take(ct, header, [dataset])
    for header, dataset in ((first[0], first[1][:-9]), (b"", b"")):
        with pytest.raises(GatewayError):
            door.take(upload, header, [dataset])
    gate.shut("disk", "There is no free space.")
    with pytest.raises(StorageFull, match="free space"):
        door.take(upload, *objects(2))

    def value(name: str, **labels: str) -> float | None:
        return made.registry.get_sample_value(name, labels)

    assert value("triage_objects_received_total", protocol="dicom", outcome="stored") == 1
    assert value("triage_objects_received_total", protocol="dicom", outcome="duplicate") == 1
    assert value("triage_objects_received_total", protocol="dicom", outcome="conflict") == 1
    assert value("triage_objects_received_total", protocol="upload", outcome="refused") == 3
    assert value("triage_objects_received_total", protocol="fhir", outcome="conflict") == 0
    assert value("triage_received_bytes_total", protocol="dicom") == sum(map(len, first + other))
    assert value("triage_disk_free_bytes") == 123


def test_a_refused_object_is_counted_once_whatever_is_asked_of_it_afterwards(tmp_path: Path) -> None:
    made, gate = Instruments(lambda: 0), Gate()
    header, dataset = objects()
    reception = counting(tmp_path, made, gate).receive(Sender("dicom", "CT1"), header)
    reception.write(dataset[:-9])
    for ask in (reception.uids, reception.tags, reception.stage, reception.finish):
        with pytest.raises(GatewayError):
            ask()
    reception.abort()
    assert made.registry.get_sample_value("triage_objects_received_total",
                                          {"protocol": "dicom", "outcome": "refused"}) == 1


@pytest.mark.parametrize("step", ["bring", "stage", "finish"])
def test_what_comes_to_a_shut_gate_is_refused_and_counted_once(tmp_path: Path, step: str) -> None:
    made, gate = Instruments(lambda: 0), Gate()
    door = counting(tmp_path, made, gate)
    header, dataset = objects()

    def bring() -> None:
        if step == "bring":
            gate.shut("disk", "There is no free space.")
        reception = door.bring(Sender("dicom", "CT1"), header, [dataset], {})
        gate.shut("disk", "There is no free space.")
        try:
            reception.stage() if step == "stage" else reception.finish()
        finally:
            reception.abort()

    with pytest.raises(StorageFull, match="free space"):
        bring()
    assert made.registry.get_sample_value("triage_objects_received_total",
                                          {"protocol": "dicom", "outcome": "refused"}) == 1
    assert not list(tmp_path.glob("*/*/*.dcm"))
    gate.open("disk")
    assert door.take(Sender("dicom", "CT1"), header, [dataset]).outcome is Outcome.STORED


def test_times_to_the_report_by_pipeline() -> None:
    made = Instruments(lambda: 0)
    made.reported("chest_ct", 7)
    for limit, count in (("5.0", 0), ("10.0", 1)):
        assert made.registry.get_sample_value("triage_report_seconds_bucket",
                                              {"pipeline": "chest_ct", "le": limit}) == count
