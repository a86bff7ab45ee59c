"""Modalities that send procedure steps: dcmjs-dimse from npm, and pynetdicom."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import InstanceAvailabilityNotification, ModalityPerformedProcedureStep

ROOT = Path(__file__).parents[2]
VERSION = "0.3.3"
STEP, IAN = str(ModalityPerformedProcedureStep), str(InstanceAvailabilityNotification)


def installed() -> Path:
    """node_modules with dcmjs-dimse, installed under .tools/ (git-ignored) when missing; skips where that fails."""
    home = ROOT / ".tools" / "dcmjs-dimse"
    found = home / "node_modules" / "dcmjs-dimse" / "build" / "dcmjs-dimse.min.js"
    if not shutil.which("node"):
        pytest.skip("node is not installed: no dcmjs-dimse")
    if not found.exists():
        if not shutil.which("npm"):
            pytest.skip("npm is not installed: no dcmjs-dimse")
        home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(home),
                               f"dcmjs-dimse@{VERSION}"], capture_output=True, timeout=240, check=False)
        if done.returncode or not found.exists():
            pytest.skip("npm could not install dcmjs-dimse")
    return home / "node_modules"


@dataclass(frozen=True, slots=True)
class Answer:
    """`at`: POSIX seconds."""

    status: int
    comment: str
    at: float


def run(port: int, folder: Path, *associations: Sequence[dict[str, Any]], calling: str = "CT1") -> list[Answer]:
    """Send with dcmjs-dimse, one association after the other; the answers as they came."""
    modules = installed()
    plan = folder / "plan.json"
    plan.write_text(json.dumps(associations), encoding="utf-8")
    script = Path(__file__).with_name("modality.cjs")
    done = subprocess.run(["node", str(script), str(port), calling, str(plan)], capture_output=True, text=True,
                          timeout=120, check=False, env={**os.environ, "NODE_PATH": str(modules)})
    assert done.returncode == 0, done.stdout + done.stderr
    return [Answer(**json.loads(line)) for line in done.stdout.splitlines()]


def created(*studies: str, status: str = "IN PROGRESS") -> dict[str, Any]:
    """Attributes of an N-CREATE, by keyword."""
    return {"PerformedProcedureStepStatus": status, "PerformedProcedureStepID": "P1", "Modality": "ECG",
            "PerformedStationAETitle": "CT1", "PerformedProcedureStepStartDate": "20260105",
            "PerformedProcedureStepStartTime": "080000", "PerformedSeriesSequence": [],
            "ScheduledStepAttributesSequence": [{"StudyInstanceUID": study, "AccessionNumber": "A1"}
                                                for study in studies]}


def ended(listed: dict[str, Sequence[str]], status: str = "COMPLETED") -> dict[str, Any]:
    """Attributes of the last N-SET. `listed`: Series → SOP Instance UIDs."""
    series = [{"SeriesInstanceUID": uid, "ProtocolName": "rest", "ReferencedImageSequence": [
        {"ReferencedSOPClassUID": "1.2.840.10008.5.1.4.1.1.9.1.1", "ReferencedSOPInstanceUID": one} for one in some]}
        for uid, some in listed.items()]
    return {"PerformedProcedureStepStatus": status, "PerformedProcedureStepEndDate": "20260105",
            "PerformedProcedureStepEndTime": "080500", "PerformedSeriesSequence": series}


def notified(study: str, listed: dict[str, Sequence[str]], availability: str = "ONLINE") -> dict[str, Any]:
    """Attributes of an Instance Availability Notification."""
    return {"StudyInstanceUID": study, "ReferencedPerformedProcedureStepSequence": [], "ReferencedSeriesSequence": [
        {"SeriesInstanceUID": uid, "ReferencedSOPSequence": [
            {"ReferencedSOPClassUID": "1.2.3", "ReferencedSOPInstanceUID": one, "InstanceAvailability": availability,
             "RetrieveAETitle": "PACS"} for one in some]} for uid, some in listed.items()]}


def dataset(attributes: dict[str, Any]) -> Dataset:
    made = Dataset()
    for keyword, value in attributes.items():
        nested = isinstance(value, list) and all(isinstance(item, dict) for item in value)
        setattr(made, keyword, [dataset(item) for item in value] if nested else value)
    return made


class Modality:
    """pynetdicom as SCU of procedure steps and notifications, each request on an association of its own."""

    def __init__(self, port: int, calling: str = "CT1") -> None:
        self._port, self._calling = port, calling

    def create(self, attributes: dict[str, Any] | Dataset | None, uid: str | None = "", *,
               sop_class: str = STEP) -> tuple[Dataset, Any]:
        made = dataset(attributes) if isinstance(attributes, dict) else attributes
        return self._ask(sop_class, lambda a: a.send_n_create(made, sop_class, generate_uid() if uid == "" else uid))

    def set(self, attributes: dict[str, Any], uid: str) -> Dataset:
        return self._ask(STEP, lambda a: a.send_n_set(dataset(attributes), STEP, uid))[0]

    def _ask(self, sop_class: str, ask: Any) -> Any:
        entity = AE(ae_title=self._calling)
        entity.add_requested_context(sop_class)
        association = entity.associate("127.0.0.1", self._port)
        assert association.is_established
        try:
            return ask(association)
        finally:
            association.release()
