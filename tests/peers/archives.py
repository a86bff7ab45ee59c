"""DCMTK's archive beside a test."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import ArchiveSettings
from tests.peers.dcmtk import ENVIRONMENT, free_port, wait_for_port
from tests.peers.orthanc import AE_TITLE


def configured(port: int, title: str = AE_TITLE, **more: Any) -> ArchiveSettings:
    return ArchiveSettings.model_validate({"name": "pacs", "host": "127.0.0.1", "port": port, "ae_title": title,
                                           "timeout_seconds": 5, **more})


@contextlib.contextmanager
def dcmqrscp(folder: Path, own_port: int) -> Iterator[int]:
    """DCMTK's archive; it knows TRIAGE at `own_port`."""
    if not shutil.which("dcmqrscp"):
        pytest.skip("dcmqrscp (DCMTK) is not installed")
    (folder / "db").mkdir(parents=True)
    port = free_port()
    (folder / "dcmqrscp.cfg").write_text(
        f'NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n'
        f'HostTable BEGIN\ntriage = (TRIAGE, 127.0.0.1, {own_port})\nHostTable END\n'
        f'AETable BEGIN\nQR {folder / "db"} RW (200, 1024mb) ANY\nAETable END\n')
    with subprocess.Popen(["dcmqrscp", "-c", str(folder / "dcmqrscp.cfg")], env=ENVIRONMENT) as process:
        try:
            wait_for_port(port)
            yield port
        finally:
            process.terminate()
