"""The composed gateway where it cannot start."""

from __future__ import annotations

import io
import socket
import threading
import zipfile
from pathlib import Path

import httpx
import pytest

from gateway.app.gateway import Gateway
from gateway.errors import ConfigurationError
from gateway.settings import Settings
from tests.unit.test_wfdb_upload import record

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("part", ["dicom", "mllp", "http"])
def test_a_port_that_is_taken_is_said_and_leaves_nothing_running(tmp_path: Path, part: str) -> None:
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {name: {"port": 0} for name in ("dicom", "mllp", "http")}
        ports[part] = {"port": taken.getsockname()[1]}
        gateway = Gateway(Settings.model_validate({"data_dir": tmp_path, **ports,
                                                   "storage": {"free_floor_bytes": 1}}))
        try:
            with pytest.raises(ConfigurationError, match=part):
                gateway.start()
        finally:
            gateway.stop()
    left = [t for t in set(threading.enumerate()) - before if t.name in ("index", "orders", "assembly", "http")]
    assert left == []
    Gateway(gateway.settings).stop()


def test_a_recording_without_a_date_is_the_same_on_another_day(tmp_path: Path) -> None:
    """As a pair today, in a zip packed in 1999: one recording. Under another patient's name it contradicts."""
    files = record(tmp_path, dated=False)
    other = {name.replace("rec", "other"): content.replace(b"rec", b"other") if name.endswith(".hea") else content
             for name, content in files.items()}
    gateway = Gateway(Settings.model_validate({
        "data_dir": tmp_path / "data", "storage": {"free_floor_bytes": 1},
        **{name: {"port": 0} for name in ("dicom", "mllp", "http")}}))
    gateway.start()
    try:
        url = f"http://127.0.0.1:{gateway.http.port}/api/studies"
        sent = [httpx.post(url, files=parts, timeout=30, trust_env=False).json() for parts in (
            [("file", item) for item in files.items()], [("file", ("old.zip", packed(files)))],
            [("file", item) for item in other.items()])]
    finally:
        gateway.stop()
    told = [{name: answer[name] for name in ("stored", "duplicate", "conflict")} for answer in sent]
    assert told == [{"stored": 1, "duplicate": 0, "conflict": 0}, {"stored": 0, "duplicate": 1, "conflict": 0},
                    {"stored": 0, "duplicate": 0, "conflict": 1}]


def packed(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1999, 12, 31, 23, 59, 58)), content)
    return stream.getvalue()
