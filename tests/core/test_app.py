"""The composed gateway where it cannot start."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from gateway.app.gateway import Gateway
from gateway.errors import ConfigurationError
from gateway.settings import Settings

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
