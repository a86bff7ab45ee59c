"""The gateway and the systems around it, each on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from adapters.demo.archive import Archive
from adapters.demo.orders import ResultReceiver
from adapters.fhir.transport.receiver import build_receiver
from adapters.web.server import HttpServer
from gateway.errors import ConfigurationError
from gateway.settings import HttpSettings

PAUSE = 0.25
_START_SECONDS = 120
_OF_THE_SITE = "GATEWAY_SITE__"
"""Settings of the environment that hold here too: the language above all. All others are the demonstration's own."""


@dataclass
class Hospital:
    """PACS, RIS and EHR, and the gateway between them."""

    folder: Path
    pacs: Archive
    ris: ResultReceiver
    ehr: HttpServer
    ehr_resources: dict[str, dict[str, Any]]
    url: str
    dicom_port: int
    mllp_port: int

    def worklist(self) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.url}/api/worklist", params={"limit": 200}, timeout=30, trust_env=False)
        answer.raise_for_status()
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


_TWELVE_LEADS = {"Modality": "ECG", "NumberOfWaveformChannels": {"not": "< 3"}}
_HEAD = "/brain|head|skull|neuro|cereb|cran/"


def configuration(folder: Path, pacs: int, ris: int, ehr: int) -> dict[str, Any]:
    """The embedded defaults with the demonstration's own folder and destinations."""
    return {
        "data_dir": str(folder / "data"),
        "assembly": {"quiet_seconds": 2},
        "routes": [{"name": "resting ECG", "when": _TWELVE_LEADS, "pipeline": "ecg_12lead"},
                   {"name": "resting ECG, infarction", "when": _TWELVE_LEADS, "pipeline": "ecg_mi"},
                   {"name": "one-lead ECG", "when": {"Modality": "ECG", "NumberOfWaveformChannels": "< 3"},
                    "pipeline": "ecg_1lead"},
                   {"name": "chest CT", "when": {"Modality": "CT"}, "pipeline": "chest_ct"},
                   {"name": "head MR", "when": {"Modality": "MR", "BodyPartExamined": ["absent", _HEAD]},
                    "pipeline": "stroke_mr"},
                   {"name": "dermoscopy", "when": {"Modality": ["DMS", "XC"]}, "pipeline": "dermoscopy"},
                   {"name": "breath sounds", "when": {"Modality": ["AU", "RESP"]}, "pipeline": "asthma"}],
        "destinations": [
            {"name": "PACS", "type": "dicom", "host": "127.0.0.1", "port": pacs, "ae_title": "PACS"},
            {"name": "RIS", "type": "hl7", "host": "127.0.0.1", "port": ris, "receiving_application": "RIS"},
            {"name": "EHR", "type": "fhir", "url": f"http://127.0.0.1:{ehr}/fhir"}],
    }


@contextmanager
def hospital(folder: Path) -> Iterator[Hospital]:
    """All of it running, stopped at the end. Raises ConfigurationError when the gateway does not start."""
    pacs, ris, receiver = Archive(folder / "pacs"), ResultReceiver(), build_receiver()
    ehr = HttpServer(receiver, HttpSettings(port=0))
    ehr.start()
    ports = [_free(port) for port in (8080, 11112, 2575)]
    settings = configuration(folder, pacs.port, ris.port, ehr.port)
    settings |= {"http": {"port": ports[0]}, "dicom": {"port": ports[1]}, "mllp": {"port": ports[2]}}
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    try:
        with _gateway(path, folder / "gateway.log", ports[0]) as url:
            yield Hospital(folder, pacs, ris, ehr, receiver.state.resources, url, ports[1], ports[2])
    finally:
        pacs.stop()
        ris.stop()
        ehr.stop()


@contextmanager
def _gateway(path: Path, log: Path, port: int) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}"
    environment = {name: value for name, value in os.environ.items()
                   if name.startswith(_OF_THE_SITE) or not name.startswith("GATEWAY_")}
    with log.open("wb") as stream:
        process = subprocess.Popen([sys.executable, "-m", "gateway", "serve", "--config", str(path)], stdout=stream,
                                   stderr=stream, env=environment)
        try:
            _await_ready(process, url, log)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _await_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    pause = threading.Event()
    answer = ""
    for _ in range(int(_START_SECONDS / PAUSE)):
        if process.poll() is not None:
            raise ConfigurationError(f"the gateway ended at once; its last words:\n{log.read_text()[-2000:]}")
        try:
            told = httpx.get(f"{url}/readyz", timeout=5, trust_env=False)
        except httpx.TransportError:
            pause.wait(PAUSE)
            continue
        if told.status_code == 200:
            return
        answer = json.dumps(told.json())
        pause.wait(PAUSE)
    raise ConfigurationError(f"the gateway is not ready: {answer or 'no answer'}")


def _free(wanted: int) -> int:
    """The wanted port, or another one when somebody has it."""
    for port in (wanted, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as taken:
                return int(taken.getsockname()[1])
        except OSError:
            continue
    raise ConfigurationError("no free port on this machine")
