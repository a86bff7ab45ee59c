"""A hospital's own table of labels: what it may look like, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import Unusable
from pipelines.validation.table import read_table

LABELS = ("AFIB", "1AVB")


def table(folder: Path, text: str, name: str = "labels.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_columns_are_found_by_their_usual_names(tmp_path: Path) -> None:
    rows = read_table(table(tmp_path, "Path;Patient_ID;AGE;Sex;Manufacturer;Hospital;afib;Notes\n"
                                      "a/1.dcm;p1;61;F;Acme;North;1;x\n\nb.npy;p1;;;;;0;\nc;p2;;;;;;\n"), LABELS)
    first, second, third = rows
    assert (first.record, first.path, first.patient) == ("a/1.dcm", tmp_path / "a/1.dcm", "p1")
    assert first.attributes == {"age": "40-64", "sex": "F", "device": "Acme", "site": "North"}
    assert [row.truth for row in rows] == [{"AFIB": 1.0}, {"AFIB": 0.0}, {}]
    assert (second.age, second.attributes, third.place) == (None, {}, "labels.csv, line 5")
    assert first.cells["Notes"] == "x"


def test_a_byte_order_mark_tabs_aliases_and_other_words_for_yes(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes("\ufeffrecord\tVorhofflimmern\n1\tyes\n2\tFalse\n3\t-1\n".encode())
    rows = read_table(tmp_path / "mine.csv", LABELS, aliases={"Vorhofflimmern": "AFIB"})
    assert [row.truth for row in rows] == [{"AFIB": 1.0}, {"AFIB": 0.0}, {}]
    assert rows[0].patient == "1"


@pytest.mark.parametrize(("text", "why"), [
    ("record,AFIB\n1,maybe\n", r"labels.csv, line 2: the column AFIB is neither 1, 0 nor blank"),
    ("record,AFIB,age\n1,1,\n2,0,old\n", r"labels.csv, line 3: the column age"),
    ("record,AFIB\n1,1\n1,0\n", r"labels.csv, line 3: the record is there already, in labels.csv, line 2"),
    ("record,AFIB\n,1\n", r"labels.csv, line 2: the column record is blank"),
    ("who,AFIB\n1,1\n", r"no column record.*it has who, AFIB"),
    ("record,other\n1,1\n", r"none of the columns AFIB, 1AVB; it has record, other"),
    ("record,AFIB\n", r"no line beside its header"),
    ("", r"no column record"),
])
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        read_table(table(tmp_path, text), LABELS)


def test_no_table_and_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"labels\.csv or records\.csv"):
        read_table(tmp_path, LABELS)
    (tmp_path / "labels.csv").write_bytes(b"record,AFIB\n\xff\xfe,1\n")
    with pytest.raises(Unusable, match="UTF-8"):
        read_table(tmp_path, LABELS)
