"""All documents of one result, encoded and read back as before every release: DICOM SR, picture, ORU^R01, FHIR
transaction and JSON; and the parsing of two of them by the usual libraries, beside our reading them back."""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import structlog

from gateway.delivery import Document, Kind
from gateway.documents import Encoder, require_agreement
from gateway.pipeline import EcgSheet, KeyImage, Picture
from tests.bench.lines import against_peer, progress, skipped
from tests.builders import reading
from tests.contract.encoders import SUBJECTS

ROUNDS = 15
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def milliseconds(call: Callable[[], object]) -> float:
    """Median, after one call that is not counted."""
    took = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1000)
    return median(took[1:])


def picture(kind: str) -> Picture:
    random = np.random.default_rng(7)
    if kind == "ecg":
        return EcgSheet(random.normal(0, 0.2, (12, 5000)).astype(np.float32), 500.0, LEADS)
    return KeyImage(random.integers(0, 255, (512, 512)).astype(np.uint8), np.zeros((512, 512), np.float32),
                    "slice 31 of 64")


def encode(encoder: Encoder, of: Any, shown: Picture) -> Document:
    document = encoder.encode(of, shown, "RIS" if encoder.per_destination else "")
    assert document is not None
    return document


def measure(kind: str) -> list[Document]:
    """Prints the time for a result of that kind; returns its documents."""
    of, shown = reading(kind, "pathology"), picture(kind)
    encoders = [subject.build() for subject in SUBJECTS]

    def publish() -> list[Document]:
        made = [(encoder, encode(encoder, of, shown)) for encoder in encoders]
        require_agreement(of, [encoder.read_back(document) for encoder, document in made])
        return [document for _, document in made]

    total = milliseconds(publish)
    for encoder in encoders:
        alone = milliseconds(lambda encoder=encoder: encoder.read_back(encode(encoder, of, shown)))
        progress(f"{kind} {encoder.kind.value}: {alone:.1f} ms")
    print(f"bench documents_{kind}_ms: ours {total:.0f} (SR, picture, ORU, FHIR and JSON, encoded and read back), "
          "no peer makes all of them", flush=True)
    return publish()


def compare(documents: list[Document]) -> None:
    """Reading one document back, beside its usual library taking it apart."""
    contents = {document.kind: document for document in documents}
    readers = {subject.build().kind: subject.build().read_back for subject in SUBJECTS}
    peers: tuple[tuple[Kind, str, str, Callable[[bytes], object]], ...] = (
        (Kind.ORU, "hl7apy", "hl7apy", _hl7apy), (Kind.DIAGNOSTIC_REPORT, "fhir", "fhir.resources", _fhir_resources))
    for kind, module, peer, parse in peers:
        if not importlib.util.find_spec(module):
            skipped(f"read_back_{kind.value}_ms", f"{peer} is not installed")
            continue
        document = contents[kind]
        against_peer(f"read_back_{kind.value}_ms", milliseconds(lambda k=kind, d=document: readers[k](d)), peer,
                     milliseconds(lambda parse=parse, d=document: parse(d.content)), digits=2)


def _hl7apy(content: bytes) -> object:
    from hl7apy.parser import parse_message

    return parse_message(content.decode(), find_groups=False)


def _fhir_resources(content: bytes) -> object:
    from fhir.resources.R4B.bundle import Bundle

    return Bundle.model_validate_json(content)


def main() -> None:
    warnings.simplefilter("ignore")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    measure("ecg")
    compare(measure("ct"))


if __name__ == "__main__":
    main()
