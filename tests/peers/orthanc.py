"""A real Orthanc on loopback as the PACS."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.peers.dcmtk import free_port, wait_for_port

AE_TITLE = "ORTHANC"
_FORWARDING = """
function OnStoredInstance(instanceId, tags, metadata)
  SendToModality(instanceId, 'TRIAGE')
end
"""


@dataclass
class Orthanc:
    """One running server. `port`: DICOM."""

    port: int
    client: httpx.Client

    def ask(self, path: str) -> Any:
        answer = self.client.get(path)
        answer.raise_for_status()
        return answer.json()

    def held(self, study_instance_uid: str = "") -> dict[str, dict[str, str]]:
        """SOP Instance UID → its tags (simplified), with Orthanc's own id as `ID`."""
        query = {"Level": "Instance", "Query": {"StudyInstanceUID": study_instance_uid} if study_instance_uid else {},
                 "Expand": True}
        answer = self.client.post("/tools/find", json=query)
        answer.raise_for_status()
        found = {}
        for one in answer.json():
            tags = self.ask(f"/instances/{one['ID']}/simplified-tags")
            found[tags["SOPInstanceUID"]] = {**tags, "ID": one["ID"]}
        return found

    def of_modality(self, modality: str, study_instance_uid: str = "") -> dict[str, dict[str, str]]:
        return {uid: tags for uid, tags in self.held(study_instance_uid).items() if tags.get("Modality") == modality}

    def file(self, held: dict[str, str], folder: Path) -> Path:
        """One instance as a file."""
        path = folder / f"{held['SOPInstanceUID']}.dcm"
        answer = self.client.get(f"/instances/{held['ID']}/file")
        answer.raise_for_status()
        path.write_bytes(answer.content)
        return path

    def in_order(self) -> list[str]:
        """Modalities of everything it holds, as it came."""
        changes = self.ask("/changes?limit=1000")["Changes"]
        new = [c["ID"] for c in changes if c["ChangeType"] == "NewInstance"]
        return [self.ask(f"/instances/{one}/simplified-tags")["Modality"] for one in new]

    def forwarded(self) -> int:
        """How many objects it has sent on, in jobs that are done."""
        return sum(int(j["Content"]["CountOperations"]) for j in self.jobs() if j["State"] == "Success")

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("/jobs?expand")
        return found


@contextmanager
def orthanc(folder: Path, *, port: int = 0, forward_to: int = 0, knows: int = 0, **more: Any) -> Iterator[Orthanc]:
    """Skips where Orthanc is not installed. `forward_to`: a DICOM port to which everything received is sent again.
    `knows`: a DICOM port of a TRIAGE to which nothing is sent by itself. `more`: settings of Orthanc."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if not program:
        pytest.skip("Orthanc is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "forward.lua").write_text(_FORWARDING, encoding="utf-8")
    dicom, http = port or free_port(), free_port()
    settings: dict[str, Any] = {
        "Name": "PACS", "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "storage"),
        "DicomPort": dicom, "HttpPort": http, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "DicomAet": AE_TITLE, "DicomCheckCalledAet": True, "Plugins": [], "OverwriteInstances": False,
        "SynchronousCMove": True, "JobsHistorySize": 1000, **more}
    if forward_to:
        settings |= {"LuaScripts": [str(folder / "forward.lua")],
                     "DicomModalities": {"TRIAGE": ["TRIAGE", "127.0.0.1", forward_to]}}
    if knows:
        settings["DicomModalities"] = {"TRIAGE": {"AET": "TRIAGE", "Host": "127.0.0.1", "Port": knows,
                                                  "AllowStorageCommitment": True}}
    (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
    with (folder / "orthanc.log").open("ab") as log, subprocess.Popen(
            [program, str(folder / "orthanc.json")], stdout=log, stderr=log) as process:
        try:
            wait_for_port(http)
            wait_for_port(dicom)
            with httpx.Client(base_url=f"http://127.0.0.1:{http}", timeout=30, trust_env=False) as client:
                yield Orthanc(dicom, client)
        finally:
            process.terminate()


def destination(port: int, **more: Any) -> dict[str, Any]:
    """The gateway's settings for it."""
    return {"name": "PACS", "type": "dicom", "host": "127.0.0.1", "port": port, "ae_title": AE_TITLE, **more}
