"""From scored records to JSON, CSV, page, curves and a site's thresholds."""

from __future__ import annotations

import csv
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml

from gateway.errors import Unusable
from gateway.result import ModelRelease
from gateway.settings import Settings
from gateway.site_thresholds import applied
from pipelines.validation import plots, predictions
from pipelines.validation.operating import OperatingPoint
from pipelines.validation.outputs import Wanted, write
from pipelines.validation.progress import track_results
from pipelines.validation.ranking import auc
from pipelines.validation.records import Record, Scored, age_band, attributes
from pipelines.validation.report import report

WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
MODEL = ModelRelease("m", "1.0", "ab" * 32, demonstration=True, status="demonstration: <synthetic>",
                     parameters={"thresholds": '{"A": 0.5, "B & C": 0.5, "rare": 0.5}'})


def scored(count: int = 120) -> Scored:
    random = np.random.default_rng(1)
    records = []
    for number in range(count):
        a, b = (random.random(2) < 0.4).astype(float)
        told = {"A": a * 0.4 + random.random() * 0.6, "B & C": b * 0.5 + random.random() * 0.5, "rare": 0.1}
        truth = {"A": a, "B & C": b, "rare": 0.0} if number % 5 else {"A": a}
        reasons = ("too-noisy", "flat") if number < 6 else ()
        measures = {"dice": 0.5 + 0.001 * number, "volume_ml": 2.0 + number, "volume_truth_ml": 1.0 + number}
        whose = attributes(age=float(number), sex="fm"[number % 2], device="X" if number % 3 else "Y")
        records.append(Record(str(number), str(number // 2), truth, told, "undetermined" if reasons else "normal",
                              reasons, whose, measures))
    return Scored("p", ("A", "B & C", "rare"), records, {"A": 0.5, "B & C": 0.5, "rare": 0.5, "N": 0.5}, (MODEL,),
                  apart={"normal": "N"}, further={"verdicts": {"sick": {"normal": 3}}, "note": "seen <once>",
                                                  "histology_needed": {"sensitivity": 0.9, "of": {"more": 1}}})


def test_the_report_has_what_the_contract_names_and_can_be_written_as_json() -> None:
    told = report(scored(), draws=50)
    json.dumps(told, allow_nan=False)
    a = told["labels"]["A"]
    truth, score = scored().column("A")
    assert (a["n"], a["positives"]) == (120, int(truth.sum()))
    assert a["auc"] == pytest.approx(auc(truth, score))
    assert a["auc_ci95"][0] < a["auc"] < a["auc_ci95"][1]
    assert sum(a["confusion"].values()) == a["n"]
    assert a["sensitivity_ci95"][0] < a["sensitivity"] < a["sensitivity_ci95"][1]
    assert sum(b["n"] for b in a["reliability"]) == a["n"]
    assert a["roc"][0] == [0, 0]
    assert a["roc"][-1] == [1, 1]
    assert told["labels"]["B & C"]["n"] == 96
    assert told["labels"]["rare"]["auc"] is None
    assert told["macro_auc"] == pytest.approx((a["auc"] + told["labels"]["B & C"]["auc"]) / 2)
    assert told["normal"]["n"] == 0
    assert told["undetermined"] == {"n": 6, "share": 0.05, "reasons": {"too-noisy": 6, "flat": 6}}
    assert (told["records"], told["patients"]) == (120, 60)
    assert told["note"] == "seen <once>"
    assert told["measures"]["dice"]["median"] == pytest.approx(0.5595)
    assert told["measures"]["volume_agreement"]["mean_difference"] == pytest.approx(1)
    assert told == report(scored(), draws=50)


def test_subgroups_are_whole_and_tell_only_what_rests_on_some_cases() -> None:
    groups = report(scored(), draws=10)["subgroups"]
    assert list(groups) == ["age", "device", "sex"]
    assert all(sum(group["n"] for group in of.values()) == 120 for of in groups.values())
    assert set(groups["sex"]) == {"F", "M"}
    assert set(groups["sex"]["F"]["auc"]) == {"A", "B & C"}
    assert groups["age"]["under 18"]["undetermined_share"] == pytest.approx(6 / 18)


def test_age_bands() -> None:
    assert [age_band(years) for years in (0, 17.9, 18, 39, 40, 79, 80, 300)] == [
        "under 18", "under 18", "18-39", "18-39", "40-64", "65-79", "80 and over", "80 and over"]
    assert attributes(age=float("nan"), sex=" ", device="") == {}


def test_no_record_is_no_report() -> None:
    with pytest.raises(Unusable, match="no record"):
        report(Scored("p", ("A",), [], {"A": 0.5}))


class _Reader(HTMLParser):
    """Tags, and the addresses that the page would ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.asked += [value or "" for name, value in attrs if name in ("src", "href")]


def test_everything_is_written_and_the_page_stands_alone(tmp_path: Path) -> None:
    wanted = Wanted(tmp_path / "out" / "o.json", tmp_path / "p.csv", tmp_path / "page.html", tmp_path / "plots",
                    OperatingPoint("sens", 0.9), tmp_path / "site.yaml")
    told = write(scored(), wanted, title="Reader <of things>", data="here & there", made_at=WHEN, draws=20)
    assert json.loads((tmp_path / "out" / "o.json").read_text()) == told
    page = (tmp_path / "page.html").read_text()
    reader = _Reader()
    reader.feed(page)
    assert "script" not in reader.tags
    assert reader.tags.count("img") == 2
    assert all(address.startswith("data:image/svg+xml;base64,") for address in reader.asked)
    for text in ("Reader &lt;of things&gt;", "here &amp; there", "2026-01-02 03:04 UTC", "B &amp; C", "too-noisy",
                 "Demonstration model", "demonstration: &lt;synthetic&gt;", "Thresholds for sens=0.9",
                 "seen &lt;once&gt;", "histology needed: sensitivity 0.900",
                 "volume agreement: mean difference 1.000"):
        assert text in page
    assert not re.search(r"\bnan\b|None", page)
    for name in ("roc", "reliability"):
        assert (tmp_path / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_curves_repeat_and_are_left_out_where_there_are_none() -> None:
    told = report(scored(), draws=5)
    assert plots.picture(told, "roc", "svg") == plots.picture(told, "roc", "svg") != b""
    assert plots.picture({"labels": {"A": {"roc": [], "auc_ci95": [None, None]}}}, "roc", "png") == b""


def test_predictions_repeat_the_figures(tmp_path: Path) -> None:
    predictions.write(tmp_path / "p.csv", scored())
    rows = [row for row in csv.DictReader((tmp_path / "p.csv").open()) if row["label"] == "B & C"]
    again = auc(np.array([float(r["truth"]) for r in rows]), np.array([float(r["probability"]) for r in rows]))
    assert again == pytest.approx(report(scored(), draws=5)["labels"]["B & C"]["auc"])


def test_site_thresholds_are_settings_that_give_what_was_wanted(tmp_path: Path) -> None:
    wanted = Wanted(tmp_path / "o.json", point=OperatingPoint("sens", 0.9), thresholds=tmp_path / "site.yaml")
    told = write(scored(), wanted, title="", data="", made_at=WHEN, draws=2)["operating_point"]
    assert told["labels"]["A"]["sensitivity"] >= 0.9
    assert told["unset"] == {"rare": "no positives"}
    settings = Settings.model_validate(yaml.safe_load((tmp_path / "site.yaml").read_text()))
    own = json.loads(applied(MODEL, settings.models["m"]).parameters["thresholds"])
    assert own["A"] == pytest.approx(told["labels"]["A"]["threshold"])
    assert own["rare"] == 0.5
    truth, score = scored().column("A")
    assert (score[truth > 0.5] >= own["A"]).mean() >= 0.9


def test_results_come_in_order_and_the_first_failure_ends_the_work() -> None:
    told: list[str] = []
    assert list(track_results(told.append, lambda n: n * n, range(5), "squares", threads=3)) == [0, 1, 4, 9, 16]
    assert told == ["squares: 5 of 5"]

    def picky(number: int) -> int:
        if number == 2:
            raise Unusable("no twos")
        return number

    with pytest.raises(Unusable, match="no twos"):
        list(track_results(told.append, picky, range(1000), "numbers"))
