"""A result becomes documents: encoded, read back, compared, and on disk before anything is released."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from gateway.case import Reading
from gateway.delivery import Destination, Document, Kind
from gateway.documents import Encoder, require_agreement
from gateway.evidence_map import pack
from gateway.identity import document_uid
from gateway.pipeline import Analysis, Picture
from gateway.repository import DocumentFiles, Filed
from gateway.study import Instance

EXTENSIONS = {Kind.ORU: "hl7", Kind.DIAGNOSTIC_REPORT: "json", Kind.JSON: "json", Kind.EVIDENCE: "bin"}
_MADE_HERE = ("fhir:", "wfdb:", "npy:", "aecg:", "nifti:", "photo:", "sound:")
"""Protocols whose objects the gateway wrapped into DICOM itself."""


class Publisher:
    """Encodes for the destinations of a run; `read_object` gives the bytes of a stored instance."""

    def __init__(self, encoders: Sequence[Encoder], destinations: Mapping[str, Destination], files: DocumentFiles,
                 read_object: Callable[[str], bytes]) -> None:
        self._encoders, self._destinations, self._files = encoders, destinations, files
        self._read_object = read_object

    def publish(self, reading: Reading, analysis: Analysis, names: Sequence[str]) -> list[Filed]:
        """Every document of a reading, filed. Raises Disagreement when one contradicts the result."""
        picture, reading = analysis.picture, replace(reading, segmentation=analysis.segmentation)
        filed = [self._source(reading, instance, names) for instance in reading.selection.instances
                 if instance.sender.startswith(_MADE_HERE)]
        made = [(encoder, document, destination) for encoder in self._encoders
                for document, destination in self._encode(encoder, reading, picture, names)]
        require_agreement(reading, [encoder.read_back(document) for encoder, document, _ in made])
        if analysis.evidence is not None:
            identity = document_uid(reading.run.run_id, Kind.EVIDENCE.value)
            kept = Document(Kind.EVIDENCE, identity, pack(analysis.evidence))
            filed.append(self._file(reading, kept, "", ()))
        return filed + [self._file(reading, document, destination, names) for _, document, destination in made]

    def _encode(self, encoder: Encoder, reading: Reading, picture: Picture | None,
                names: Sequence[str]) -> list[tuple[Document, str]]:
        takers = self._takers(encoder.kind, names)
        targets = (takers or [""]) if encoder.per_destination else [""]
        found = [(encoder.encode(reading, picture, target), target) for target in targets]
        return [(document, target) for document, target in found if document is not None]

    def _takers(self, kind: Kind, names: Sequence[str]) -> list[str]:
        return [name for name in names if name in self._destinations and kind in self._destinations[name].kinds]

    def _file(self, reading: Reading, document: Document, destination: str, names: Sequence[str]) -> Filed:
        name = "-".join(part for part in (document.kind.value, destination) if part)
        extension = EXTENSIONS.get(document.kind, "dcm")
        path, sha256 = self._files.put(reading.run.run_id, f"{name}.{extension}", document.content)
        goes_to = [destination] if destination else self._takers(document.kind, names)
        return Filed(document, path, sha256, destination, tuple(goes_to))

    def _source(self, reading: Reading, instance: Instance, names: Sequence[str]) -> Filed:
        """An object that the gateway made of non-DICOM input goes out before the SR that names it."""
        document = Document(Kind.SOURCE, instance.sop_instance_uid, self._read_object(instance.path),
                            instance.sop_class_uid)
        path, sha256 = self._files.put(reading.run.run_id, f"source-{instance.sop_instance_uid}.dcm", document.content)
        return Filed(document, path, sha256, "", tuple(self._takers(Kind.SOURCE, names)))
