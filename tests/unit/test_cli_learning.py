"""`train` and `validate`: what is asked for reaches the reader, what it has not is refused, and files open by path."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from adapters.cli.app import build_cli
from adapters.cli.services import CliServices, TrainRequest
from gateway.app import learning
from gateway.app.recordings import RecordingFiles
from gateway.errors import ConfigurationError, Unusable
from gateway.result import ModelRelease
from gateway.settings import Settings
from pipelines.validation.records import Record, Scored
from tests.reading import DATA, MODELS

MODEL = ModelRelease("chest_ct_classifier", "1", "ab" * 32, demonstration=False,
                     parameters={"thresholds": '{"A": 0.5}'})


def scored(count: int = 40) -> Scored:
    random = np.random.default_rng(0)
    truth = random.random(count) < 0.5
    return Scored("chest_ct", ("A",), [
        Record(str(n), str(n), {"A": float(true)}, {"A": float(random.random() * 0.6 + 0.4 * true)}, "normal")
        for n, true in enumerate(truth)], {"A": 0.5}, (MODEL,))


def run(*arguments: Any, **services: Any) -> Any:
    nothing: Any = lambda *_: None  # noqa: E731
    names = ("serve", "modalities", "send_files", "check", "conform", "models", "train", "validate")
    told = dict.fromkeys(names, nothing)
    cli = build_cli(CliServices(**(told | {"load_settings": lambda _: Settings(model_repository=MODELS)} | services)))
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


@pytest.mark.slow
def test_validate_writes_the_page_the_curves_and_the_sites_thresholds(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def score(data: Path, inference: Any, *, folds: tuple[int, ...] = (), recordings: Any = None,
              progress: Any = None) -> Scored:
        asked.update(data=data, folds=folds, recordings=recordings)
        return scored()

    monkeypatch.setattr(learning, "part_of_pipeline", lambda *_: SimpleNamespace(score=score))
    told = run("validate", "chest_ct", "--data", tmp_path, "--json", tmp_path / "o.json", "--folds", "1,2", "--report",
               tmp_path / "r.html", "--plots", tmp_path / "plots", "--operating-point", "sens=0.9",
               validate=learning.validate)
    assert told.exit_code == 0, told.output
    assert (asked["data"], asked["folds"]) == (tmp_path, (1, 2))
    assert isinstance(asked["recordings"], RecordingFiles)
    assert "Thresholds for sens=0.9" in told.output
    assert "o.thresholds.yaml" in told.output.replace("\n", "")
    assert json.loads((tmp_path / "o.json").read_text())["operating_point"]["labels"]["A"]["sensitivity"] >= 0.9
    assert "chest_ct_classifier" in (tmp_path / "o.thresholds.yaml").read_text()
    assert "Chest CT" in (tmp_path / "r.html").read_text()
    assert (tmp_path / "plots" / "roc.png").is_file()
    asked.clear()
    wrong = run("validate", "chest_ct", "--data", tmp_path, "--json", tmp_path / "o.json", "--operating-point", "0.9",
                validate=learning.validate)
    assert (wrong.exit_code, "sens=0.95" in wrong.output) == (1, True)
    assert not asked, "told before the records are scored"


def test_train_is_given_what_it_has_a_name_for_and_refuses_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def train(data: Path, out: Path, *, seed: int, device: str, progress: Any, epochs: int = 3,
              resume: bool = False) -> None:
        asked.append({"seed": seed, "device": device, "epochs": epochs, "resume": resume})

    monkeypatch.setattr(learning, "part_of_pipeline", lambda *_: SimpleNamespace(train=train))
    some = ("train", "x", "--data", "d", "--out", "o")
    assert run(*some, "--resume", "--seed", 7, "--epochs", 2, "--device", "auto", train=learning.train).exit_code == 0
    assert run(*some, train=learning.train).exit_code == 0
    assert asked == [{"seed": 7, "device": "auto", "epochs": 2, "resume": True},
                     {"seed": 0, "device": "cpu", "epochs": 3, "resume": False}]
    with pytest.raises(ConfigurationError, match="no --folds"):
        learning.train(Settings(), TrainRequest("x", Path("d"), Path("o"), None, 0, "cpu", folds=(1,)))
    assert run(*some, "--folds", "x", train=learning.train).exit_code == 2


def test_recordings_open_by_what_they_are(tmp_path: Path) -> None:
    files = RecordingFiles()
    np.save(tmp_path / "a.npy", np.ones((12, 5000), np.float32))
    ecg = files.ecg(tmp_path / "a.npy")
    assert (ecg.signal.shape, ecg.rate, ecg.leads[0], ecg.leads[-1]) == ((12, 5000), 500, "I", "V6")
    for name in ("none", "none.hea", "none.dat"):
        with pytest.raises(Unusable):
            files.ecg(tmp_path / name)
    (tmp_path / "text.dcm").write_text("no")
    with pytest.raises(Unusable, match="damaged"):
        files.ecg(tmp_path / "text.dcm")
    with pytest.raises(Unusable, match="neither a NIfTI-1 file nor a folder"):
        files.volume(tmp_path / "text.dcm")


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "ptb-xl").is_dir(), reason="../shared/data/ptb-xl is not there")
def test_a_wfdb_record_opens_by_its_name_its_header_and_its_signals() -> None:
    header = next((DATA / "ptb-xl" / "records500").rglob("*.hea"))
    ecgs = [RecordingFiles().ecg(path) for path in (header, header.with_suffix(""), header.with_suffix(".dat"))]
    assert all(np.array_equal(ecg.signal, ecgs[0].signal, equal_nan=True) for ecg in ecgs)
    assert (ecgs[0].rate, len(ecgs[0].leads)) == (500, 12)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not (DATA / "chest-ct-lungdx").is_dir(), reason="../shared/data/chest-ct-lungdx is not there")
def test_a_folder_of_slices_is_a_volume() -> None:
    volume = RecordingFiles().volume(DATA / "chest-ct-lungdx")
    assert volume.hu.shape[0] == 64
    assert volume.spacing[0] == pytest.approx(5)
