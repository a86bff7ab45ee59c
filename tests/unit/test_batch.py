"""Many records at once: which files make one, what becomes of each, and tables of others filled in."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.dicom.content.part10 import split
from adapters.dicom.content.tags import identity
from adapters.dicom.content.waveform_write import write_ecg
from adapters.files.batch_folder import BatchFolder
from adapters.files.conversion import Conversion
from adapters.files.npy_source import read_npy
from adapters.web.batch_work import BatchWork, Order
from adapters.web.records import FolderRecords, Reading, ZipRecords
from adapters.web.uploads import Door
from gateway.batch import Fill, RecordResult, RecordState, fill, labels_of, read_table, table
from gateway.errors import NotReady, Rejected, Transient, Unreadable, Unusable
from gateway.settings import BatchSettings
from tests.archives import zipped
from tests.unit.test_conversion import aecg, npy
from tests.unit.test_wfdb_upload import in_segments, record
from tests.waveforms import beats
from tests.web_fakes import FakeIntake

READING = Reading(Conversion(), 10**8, split, identity)


def finding(label: str, probability: float) -> Mapping[str, Any]:
    return {"label": label, "display": label.title(), "probability": probability, "threshold": 0.5,
            "present": probability >= 0.5}


def done(name: str, **probabilities: float) -> RecordResult:
    return RecordResult(name, RecordState.DONE, "", "ecg", "pathology", 0.9, False,
                        tuple(finding(label, p) for label, p in probabilities.items()))


RESULTS = [done("a/one.npy", AFIB=0.97, PVC=0.1), RecordResult("two.npy", RecordState.REFUSED, "It is damaged."),
           done("three", AFIB=0.2, X=0.5)]


# ------------------------------------------------------------ tables


def test_the_table_has_a_row_for_each_record_and_a_column_for_each_label() -> None:
    labels = labels_of(RESULTS)
    assert labels == ("AFIB", "PVC", "X")
    rows = list(table(RESULTS, labels))
    assert rows[0] == ["a/one.npy", "done", "", "ecg", "pathology", 0.9, False, 0.97, 0.1, None]
    assert rows[1][:3] == ["two.npy", "refused", "It is damaged."]


SAMPLE = b"note;record_name;afib;mine;PVC\r\nx;one;;=1+1;\r\ny;two;0.5;;\r\nz;nobody;;keep;\r\n"


def test_a_sample_is_filled_in_and_all_else_stays() -> None:
    told = fill(read_table(SAMPLE), RESULTS, Fill.PROBABILITY)
    assert told == "note;record_name;afib;mine;PVC\r\nx;one;0.97;=1+1;0.1\r\ny;two;0.5;;\r\nz;nobody;;keep;\r\n"
    assert "x;one;1;=1+1;0\r\n" in fill(read_table(SAMPLE), RESULTS, Fill.PRESENT)


def test_a_sample_without_any_label_and_tables_that_are_none_are_refused() -> None:
    with pytest.raises(Unusable, match="AFIB, PVC, X"):
        fill(read_table(b"record,other\none,1\n"), RESULTS, Fill.PRESENT)
    for content in (b"", b"record\n", b"\xff\xfe\x00", b"\n\n", b"a,b\n\0,1\n", b'a\n"open', b"\n1,2\n"):
        with pytest.raises(Unusable):
            read_table(content)


def test_a_name_that_two_records_share_fills_neither() -> None:
    twins = [done("a/one.npy", AFIB=0.9), done("b/one.npy", AFIB=0.1)]
    told = fill(read_table(b"record,AFIB\none,\nb/one,\nb\\one.npy,\n"), twins, Fill.PROBABILITY)
    assert told.splitlines() == ["record,AFIB", "one,", "b/one,0.1", "b\\one.npy,0.1"]


cells = st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=6), st.sampled_from(Fill))
def test_rows_without_a_record_come_back_as_they_were(rows: list[list[str]], put: Fill) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([["record", "AFIB", "other"], *rows])
    told = list(csv.reader(io.StringIO(fill(read_table(out.getvalue().encode()), RESULTS, put))))
    known = {"one", "a/one", "a/one.npy", "three", "one.npy"}
    for before, after in zip(rows, told[1:], strict=True):
        assert [after[0], after[2]] == [before[0], before[2]]
        assert after == before or before[0].strip().replace("\\", "/").split("/")[-1].split(".")[0] in known


# ------------------------------------------------------------ records


def zip_file(folder: Path, files: Mapping[str, bytes]) -> Path:
    path = folder / "all.zip"
    path.write_bytes(zipped(**files))
    return path


def ecg(name: str = "x", scale: float = 1.0) -> bytes:
    return write_ecg(read_npy(npy(beats() * scale), f"{name}.npy", 1.7e9))


def test_the_records_of_a_zip_are_its_headers_arrays_and_studies(tmp_path: Path) -> None:
    files = record(tmp_path)
    path = zip_file(tmp_path, {
        **{f"w/{n}": c for n, c in files.items()}, "n/1.npy": npy(beats()), "e.xml": aecg(), "d/same.dcm": ecg(),
        "d/other.dcm": ecg(scale=0.9), "readme.txt": b"hello", "w/more.dat": b"1", "../evil.npy": npy(beats()),
        "labels.csv": b"a,b\n1,2\n"})
    with ZipRecords(path, READING) as records:
        found = {one.name: one for one in records.plan(None)}
        kinds = {name: [member.made_of or "dicom" for member in records.objects(one)]
                 for name, one in found.items() if not one.reason}
        named = records.plan(["w/rec", "./n/1", "gone", "w/rec"])
    assert set(found) == {"w/rec", "n/1.npy", "e.xml", "d/same.dcm", "d/other.dcm", "../evil.npy"}
    assert "leads out" in found["../evil.npy"].reason
    assert kinds == {"w/rec": ["wfdb"], "n/1.npy": ["npy"], "e.xml": ["aecg"], "d/same.dcm": ["dicom"],
                     "d/other.dcm": ["dicom"]}
    assert [(one.name, bool(one.reason)) for one in named] == [("w/rec", False), ("n/1", False), ("gone", True)]


def test_segments_are_one_record(tmp_path: Path) -> None:
    files = in_segments(tmp_path)
    with ZipRecords(zip_file(tmp_path, {f"w/{n}": c for n, c in files.items()}), READING) as records:
        zipped_record, = records.plan(None)
        assert (zipped_record.name, len(list(records.objects(zipped_record)))) == ("w/whole", 1)
    folder = FolderRecords(tmp_path, READING)
    told, = folder.plan(["whole"])
    assert [(member.made_of, member.reason) for member in folder.objects(told)] == [("wfdb", "")]


def test_a_folder_of_the_configuration_is_never_left(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret.npy"
    root.mkdir()
    secret.write_bytes(npy(beats()))
    (root / "in.npy").write_bytes(npy(beats()))
    (root / "link.npy").symlink_to(secret)
    (root / "study").mkdir()
    (root / "study" / "1.dcm").write_bytes(ecg())
    record(root)
    records = FolderRecords(root, READING)
    names = ["in.npy", "in", "rec", "study", "../secret.npy", str(secret), "link.npy", "", ".", "a\0b",
             "study/../../secret.npy"]
    planned = records.plan(names)
    assert [one.name for one in planned if not one.reason] == ["in.npy", "in", "rec", "study"]
    assert all("batch.root" in one.reason for one in planned if one.reason)
    assert [len(list(records.objects(one))) for one in planned if not one.reason] == [1, 1, 1, 1]


# ------------------------------------------------------------ the work


class Reader:
    """Answers for the port; `away`: so many times the model is not ready."""

    def __init__(self, away: int = 0) -> None:
        self.away, self.read = away, 0

    def predict_study(self, objects: Any) -> Mapping[str, Any]:
        count = len(list(objects))
        if self.away:
            self.away -= 1
            raise NotReady("not loaded")
        self.read += 1
        if self.read == 2:
            raise RuntimeError("a fault of the reader")
        return {"pipeline": "ecg", "verdict": "normal", "risk": 0.1, "findings": [finding("AFIB", 0.1)], "n": count}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.web.batch_work._PAUSE_SECONDS", 0.01)


def work(folder: Path, reader: Any, **settings: Any) -> BatchWork:
    door = Door(FakeIntake(), split, Conversion(), 10**8, identity)
    return BatchWork(BatchFolder(folder / "batches"), BatchSettings(**settings), door, reader)


def upload(folder: Path, count: int = 4) -> io.BytesIO:
    return io.BytesIO(zipped(**{f"{n}.npy": npy(beats() * (1 + n / 10)) for n in range(count)}))


def read_to_the_end(doing: BatchWork, batch_id: str) -> Iterator[RecordResult]:
    """As the thread does, in this one."""
    batch = doing.get(batch_id)
    assert batch is not None
    while not batch.state.over:
        doing._read(batch)
    return batch.results()


@pytest.mark.usefixtures("quick")
def test_every_record_gets_its_line_whatever_befalls_it(tmp_path: Path) -> None:
    doing = work(tmp_path, Reader(away=2))
    batch = doing.order(Order(upload(tmp_path), b"path\n0\n1.npy\n2\nmissing\n", SAMPLE))
    results = list(read_to_the_end(doing, batch.state.batch_id))
    assert [(r.record, str(r.state)) for r in results] == [
        ("0", "done"), ("1.npy", "failed"), ("2", "done"), ("missing", "refused")]
    assert "RuntimeError" in results[1].reason
    state = batch.state
    assert (state.state, state.total, state.done, state.refused, state.failed) == ("done", 4, 2, 1, 1)
    assert batch.upload is None
    assert {path.name for path in (tmp_path / "batches" / state.batch_id).iterdir()} == {
        "state.json", "results.jsonl", "sample.csv"}


@pytest.mark.usefixtures("quick")
def test_a_model_that_stays_away_fails_the_record_and_not_the_batch(tmp_path: Path) -> None:
    doing = work(tmp_path, Reader(away=5))
    batch = doing.order(Order(upload(tmp_path, 2), None, None))
    results = list(read_to_the_end(doing, batch.state.batch_id))
    assert [(str(r.state), r.reason) for r in results] == [("failed", "not loaded"), ("done", "")]


def test_a_batch_goes_on_after_a_crash_where_it_was(tmp_path: Path) -> None:
    doing = work(tmp_path, Reader())
    batch = doing.order(Order(upload(tmp_path), None, None))
    batch.change(state="running", total=4)
    batch.add(done("0.npy", AFIB=0.5))
    with (tmp_path / "batches" / batch.state.batch_id / "results.jsonl").open("a") as file:
        file.write('{"record": "1.npy", "sta')
    again = work(tmp_path, Reader())
    results = list(read_to_the_end(again, batch.state.batch_id))
    assert [r.record for r in results] == ["0.npy", "1.npy", "2.npy", "3.npy"]
    assert again.all()[0].state.state == "done"


def test_old_batches_go_too_many_wait_and_a_deleted_one_is_let_be(tmp_path: Path) -> None:
    doing = work(tmp_path, Reader(), waiting=2, keep_hours=1)
    first, second = (doing.order(Order(upload(tmp_path, 1), None, None)) for _ in range(2))
    with pytest.raises(Transient, match="Too many"):
        doing.order(Order(upload(tmp_path, 1), None, None))
    first.change(state="done", ended_at=datetime.now(UTC) - timedelta(hours=2))
    doing.clean()
    assert [batch.state.batch_id for batch in doing.all()] == [second.state.batch_id]
    doing.remove(second.state.batch_id)
    doing._read(second)
    assert doing.all() == []
    assert list((tmp_path / "batches").iterdir()) == []


def test_a_table_alone_needs_a_root_and_no_path_leads_out_of_it(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"batch\.root"):
        work(tmp_path, Reader()).order(Order(None, b"path\na\n", None))
    with pytest.raises(Unusable):
        work(tmp_path, Reader()).order(Order(upload(tmp_path), None, b"no table"))
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.npy").write_bytes(npy(beats()))
    doing = work(tmp_path, Reader(), root=tmp_path / "root")
    batch = doing.order(Order(None, b"file\na\n../../etc/passwd\n", None))
    assert [str(r.state) for r in read_to_the_end(doing, batch.state.batch_id)] == ["done", "refused"]


@pytest.mark.parametrize(("files", "words"), [
    (None, "damaged"), ({}, "holds no file"), ({"page.dcm": b"<html>"}, "not a DICOM file"),
    ({"../a.npy": b"\x93NUMPY"}, "leads out"), ({"inner.zip": b"PK\3\4"}, "within the archive"),
    ({"bomb.npy": bytes(70 * 1024 * 1024)}, "200 times")])
def test_a_zip_with_nothing_to_read_is_refused_at_once_and_leaves_nothing(
        tmp_path: Path, files: dict[str, bytes] | None, words: str) -> None:
    content = b"PK\3\4 no zip" if files is None else zip_file(tmp_path, files).read_bytes()
    doing = work(tmp_path / "data", Reader())
    with pytest.raises(Unreadable, match=words):
        doing.order(Order(io.BytesIO(content), None, None))
    assert not list((tmp_path / "data").rglob("*.*"))
