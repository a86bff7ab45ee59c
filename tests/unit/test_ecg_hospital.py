"""A hospital's own ECGs, as DICOM, WFDB, aECG and `.npy` with a `labels.csv`: scored, and learned from."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb

from adapters.dicom.content.waveform_write import write_ecg
from adapters.inference.embedded import EmbeddedInference
from gateway.app.recordings import RecordingFiles
from gateway.errors import Unusable
from gateway.pipeline import Floats
from gateway.ports import EcgSource
from gateway.study import Patient
from pipelines import ecg_1lead, ecg_12lead
from pipelines.ecg.leads import LEADS
from pipelines.ecg.ptbxl import rows
from pipelines.ecg.synthetic import RATE, synthesise
from pipelines.ecg.tables import labelled, must_be_told
from pipelines.validation.report import report
from tests.reading import DATA, MODELS
from tests.unit.test_conversion import aecg
from tests.waveforms import RECORDED

PTBXL = DATA / "ptb-xl"
KINDS = (("normal", 10), ("afib", 11), ("lbbb", 4))


def as_npy(folder: Path, name: str, signal: Floats) -> str:
    np.save(folder / f"{name}.npy", signal)
    return f"{name}.npy"


def as_wfdb(folder: Path, name: str, signal: Floats) -> str:
    wfdb.wrsamp(f"{name}w", fs=RATE, units=["mV"] * 12, sig_name=list(LEADS), p_signal=signal.T.astype(float),
                fmt=["16"] * 12, write_dir=str(folder))
    return f"{name}w"


def as_dicom(folder: Path, name: str, signal: Floats) -> str:
    source = EcgSource(name, Patient("1", "", "A^B", "", ""), signal, RATE, LEADS, RECORDED)
    (folder / f"{name}.dcm").write_bytes(write_ecg(source))
    return f"{name}.dcm"


def as_aecg(folder: Path, name: str, signal: Floats) -> str:
    (folder / f"{name}.xml").write_bytes(aecg(signal, leads=LEADS))
    return f"{name}.xml"


FORMATS: tuple[Callable[[Path, str, Floats], str], ...] = (as_npy, as_wfdb, as_dicom, as_aecg)


def table(folder: Path, lines: list[dict[str, Any]]) -> None:
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings, each in four formats, and what a physician said of them."""
    folder = tmp_path_factory.mktemp("hospital")
    lines = [{"record": form(folder, f"{kind}-{form.__name__}", synthesise(kind, seed)), "patient": kind, "age": 61,
              "sex": "F", "device": form.__name__, "AFIB": int(kind == "afib"), "clbbb": int(kind == "lbbb"),
              "PVC": "" if kind == "afib" else 0} for kind, seed in KINDS for form in FORMATS]
    table(folder, lines)
    return folder


@pytest.mark.parametrize("package", [ecg_12lead, ecg_1lead], ids=["ecg_12lead", "ecg_1lead"])
def test_records_of_every_format_are_scored_as_the_same_ecg(data: Path, package: Any) -> None:
    module = __import__(f"{package.__name__}.validate", fromlist=["score"])
    scored = module.score(data, EmbeddedInference(MODELS, 30, 1), recordings=RecordingFiles())
    told = report(scored, draws=20)
    assert (told["records"], told["patients"]) == (12, 3)
    assert (told["labels"]["AFIB"]["auc"], told["labels"]["CLBBB"]["auc"]) == (1, 1)
    assert (told["labels"]["PVC"]["n"], told["labels"]["SBRAD"]["n"]) == (8, 0)
    assert set(told["subgroups"]["device"]) == {form.__name__ for form in FORMATS}
    assert told["out_of_fold"] == {"n": 0}
    assert told["verdicts"]["one_of_them"]["pathology"] == 8
    assert told["findings"]["AFIB"]["sensitivity"] == 1
    lenient, strict = told["operating_curve"][0], told["operating_curve"][-1]
    assert (lenient["ANY"], lenient["one_of_them"]["pathology"]) == (0, 8)
    assert lenient["other"]["pathology"] >= strict["other"]["pathology"]
    by_kind = np.array([record.probability["AFIB"] for record in scored.records]).reshape(3, 4)
    assert np.ptp(by_kind, axis=1).max() < 0.02


def test_what_cannot_be_opened_is_told_with_its_line(tmp_path: Path) -> None:
    as_npy(tmp_path, "a", synthesise("normal", 1))
    (tmp_path / "b.dcm").write_text("no ECG")
    table(tmp_path, [{"record": "a.npy", "AFIB": 0}, {"record": "b.dcm", "AFIB": 1}])
    with pytest.raises(Unusable, match=r"labels\.csv, line 3: "):
        ecg_score(tmp_path)
    with pytest.raises(Unusable, match="no record of those folds"):
        labelled(tmp_path, ("AFIB",), (99,), RecordingFiles())


def ecg_score(folder: Path) -> Any:
    from pipelines.ecg_12lead.validate import score

    return score(folder, EmbeddedInference(MODELS, 30, 1), recordings=RecordingFiles())


def test_a_patient_falls_into_one_fold_whatever_else_is_in_the_table(data: Path, tmp_path: Path) -> None:
    every = labelled(data, ("AFIB",), None, RecordingFiles()).rows
    assert all(len({row.fold for row in every if row.patient == kind}) == 1 for kind, _ in KINDS)
    table(tmp_path, [{"record": "x.npy", "patient": "afib", "AFIB": 1}, {"record": "y.npy", "patient": "z", "AFIB": 0}])
    (again, _) = labelled(tmp_path, ("AFIB",), None, RecordingFiles()).rows
    assert again.fold == next(row.fold for row in every if row.patient == "afib")


def test_a_table_that_leaves_out_a_label_is_not_learned_from() -> None:
    truth = np.array([[0, 1, np.nan], [1, 1, np.nan], [np.nan, 0, np.nan]], np.float32)
    must_be_told(truth, ("AFIB", "PVC"))
    with pytest.raises(Unusable, match="it has not both for CLBBB"):
        must_be_told(truth, ("AFIB", "PVC", "CLBBB"))


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not PTBXL.is_dir(), reason="../shared/data/ptb-xl is not there")
@pytest.mark.filterwarnings("ignore")
def test_a_model_of_the_site_is_judged_on_what_it_has_not_learned(tmp_path: Path) -> None:
    """Learned from a hospital's own table, it knows these records again, and each is told by a member without it."""
    pytest.importorskip("torch", reason="training needs the train extra")
    from pipelines.ecg_1lead.labels import OUTPUTS
    from pipelines.ecg_1lead.train import train
    from pipelines.ecg_1lead.validate import score

    wanted = sorted(rows(PTBXL), key=lambda row: -len(set(OUTPUTS) & row.codes.keys()))
    chosen = [row for label in OUTPUTS for row in [r for r in wanted if label in r.codes][:14]]
    chosen = list({row.record: row for row in [*chosen, *wanted[-50:]]}.values())
    folder, out = tmp_path / "data", tmp_path / "models"
    folder.mkdir()
    (folder / "ecg").symlink_to((PTBXL / "records500").resolve())
    lines = [{"record": f"ecg/{row.path.relative_to(PTBXL / 'records500')}", "patient": row.patient,
              "fold": 1 + number % 2} for number, row in enumerate(chosen)]
    table(folder, [line | {label: int(label in row.codes) for label in OUTPUTS}
                   for line, row in zip(lines, chosen, strict=True)])
    made = train(folder, out, epochs=1, recordings=RecordingFiles())
    inference = EmbeddedInference(out, 30, 1)
    assert inference.release("ecg_1lead").status.startswith(f"cross-validated on {len(chosen)} records of the site")
    told = report(score(folder, inference, recordings=RecordingFiles()), draws=10)
    assert told["out_of_fold"]["n"] == len(chosen)
    assert {label: round(of["auc"], 6) for label, of in {**told["labels"], "NORM": told["normal"]}.items()} == {
        label: round(area, 6) for label, area in made["auc"].items()}
