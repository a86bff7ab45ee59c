"""What commands do on this machine, without a running gateway."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import structlog

from adapters.cli.services import (
    CheckReport,
    Conformance,
    Explanation,
    ModelLine,
    Progress,
    SendRequest,
    SentFile,
)
from adapters.dicom.content.conform import conform
from adapters.dicom.content.recover import read_instance
from adapters.dicom.content.tags import read_tags
from adapters.dicom.transport.scu import send_files
from adapters.fhir.content.conform import check as check_fhir
from adapters.files.json_document import check as check_result
from adapters.files.settings_file import load, redacted
from adapters.hl7.content.conform import check as check_oru
from adapters.inference.opening import open_inference
from gateway.errors import NotReady, Rejected
from gateway.explaining import explain, study_alone
from gateway.pipeline import Pipeline
from gateway.ports import Inference
from gateway.routing import extra_keywords
from gateway.settings import Settings
from gateway.site_thresholds import told_thresholds, with_site_thresholds
from gateway.study import Instance

log = structlog.get_logger()

DEFAULT_FILE = Path("config/gateway.yaml")


def load_settings(config: Path | None) -> Settings:
    """The file, or the default one where it is there, under the environment's overrides."""
    return load(config or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None), os.environ)


def check(settings: Settings, pipelines: Mapping[str, Pipeline], files: Sequence[Path]) -> CheckReport:
    """One explanation for each study among the files, and one for each file that can't be read."""
    reader = partial(read_tags, extra_keywords=extra_keywords(settings.routes))
    studies: dict[str, list[Instance]] = {}
    explanations: list[Explanation] = []
    for path in files:
        try:
            instance = read_instance(str(path), reader)
        except (Rejected, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            explanations.append(Explanation(path, (), f"not read, so no rule was asked: {why}", readable=False))
        else:
            studies.setdefault(instance.study_instance_uid, []).append(instance)
    for instances in studies.values():
        told = explain(study_alone(settings.site.facility, instances), settings.routes, pipelines)
        explanations.append(Explanation(Path(instances[0].path), told.rules, told.note))
    return CheckReport(redacted(settings), tuple(explanations))


def conform_files(files: Sequence[Path]) -> list[Conformance]:
    reports = conform(files, {".hl7": check_oru, ".json": _check_json})
    return [Conformance(r.path, r.problems, f"{r.kind} ({', '.join(r.checked_by)})") for r in reports]


def _check_json(content: bytes) -> Sequence[str]:
    """A FHIR resource names its type; every other JSON should be a result document of ours."""
    try:
        form = json.loads(content)
    except ValueError:
        return ["this is no JSON"]
    return check_fhir(content) if isinstance(form, dict) and "resourceType" in form else check_result(content)


def list_models(settings: Settings) -> list[ModelLine]:
    inference = with_site_thresholds(open_inference(settings.inference, settings.model_repository), settings.models)
    return [_line(inference, name) for name in inference.models()]


def _line(inference: Inference, name: str) -> ModelLine:
    try:
        release = inference.release(name)
    except NotReady as error:
        return ModelLine(name, "", "", "", demonstration=False, ready=False, reason=str(error))
    told = "; ".join(filter(None, (release.status, told_thresholds(release, "en"))))
    return ModelLine(name, release.version, release.sha256, told, release.demonstration, ready=True)


def send(wanted: SendRequest, progress: Progress) -> Sequence[SentFile]:
    return send_files(wanted.host, wanted.port, wanted.calling_ae_title, wanted.called_ae_title, wanted.paths,
                      progress).files


@contextmanager
def until_stopped() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; at the end the process ends.

    The interpreter would first wait for threads whose destination hangs; their work is taken up at the next start, as
    after a crash.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    yield stopping
    _leave()


def leave_within(seconds: float) -> None:
    """End the process then, whatever its parts still wait for: what it has acknowledged is on disk, and is taken up at
    the next start, as after a crash. Whoever asked it to stop would kill it a little later."""
    def cut_short() -> None:
        log.warning("gateway_stop_cut_short", seconds=seconds)
        _leave()

    timer = threading.Timer(seconds, cut_short)
    timer.daemon = True
    timer.start()


def _leave() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
