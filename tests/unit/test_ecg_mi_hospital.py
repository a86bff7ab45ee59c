"""A hospital's own ECGs with what a physician said of infarction and its site: scored, and what they lack for training.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.inference.embedded import EmbeddedInference
from gateway.app.recordings import RecordingFiles
from gateway.errors import Unusable
from pipelines.ecg.synthetic import synthesise
from pipelines.ecg.tables import labelled
from pipelines.ecg_mi.labels import LABELS
from pipelines.ecg_mi.validate import score
from pipelines.validation.report import report
from tests.reading import MODELS
from tests.unit.test_ecg_hospital import FORMATS, table

KINDS = (("normal", 10), ("inferior", 1))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings, each in four formats. Of lateral nobody said anything in half of them."""
    folder = tmp_path_factory.mktemp("hospital")
    table(folder, [{"record": form(folder, f"{kind}-{form.__name__}", synthesise(kind, seed)), "patient": kind,
                    "device": form.__name__, "mi": int(kind == "inferior"), "Inferior": int(kind == "inferior"),
                    "lateral": "" if kind == "normal" else 0, "septal": 0}
                   for kind, seed in KINDS for form in FORMATS])
    return folder


def test_records_of_every_format_are_scored_at_both_stages(data: Path) -> None:
    told = report(score(data, EmbeddedInference(MODELS, 30, 1), recordings=RecordingFiles()), draws=20)
    assert (told["records"], told["patients"], told["out_of_fold"]) == (8, 2, {"n": 0})
    assert (told["labels"]["MI"]["auc"], told["labels"]["inferior"]["auc"]) == (1, 1)
    assert (told["labels"]["lateral"]["n"], told["labels"]["anterior"]["n"]) == (4, 0)
    assert "septal" not in told["labels"]
    assert set(told["subgroups"]["device"]) == {form.__name__ for form in FORMATS}
    assert told["findings"]["inferior"]["sensitivity"] == 1
    sites = told["sites"]
    assert sites["untrained"] == ["septal"]
    assert sites["macro_f1"] == sites["macro_f1_reported"] == sites["macro_f1_in_infarctions"] == 1


def test_a_table_without_a_site_is_scored_and_cannot_be_learned_from(data: Path, tmp_path: Path) -> None:
    lines = [{"record": str(data / f"{kind}-as_npy.npy"), "MI": int(kind == "inferior")} for kind, _ in KINDS]
    table(tmp_path, lines)
    told = report(score(tmp_path, EmbeddedInference(MODELS, 30, 1), recordings=RecordingFiles()), draws=20)
    assert (told["labels"]["MI"]["auc"], told["labels"]["inferior"]["n"]) == (1, 0)
    pytest.importorskip("torch", reason="training needs the train extra")
    from pipelines.ecg_mi.train import stages_of

    rows = labelled(data, [label.name for label in LABELS], None, RecordingFiles()).rows
    assert stages_of(rows)[1].outputs == ("inferior",)
    with pytest.raises(Unusable, match="no record of those folds shows an infarction and its site"):
        stages_of(labelled(tmp_path, [label.name for label in LABELS], None, RecordingFiles()).rows)
