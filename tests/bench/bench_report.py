"""From the last object's C-STORE response to `reported`, less the quiet time, and the gateway's peak memory.

A real gateway on its embedded defaults, with a PACS, a RIS, an EHR and a folder to deliver to. The clock starts in the
sender when the last C-STORE response has come, and stops when a reader of the gateway's database, which asks every
20 ms, first sees the case as `reported`: result, documents and deliveries are committed then.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from adapters.demo.archive import Archive
from adapters.demo.orders import ResultReceiver
from adapters.dicom.content import part10
from adapters.dicom.content.tags import read_tags
from adapters.dicom.transport.association import Association, Peer
from adapters.fhir.transport.receiver import build_receiver
from adapters.web.server import HttpServer
from gateway.settings import HttpSettings
from tests.bench import studies
from tests.bench.gateway_process import ROOT, Gateway, await_value, gateway
from tests.bench.lines import against_limit, progress, skipped

QUIET_SECONDS = 2.0
LONGEST_SECONDS = 120
MEMORY_LIMIT_GB = 3.0
ROUTES = [{"name": "resting ECG", "when": {"Modality": "ECG"}, "pipeline": "ecg_12lead"},
          {"name": "chest CT", "when": {"Modality": "CT"}, "pipeline": "chest_ct"}]
CT_MODELS = ("chest_ct_classifier", "chest_ct_autoencoder")
_REPORTED = """SELECT cases.verdict FROM cases JOIN studies ON studies.id = cases.study_id
               WHERE studies.study_instance_uid = ? AND cases.state = 'reported'"""


@contextmanager
def destinations(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """Receivers in this process, as settings of the gateway."""
    pacs, ris, ehr = Archive(folder / "pacs"), ResultReceiver(), HttpServer(build_receiver(), HttpSettings(port=0))
    ehr.start()
    try:
        yield [{"name": "PACS", "type": "dicom", "host": "127.0.0.1", "port": pacs.port, "ae_title": "PACS"},
               {"name": "RIS", "type": "hl7", "host": "127.0.0.1", "port": ris.port, "receiving_application": "RIS"},
               {"name": "EHR", "type": "fhir", "url": f"http://127.0.0.1:{ehr.port}/fhir"},
               {"name": "folder", "type": "folder", "path": str(folder / "results")}]
    finally:
        pacs.stop()
        ris.stop()
        ehr.stop()


def send(port: int, objects: Sequence[bytes]) -> tuple[str, float]:
    """Over one association: (Study Instance UID, when the last response had come on `time.monotonic`)."""
    split = [part10.split(content) for content in objects]
    metas = [part10.parse(header) for header, _ in split]
    proposals = list(dict.fromkeys((meta.sop_class_uid, meta.transfer_syntax_uid) for meta in metas))
    with Association(Peer("127.0.0.1", port, "TRIAGE", "BENCH"), proposals) as association:
        for meta, (_, dataset) in zip(metas, split, strict=True):
            response = association.store(meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid, dataset)
            assert response.status == 0, response
        last = time.monotonic()
    header, dataset = split[0]
    return str(read_tags(header, [dataset])["StudyInstanceUID"]), last


def report_seconds(running: Gateway, objects: Sequence[bytes]) -> float:
    """Seconds beyond the quiet time until one study is reported."""
    uid, last = send(running.dicom_port, objects)
    verdict = await_value(lambda: running.ask(_REPORTED, uid), LONGEST_SECONDS, "the report")
    took = time.monotonic() - last - QUIET_SECONDS
    progress(f"{len(objects)} objects: {verdict[0]} after {took:.2f} s")
    return took


def measure(running: Gateway, name: str, limit: float, made: Callable[[str], Sequence[bytes]], times: int) -> None:
    took = [report_seconds(running, made(f"{name}-{number}")) for number in range(times)]
    note = f"s, median of {times}, longest {max(took):.2f}" if times > 1 else "s"
    against_limit(name, median(took), limit, note=note)


def measure_ct(running: Gateway) -> None:
    missing = [model for model in CT_MODELS if not (ROOT / "model_repository" / model / "config.pbtxt").is_file()]
    if missing:
        skipped("report_ct", f"{', '.join(missing)} is not in model_repository/")
        return
    for slices, limit in ((64, 10.0), (300, 25.0)):
        hu, spacing = studies.ct_volume(slices)
        measure(running, f"report_ct_{slices}_seconds", limit,
                lambda key, hu=hu, spacing=spacing: studies.ct(key, hu, spacing), 3)
    real = studies.real_ct()
    if real:
        measure(running, f"report_real_ct_{len(real)}_seconds", 10.0, lambda _: real, 1)
    else:
        skipped("report_real_ct", "../shared/data/chest-ct-lungdx is not here")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with destinations(folder) as receivers, gateway(
                folder / "gateway", routes=ROUTES, destinations=receivers,
                assembly={"quiet_seconds": QUIET_SECONDS}) as running:
            measure(running, "report_ecg_seconds", 2.0, studies.ecg, 5)
            measure_ct(running)
            against_limit("report_peak_memory_gb", running.peak_memory_gb(), MEMORY_LIMIT_GB,
                          note="VmHWM of the whole gateway")


if __name__ == "__main__":
    main()
