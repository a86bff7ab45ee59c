"""A whole gateway as a process of its own, in a folder of its own: started, killed, started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
import yaml

from adapters.database.connection import database_url, open_database
from tests.peers.dcmtk import free_port

ROOT = Path(__file__).parents[2]
ROUTES = [{"name": "resting ECG", "when": {"Modality": "ECG"}, "pipeline": "ecg_12lead"}]
_POLL = 0.05


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "gateway", *map(str, arguments)]


def environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return own | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def await_that(condition: Callable[[], Any], seconds: float, what: str, told: Callable[[], Any] = lambda: "") -> Any:
    """The first true value of `condition`; polled, because it is told by another process."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"never came: {what}; {told()}")
        pause.wait(_POLL)


@dataclass
class GatewayProcess:
    """`settings`: as in the YAML file; ports, data directory and routes are filled in where they are not given."""

    folder: Path
    settings: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        defaults = {
            "data_dir": str(self.folder / "data"), "model_repository": str(ROOT / "model_repository"),
            "dicom": {"port": free_port()}, "mllp": {"port": free_port()}, "http": {"port": free_port()},
            "assembly": {"quiet_seconds": 1}, "delivery": {"first_retry_seconds": 0.3, "longest_retry_seconds": 1,
                                                           "timeout_seconds": 5},
            "storage": {"free_floor_bytes": 1}, "inference": {"threads": 1}, "routes": ROUTES,
            "log": {"format": "json"}}
        self.config = self.folder / "gateway.yaml"
        self.log = self.folder / "gateway.log"
        self.settings = defaults | self.settings
        self.configure()
        self.url = f"http://127.0.0.1:{self.settings['http']['port']}"
        self.dicom_port = int(self.settings["dicom"]["port"])
        self.mllp_port = int(self.settings["mllp"]["port"])
        self.data = Path(self.settings["data_dir"])

    def configure(self, **settings: Any) -> None:
        """Change settings for the next start."""
        self.settings |= settings
        self.config.write_text(yaml.safe_dump(self.settings, sort_keys=False), encoding="utf-8")

    # ------------------------------------------------------------ life

    def launch(self) -> None:
        """Start the process; it is not ready yet."""
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(command("serve", "--config", self.config), stdout=stream, stderr=stream,
                                            env=environment(), cwd=ROOT)

    def start(self) -> None:
        self.launch()
        await_that(self.ready, 90, "readiness")

    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the gateway ended by itself:\n{self.tail()}"
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)
        self.process = None

    def stop(self, seconds: float = 40) -> None:
        """SIGTERM, and kill -9 where that does not help; whether it ended by itself is asserted."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self.process = None
        assert status == 0, f"the gateway ended with status {status}:\n{self.tail()}"

    def tail(self, characters: int = 6000) -> str:
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else "no log"

    # ------------------------------------------------------------ what it says

    def get(self, path: str, **query: Any) -> Any:
        answer = httpx.get(self.url + path, params=query, timeout=30, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        answer = httpx.post(self.url + path, json=body, timeout=30, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def document(self, case_id: str, kind: str) -> bytes:
        answer = httpx.get(f"{self.url}/api/cases/{case_id}/documents/{kind}", timeout=30, trust_env=False)
        answer.raise_for_status()
        return answer.content

    def worklist(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.get("/api/worklist", limit=200)["items"]
        return items

    def case_of(self, study_instance_uid: str) -> dict[str, Any]:
        """The case in full; the study has to be in the worklist."""
        (case_id,) = [i["case_id"] for i in self.worklist() if i["study_instance_uid"] == study_instance_uid]
        found: dict[str, Any] = self.get(f"/api/cases/{case_id}")
        return found

    def await_worklist(self, condition: Callable[[list[dict[str, Any]]], Any], what: str,
                       seconds: float = 60) -> list[dict[str, Any]]:
        """The first worklist that meets the condition."""
        def met() -> list[dict[str, Any]] | None:
            items = self.worklist()
            return items if condition(items) else None

        found: list[dict[str, Any]] = await_that(met, seconds, what, self._told)
        return found

    def await_delivered(self, studies: int, seconds: float = 60) -> list[dict[str, Any]]:
        """Until so many studies are reported and everything of theirs is delivered."""
        return self.await_worklist(lambda items: len(items) == studies and all(map(delivered, items)),
                                   f"{studies} studies reported and delivered", seconds)

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of `triage-gateway` with this configuration, run to its end."""
        done = subprocess.run(command(*arguments, "--config", self.config), env=environment(), cwd=ROOT, timeout=60,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def rows(self, table: sa.Table, *conditions: Any) -> Sequence[Any]:
        """What the database says, read beside the gateway."""
        engine = open_database(database_url(self.settings.get("database_url", ""), self.data))
        try:
            with engine.connect() as connection:
                return connection.execute(sa.select(table).where(*conditions)).all()
        finally:
            engine.dispose()

    def _told(self) -> str:
        shown = [(i["state"], i["verdict"], i["error"], [(d["destination"], d["kind"], d["state"])
                 for d in i["deliveries"]]) for i in self.worklist()]
        return json.dumps(shown)


def delivered(item: dict[str, Any]) -> bool:
    return item["state"] == "reported" and all(d["state"] == "delivered" for d in item["deliveries"])


@contextmanager
def gateway(folder: Path, *, start: bool = True, **settings: Any) -> Iterator[GatewayProcess]:
    """Stopped at the end. Its log is printed, so that pytest shows it where a test fails."""
    running = GatewayProcess(folder, settings)
    try:
        if start:
            running.start()
        yield running
        running.stop()
    finally:
        if running.process is not None:
            running.kill()
        sys.stdout.write(f"the gateway's log:\n{running.tail(20_000)}\n")
