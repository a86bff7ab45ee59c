"""What every destination promises (gateway.delivery.Destination), asked of each type.

A type joins by a module `tests/contract/destination_<type>.py` with
- `running()`: context manager giving (destination, received, make_document): `received()` lists the distinct contents
  that the peer holds, as bytes equal to `Document.content`; `make_document()` gives the same document each time, of a
  patient called "Secret";
- `unreachable()`: a destination whose peer is not there;
- optionally `refusing()`: context manager giving (destination, make_document) whose peer refuses for good;
- optionally `silent()`: context manager giving a destination whose peer connects and never answers.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from gateway.delivery import DeliveryState, Document, Kind, Receipt
from gateway.errors import Permanent, Rejected, Transient

MODULES = [importlib.import_module(f"tests.contract.{path.stem}")
           for path in sorted(Path(__file__).parent.glob("destination_*.py"))]
pytestmark = pytest.mark.peer


@pytest.fixture(params=MODULES, ids=lambda module: module.__name__.rpartition("destination_")[2])
def adapter(request: pytest.FixtureRequest) -> ModuleType:
    module: ModuleType = request.param
    return module


def test_every_configured_type_is_asked() -> None:
    assert {"tests.contract.destination_dicom", "tests.contract.destination_folder"} <= {m.__name__ for m in MODULES}


def test_a_delivered_document_is_there_and_proven(adapter: ModuleType) -> None:
    with adapter.running() as (destination, received, make_document):
        document: Document = make_document()
        receipt: Receipt = destination.deliver(document)
        assert receipt.state is DeliveryState.DELIVERED
        assert receipt.facts
        assert "Secret" not in repr(receipt)
        assert received() == [document.content]


def test_delivering_again_adds_nothing(adapter: ModuleType) -> None:
    with adapter.running() as (destination, received, make_document):
        first, second = destination.deliver(make_document()), destination.deliver(make_document())
        assert first.state is second.state is DeliveryState.DELIVERED
        assert received() == [make_document().content]


def test_it_says_its_name_and_what_it_takes(adapter: ModuleType) -> None:
    destination = adapter.unreachable()
    assert destination.name
    assert destination.kinds
    assert destination.kinds <= set(Kind)
    with adapter.running() as (_, _, make_document):
        assert make_document().kind in destination.kinds


def test_probe_tells_whether_the_peer_is_there(adapter: ModuleType) -> None:
    with adapter.running() as (destination, received, _):
        destination.probe()
        assert received() == []
    with pytest.raises(Transient):
        adapter.unreachable().probe()


def test_an_absent_peer_is_tried_again_later(adapter: ModuleType) -> None:
    with adapter.running() as (_, _, make_document):
        document = make_document()
    with pytest.raises(Transient) as caught:
        adapter.unreachable().deliver(document)
    assert "Secret" not in str(caught.value)


def test_a_refusal_for_good_is_permanent(adapter: ModuleType) -> None:
    if not hasattr(adapter, "refusing"):
        pytest.skip("this type of destination has nobody who refuses")
    with adapter.refusing() as (destination, make_document), pytest.raises((Permanent, Rejected)) as caught:
        destination.deliver(make_document())
    assert "Secret" not in str(caught.value)


def test_a_peer_that_never_answers_does_not_hold_us(adapter: ModuleType) -> None:
    if not hasattr(adapter, "silent"):
        pytest.skip("this type of destination has nobody to wait for")
    with adapter.running() as (_, _, make_document):
        document = make_document()
    with adapter.silent() as destination, pytest.raises(Transient):
        destination.deliver(document)
