"""The terminal's commands: the listing ones against a live server of fakes, the others over fake services."""

from __future__ import annotations

import json
import logging
import re
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from adapters.cli.app import build_cli
from adapters.cli.output import plain
from adapters.cli.remote import url_of
from adapters.cli.services import (
    CheckReport,
    CliServices,
    Conformance,
    Explanation,
    ModelLine,
    Progress,
    SendRequest,
    TrainRequest,
    ValidateRequest,
)
from gateway.errors import ConfigurationError
from gateway.ports import KEPT_BESIDE
from gateway.settings import HttpSettings, Settings, SiteSettings
from tests.web_fakes import World, fake_object, serving, view

SECOND = f"{2:020x}"
COMMANDS = (["serve"], ["send"], ["worklist"], ["cases"], ["cases", "show"], ["cases", "cancel"], ["cases", "replay"],
            ["cases", "rerun"], ["cases", "priority"], ["cases", "delete"], ["deliveries"],
            ["deliveries", "retry"], ["models"], ["validate"], ["train"], ["check"], ["conform"])


@dataclass
class Sent:
    path: Path
    status: int
    error: str = ""

    @property
    def stored(self) -> bool:
        return self.status in {0, 0xB000}


@dataclass
class Fakes:
    """Services that note what they were asked and answer from these fields."""

    settings: Settings = field(default_factory=Settings)
    asked: list[Any] = field(default_factory=list)
    statuses: dict[bytes, int] = field(default_factory=dict)
    remarks: dict[bytes, str] = field(default_factory=dict)
    explanations: tuple[Explanation, ...] = ()
    errors: tuple[str, ...] = ()
    broken: str = ""
    modalities: frozenset[str] = frozenset()

    def services(self) -> CliServices:
        return CliServices(serve=self.asked.append, load_settings=self.load, send_files=self.send, check=self.check,
                           modalities=lambda _settings: self.modalities,
                           conform=self.conform, models=self.models,
                           train=lambda _settings, request: self.asked.append(request), validate=self.validate)

    def load(self, config: Path | None) -> Settings:
        if self.broken:
            raise ConfigurationError(self.broken)
        return self.settings

    def send(self, request: SendRequest, progress: Progress) -> Sequence[Sent]:
        self.asked.append(request)
        sent = [Sent(path, self.statuses.get(path.read_bytes(), 0),
                     self.remarks.get(path.read_bytes(), "")) for path in request.paths]
        for file in sent:
            progress(file.path, file.status)
        return sent

    def check(self, config: Path | None, files: Sequence[Path]) -> CheckReport:
        self.asked.append(tuple(files))
        return CheckReport(self.load(config).model_dump(mode="json"), self.explanations)

    def conform(self, files: Sequence[Path]) -> list[Conformance]:
        return [Conformance(path, self.errors, "sr") for path in files]

    def models(self, settings: Settings) -> list[ModelLine]:
        return [ModelLine("ecg_12lead", "1", "ab" * 32, "validated", False, True),
                ModelLine("chest_ct", "", "", "", True, False, "the hash differs")]

    def validate(self, settings: Settings, request: ValidateRequest) -> dict[str, Any]:
        self.asked.append(request)
        return {"labels": {"AFIB": {"n": 10, "positives": 3, "auc": 0.987, "auc_ci95": [0.9, 1.0]}}, "macro_auc": 0.94}


@pytest.fixture(autouse=True)
def _quiet_server() -> Iterator[None]:
    """The server runs in this process: its log must not mix with what the commands print."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def url(world: World) -> Iterator[str]:
    with serving(world.app()) as address:
        yield address


def run(*arguments: object, fakes: Fakes | None = None) -> Result:
    """In a terminal that is wide enough for the tables."""
    return CliRunner().invoke(build_cli((fakes or Fakes()).services()), [str(a) for a in arguments],
                              env={"COLUMNS": "200"})


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    told = run(*command, "--help")
    assert told.exit_code == 0
    assert "Example: triage-gateway" in told.output


def test_worklist_prints_the_pages_columns_in_the_apis_order(url: str, world: World) -> None:
    told = run("worklist", "--url", url)
    assert told.exit_code == 0
    header = told.output.splitlines()[0].split()
    assert header == ["Risk", "Verdict", "Found", "Patient", "Modality", "Priority", "Waiting", "State", "Deliveries"]
    verdicts = re.findall(r" ([▲?○…–]) ([A-Z][a-z ]+?)  ", told.output)
    assert verdicts[:8] == [("▲", "Pathology")] * 3 + [("?", "Failed"), ("?", "Undetermined"), ("?", "Incomplete"),
                                                       ("?", "Unsupported"), ("?", "Contradictory")]
    assert len(verdicts) == len(world.queries.rows)
    assert "Петров Пётр Петрович" in told.output
    assert "DEMO" in told.output


def test_worklist_as_json_and_in_pages(url: str, world: World) -> None:
    page = json.loads(run("worklist", "--url", url, "--json", "--limit", 3).output)
    assert [item["case_id"] for item in page["items"]] == [row.case_id for row in world.queries.rows[:3]]
    assert "--cursor 3" in run("worklist", "--url", url, "--limit", 3).output
    assert run("worklist", "--url", url, "--cursor", "bad").exit_code == 1


def test_a_filter_that_nothing_passes_is_told_as_such(url: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.queries, "rows", [])
    assert "No study passes this filter." in run("worklist", "--url", url, "--modality", "CT").output
    assert "No studies yet." in run("worklist", "--url", url).output


def test_the_settings_say_where_the_gateway_is(url: str) -> None:
    port = int(url.rpartition(":")[2])
    fakes = Fakes(Settings(http=HttpSettings(port=port), site=SiteSettings(language="ru")))
    told = run("worklist", fakes=fakes)
    assert "Заключение" in told.output
    assert url_of(HttpSettings(host="0.0.0.0", port=1)) == "http://127.0.0.1:1"
    assert url_of(HttpSettings(host="::", port=1)) == "http://[::1]:1"


@pytest.mark.parametrize("command", [["worklist"], ["cases"], ["deliveries"], ["cases", "show", "00"]], ids=" ".join)
def test_nothing_answers(command: list[str]) -> None:
    told = run(*command, "--url", "http://127.0.0.1:1")
    assert told.exit_code == 1
    assert "Nothing answers at http://127.0.0.1:1" in told.output
    assert "Traceback" not in told.output


def test_cases(url: str) -> None:
    assert SECOND in run("cases", "--url", url).output
    shown = run("cases", "show", SECOND, "--url", url).output
    assert "Palpitations" in shown
    assert "0.970" in shown
    assert json.loads(run("cases", "show", SECOND, "--url", url, "--json").output)["case_id"] == SECOND
    assert "There is no such case." in run("cases", "show", "00", "--url", url).output
    assert run("cases", "show", "../models", "--url", url).exit_code == 1
    refused = run("cases", "cancel", SECOND, "--url", url)
    assert (refused.exit_code, "reported already" in refused.output) == (1, True)


def test_cases_cancel_and_replay(url: str, world: World) -> None:
    running = f"{11:020x}"
    assert run("cases", "cancel", running, "--url", url).exit_code == 0
    assert "f" * 24 in run("cases", "replay", running, "--url", url).output
    assert world.commands.asked[-2:] == [("cancel", running), ("replay", running)]


def test_deliveries(url: str, world: World) -> None:
    told = run("deliveries", "--state", "dead", "--url", url).output
    assert ("0xA700" in told, "pending" in told) == (True, False)
    assert {d["state"] for d in json.loads(run("deliveries", "--json", "--url", url).output)["items"]} > {"dead"}
    assert "Tried again: 1" in run("deliveries", "retry", 22, "--url", url).output
    assert run("deliveries", "retry", "--destination", "RIS", "--url", url).exit_code == 0
    assert run("deliveries", "retry", "--all", "--url", url).exit_code == 0
    assert world.commands.asked[-3:] == [("retry", 22), ("retry_dead", "RIS"), ("retry_dead", "")]
    assert run("deliveries", "retry", "--url", url).exit_code == 2
    assert run("deliveries", "retry", 22, "--all", "--url", url).exit_code == 2
    assert run("deliveries", "retry", 99999, "--url", url).exit_code == 1


def test_control_characters_from_outside_do_not_reach_the_terminal() -> None:
    world = World()
    world.queries.rows = [view(1, patient_name="\x1b[2J\x1b[31mX", state="failed", error="a\x9bb")]
    with serving(world.app()) as address:
        told = run("worklist", "--url", address).output + run("cases", "show", f"{1:020x}", "--url", address).output
    assert "\x1b[2J" not in told
    assert "\x9b" not in told
    assert plain("ok\nÄ") == "ok\nÄ"


def test_what_is_not_known_of_a_patient_leaves_no_gap() -> None:
    world = World()
    world.queries.rows = [view(1, patient_birth_date="", patient_sex="", modality="ECG")]
    with serving(world.app()) as address:
        who = run("cases", "show", f"{1:020x}", "--url", address).output.splitlines()[0]
    assert who.endswith(" · ECG")
    assert "·  ·" not in who


def test_send_expands_folders_and_zips_and_tells_the_refusals(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "1.dcm").write_bytes(fake_object("1"))
    (folder / ".hidden").write_bytes(b"x")
    (folder / "DICOMDIR").write_bytes(b"x")
    with zipfile.ZipFile(folder / "z.zip", "w") as archive:
        archive.writestr("a/2.dcm", fake_object("2"))
        archive.writestr("n.txt", b"notes")
    fakes = Fakes(statuses={fake_object("2"): 0xA700})
    told = run("send", folder, fakes=fakes)
    (request,) = fakes.asked
    assert (request.host, request.port, request.called_ae_title) == ("127.0.0.1", 11112, "TRIAGE")
    assert len(request.paths) == 2
    assert all(tmp_path in path.parents or path.name == "00000001.dcm" for path in request.paths)
    assert told.exit_code == 1
    assert "Stored 1, refused 1, skipped 1." in told.output
    assert "0xA700" in told.output
    assert "z.zip:a/2.dcm" in told.output
    assert not any(path.exists() for path in request.paths if tmp_path not in path.parents)


def test_send_of_good_files_is_a_success(tmp_path: Path) -> None:
    (tmp_path / "1.dcm").write_bytes(fake_object("1"))
    fakes = Fakes()
    told = run("send", tmp_path / "1.dcm", "--host", "10.0.0.1", "--port", 104, "--called", "PACS", fakes=fakes)
    assert (told.exit_code, "Stored 1, refused 0." in told.output) == (0, True)
    assert (fakes.asked[0].host, fakes.asked[0].port, fakes.asked[0].called_ae_title) == ("10.0.0.1", 104, "PACS")
    assert run("send", tmp_path / "missing").exit_code == 2


def test_send_makes_objects_of_photographs_where_a_reader_takes_them(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), (200, 150, 120)).save(tmp_path / "mole.jpg")
    refused = run("send", tmp_path / "mole.jpg")
    assert (refused.exit_code, "no reader takes photographs" in refused.output) == (1, True)
    taken = run("send", tmp_path / "mole.jpg", fakes=Fakes(modalities=frozenset({"DMS", "XC"})))
    assert (taken.exit_code, "Stored 1, refused 0." in taken.output) == (0, True)


def test_send_takes_titles_that_fit_and_a_rate(tmp_path: Path) -> None:
    (tmp_path / "1.dcm").write_bytes(fake_object("1"))
    (tmp_path / "2.dcm").write_bytes(fake_object("2"))
    for option in ("--called", "--calling"):
        told = run("send", tmp_path, option, "SEVENTEEN_LETTERS")
        assert (told.exit_code, "16" in told.output) == (2, True)
    started = time.monotonic()
    assert run("send", tmp_path, "--rate", 20).exit_code == 0
    assert time.monotonic() - started >= 0.05  # the pace is a lower bound
    assert run("send", tmp_path, "--rate", 0).exit_code == 2


def test_cases_are_read_anew_hurried_and_deleted(url: str, world: World) -> None:
    assert f"{2:020x}" in run("cases", "rerun", SECOND, "--url", url).output
    assert ("rerun", SECOND) in world.commands.asked
    assert run("cases", "priority", SECOND, "stat", "--url", url).exit_code == 0
    assert run("cases", "priority", SECOND, "soon", "--url", url).exit_code == 2
    assert run("cases", "delete", "../etc", "--url", url).exit_code == 1


def test_lists_are_narrowed(url: str) -> None:
    told = json.loads(run("worklist", "--verdict", "pathology", "--modality", "CT", "--json", "--url", url).output)
    assert {(item["verdict"], item["modality"]) for item in told["items"]} == {("pathology", "CT")}
    told = json.loads(run("worklist", "--search", "петров", "--json", "--url", url).output)
    assert [item["case_id"] for item in told["items"]] == [SECOND]
    told = json.loads(run("deliveries", "--destination", "RIS", "--limit", 1, "--json", "--url", url).output)
    assert [item["destination"] for item in told["items"]] == ["RIS"]
    again = run("deliveries", "--destination", "RIS", "--limit", 1, "--cursor", told["next"], "--json", "--url", url)
    assert json.loads(again.output)["items"][0]["delivery_id"] < told["items"][0]["delivery_id"]


def test_send_tells_what_the_receiver_remarks_of_what_it_took(tmp_path: Path) -> None:
    one, other, plain = (fake_object(name) for name in ("1", "2", "3"))
    for name, content in (("1.dcm", one), ("2.dcm", other), ("3.dcm", plain)):
        (tmp_path / name).write_bytes(content)
    told = run("send", tmp_path, fakes=Fakes(statuses={other: 0xB000}, remarks={one: KEPT_BESIDE}))
    assert told.exit_code == 0
    assert "Stored 3, refused 0, with remarks 2." in told.output
    assert KEPT_BESIDE in told.output
    assert "1 × taken with warning status 0xB000" in told.output


def test_send_of_nothing_is_said(tmp_path: Path) -> None:
    told = run("send", tmp_path)
    assert (told.exit_code, "There is no file to send" in told.output) == (1, True)


def test_check_prints_the_configuration_or_the_error_with_its_line(tmp_path: Path) -> None:
    good = run("check")
    assert (good.exit_code, "valid" in good.output, "port: 11112" in good.output) == (0, True, True)
    bad = run("check", fakes=Fakes(broken="site.yaml:4: unknown key dicom.prot (did you mean port?)"))
    assert bad.exit_code == 1
    assert "site.yaml:4: unknown key dicom.prot" in bad.output
    assert json.loads(run("check", "--json").output)["valid"] is True


def test_check_explains_each_file(tmp_path: Path) -> None:
    files = [tmp_path / "a.dcm", tmp_path / "b.dcm"]
    for file in files:
        file.write_bytes(b"x")
    fakes = Fakes(explanations=(Explanation(files[0], (("chest", False, "Modality is MR"),)),
                                Explanation(files[1], (("ecg", True, "every condition holds"),), "one ECG")))
    told = run("check", "--explain", files[0], files[1], fakes=fakes)
    assert fakes.asked[0] == tuple(files)
    assert "✕ chest: Modality is MR" in told.output
    assert "unsupported: no rule takes it" in told.output
    assert "✓ ecg" in told.output
    assert run("check", files[0], fakes=fakes).exit_code == 2


def test_conform_fails_when_a_file_does(tmp_path: Path) -> None:
    file = tmp_path / "a.dcm"
    file.write_bytes(b"x")
    assert run("conform", file).exit_code == 0
    told = run("conform", file, fakes=Fakes(errors=("TID 1500 root is missing",)))
    assert (told.exit_code, "TID 1500" in told.output) == (1, True)
    assert json.loads(run("conform", file, "--json").output)[0]["kind"] == "sr"


def test_models_train_validate_and_serve(tmp_path: Path) -> None:
    fakes = Fakes()
    assert "the hash differs" in run("models", fakes=fakes).output
    assert json.loads(run("models", "--json", fakes=fakes).output)[0]["ready"] is True
    assert run("train", "ecg_12lead", "--data", tmp_path, "--out", tmp_path, "--epochs", 2, fakes=fakes).exit_code == 0
    told = run("validate", "ecg_12lead", "--data", tmp_path, "--json", tmp_path / "o.json", "--folds", "9,10",
               fakes=fakes)
    assert "0.987" in told.output
    assert "0.900 – 1.000" in told.output
    assert run("serve", "--config", tmp_path / "c.yaml", fakes=fakes).exit_code == 0
    assert fakes.asked == [TrainRequest("ecg_12lead", tmp_path, tmp_path, 2, 0, "cpu"),
                           ValidateRequest("ecg_12lead", tmp_path, tmp_path / "o.json", None, (9, 10)),
                           tmp_path / "c.yaml"]
    assert run("validate", "e", "--data", tmp_path, "--json", "x", "--folds", "nine", fakes=fakes).exit_code == 2
