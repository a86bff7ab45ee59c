"""`triage-gateway demo`: sends, waits, shows, and checks that everything became what it should."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from adapters.demo.hospital import PAUSE, Hospital, hospital
from adapters.demo.orders import order_message, place
from adapters.demo.scenario import Scenario
from adapters.dicom.transport.scu import send_files
from adapters.files.lock import DataDirectoryLock
from gateway.errors import ConfigurationError

_WAIT_SECONDS = 300
_FINAL = ("reported", "failed", "unsupported", "cancelled")
_OURS = {"data", "gateway.log", "gateway.yaml", "outbox", "pacs"}
_CLASSES = {"1.2.840.10008.5.1.4.1.1.88.34": "Comprehensive 3D SR", "1.2.840.10008.5.1.4.1.1.7": "Secondary capture",
            "1.2.840.10008.5.1.4.1.1.66.4": "Segmentation"}


def run(folder: Path, wanted: Sequence[Scenario], *, stay: bool) -> bool:
    """The whole demonstration; True when every study reached its expected state and every delivery is proven."""
    console = Console()
    empty(folder)
    console.print("[bold]Triage Gateway[/bold]: a small hospital on this machine (synthetic patients, no real data)\n")
    with hospital(folder) as around:
        console.print(f"Gateway is up: worklist page {around.url}, DICOM port {around.dicom_port}, "
                      f"HL7 port {around.mllp_port}\n")
        _send_orders(console, around, [s for s in wanted if s.patient])
        stored = _send_studies(console, around, wanted)
        items = _await_results(console, around, wanted)
        _show(console, around)
        faults = judge(wanted, items) + ([] if stored else ["not every object was stored"])
        for fault in faults:
            console.print(f"[red]✗ {fault}[/red]")
        if not faults:
            console.print("[green]✓ every study is where it should be, every delivery is proven[/green]")
        if stay:
            _stay(console, around)
    return not faults


def empty(folder: Path) -> None:
    """Raises ConfigurationError rather than delete what no demonstration has made, or what one is using."""
    if folder.exists():
        others = sorted({path.name for path in folder.iterdir()} - _OURS)
        if others:
            raise ConfigurationError(f"{folder} holds {others[0]}, which no demonstration made: name another --folder")
        if (folder / "data").is_dir():
            _in_use_by_none(folder)
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def _in_use_by_none(folder: Path) -> None:
    try:
        DataDirectoryLock(folder / "data").release()
    except ConfigurationError as error:
        raise ConfigurationError(f"a demonstration is running in {folder}: stop it first, or name another --folder"
                                 ) from error


def _send_orders(console: Console, around: Hospital, wanted: Sequence[Scenario]) -> None:
    codes = Counter(place("127.0.0.1", around.mllp_port, order_message(s, n)) for n, s in enumerate(wanted, 1))
    told = ", ".join(f"{n} × {code}" for code, n in codes.items())
    console.print(f"RIS → gateway   {len(wanted)} orders over HL7, acknowledged {told or 'none'}")


def _send_studies(console: Console, around: Hospital, wanted: Sequence[Scenario]) -> bool:
    outbox = around.folder / "outbox"
    outbox.mkdir()
    paths = []
    for number, scenario in enumerate(wanted):
        for index, content in enumerate(scenario.objects):
            path = outbox / f"{number:02d}-{index:04d}.dcm"
            path.write_bytes(content)
            paths.append(path)
    with _bar(console, "PACS → gateway ", len(paths)) as (progress, task):
        report = send_files("127.0.0.1", around.dicom_port, "MODALITY", "TRIAGE", paths,
                            lambda *_: progress.advance(task))
    return not report.failures


def _await_results(console: Console, around: Hospital, wanted: Sequence[Scenario]) -> list[dict[str, Any]]:
    pause, items = threading.Event(), around.worklist()
    with _bar(console, "Read and reported", len(wanted)) as (progress, task):
        for _ in range(int(_WAIT_SECONDS / PAUSE)):
            items = around.worklist()
            progress.update(task, completed=sum(_settled(item) for item in items))
            if len(items) >= len(wanted) and all(_settled(item) for item in items):
                break
            pause.wait(PAUSE)
    return items


def _settled(item: dict[str, Any]) -> bool:
    return item["state"] in _FINAL and all(d["state"] != "pending" for d in item["deliveries"])


class _bar:
    """A progress bar as a context: (progress, task)."""

    def __init__(self, console: Console, title: str, total: int) -> None:
        self._progress = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console)
        self._title, self._total = title, total

    def __enter__(self) -> tuple[Progress, Any]:
        self._progress.__enter__()
        return self._progress, self._progress.add_task(self._title, total=self._total)

    def __exit__(self, *told: Any) -> None:
        self._progress.__exit__(*told)


def _show(console: Console, around: Hospital) -> None:
    console.print("\n[bold]Worklist, sickest first[/bold]")
    subprocess.run([sys.executable, "-m", "gateway", "worklist", "--url", around.url], check=False)
    classes = Counter(_CLASSES.get(uid, uid) for uid in around.pacs.received.values())
    console.print("\n[bold]What each system got[/bold]")
    console.print("PACS  " + (", ".join(f"{n} × {name}" for name, n in sorted(classes.items())) or "nothing")
                  + f"   (files in {around.folder / 'pacs'})")
    console.print(f"RIS   {len(around.ris.received)} × ORU^R01")
    told = ", ".join(f"{len(found)} × {kind}" for kind, found in sorted(around.ehr_resources.items()) if found)
    console.print(f"EHR   {told or 'nothing'}\n")


def judge(wanted: Sequence[Scenario], items: Sequence[dict[str, Any]]) -> list[str]:
    """Sentences about what is not as it should be; empty when all is well."""
    by_uid = {item["study_instance_uid"]: item for item in items}
    faults = []
    for scenario in wanted:
        item = by_uid.get(scenario.study_instance_uid)
        if item is None:
            faults.append(f"{scenario.title}: not on the worklist")
            continue
        state_ok = item["state"] == scenario.state if scenario.state else item["state"] in ("reported", "unsupported")
        if not state_ok or (scenario.verdict and item["verdict"] != scenario.verdict):
            expected = " ".join(filter(None, (scenario.state or "reported", scenario.verdict)))
            faults.append(f"{scenario.title}: expected {expected}, found {item['state']} {item['verdict'] or ''}")
        faults += [f"{scenario.title}: {d['kind']} to {d['destination']} is {d['state']}" for d in item["deliveries"]
                   if d["state"] != "delivered"]
        if item["state"] == "reported" and not item["deliveries"]:
            faults.append(f"{scenario.title}: nothing was delivered")
    return faults


def _stay(console: Console, around: Hospital) -> None:
    console.print(f"[bold]The page stays up at {around.url}[/bold] until Ctrl-C. "
                  f"The gateway's log is {around.folder / 'gateway.log'}.")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print("\nStopping.")
