"""The operations page and the rule tester, as a browser without scripts gets them."""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from adapters.web.latency import Latencies
from adapters.web.sayings import SAYINGS, said
from gateway.operations import Counted, Latency, is_silent, latency, received_lately
from gateway.settings import AlarmSettings, Settings, SiteSettings
from tests.archives import zipped
from tests.web_console import NOW, explained
from tests.web_fakes import FakeInference, World, fake_object, serving

HTML = {"Accept": "text/html"}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[World, httpx.Client]]:
    world = World(Settings(alarms=AlarmSettings(silence_hours=2)))
    with (serving(world.app(explain=explained)) as url,
          httpx.Client(base_url=url, trust_env=False, headers=HTML) as client):
        yield world, client


@pytest.fixture
def client(shared: tuple[World, httpx.Client]) -> httpx.Client:
    return shared[1]


def shown(page: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def judge(client: httpx.Client, content: bytes, name: str = "a.dcm") -> httpx.Response:
    return client.post("/operations/rules", files={"file": (name, content)})


# ---------------------------------------------------------------- operations


def test_the_page_tells_what_waits_and_what_fails(client: httpx.Client) -> None:
    page = shown(client.get("/operations").text)
    for text in ("RIS failing 14 3 h", "EHR failing 1", "PACS fine 0", "0xA700", "Rate, last 30 min",
                 "CART dicom heard", "In queue 12 7 min", "18.3 ms 41.2 ms 1204", "Not ready The file", "420.0 GB",
                 "42 %", "database ready", "Given up deliveries", "connection refused"):
        assert text in page, text


def test_a_silent_sender_is_marked_and_comes_first(shared: tuple[World, httpx.Client],
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    world, client = shared
    heard = [{"protocol": "dicom", "name": "A", "last_heard": NOW, "count": 3},
             {"protocol": "dicom", "name": "B", "last_heard": NOW - timedelta(hours=3), "count": 1}]
    monkeypatch.setattr(world.queries, "senders", lambda: tuple(heard), raising=False)
    page = shown(client.get("/operations").text)
    assert page.index("B dicom silent 3 h") < page.index("A dicom heard")


def test_what_is_not_ready_is_told(shared: tuple[World, httpx.Client], monkeypatch: pytest.MonkeyPatch) -> None:
    world, client = shared
    monkeypatch.setitem(world.health.parts, "assembly", "the assembly clock has stopped")
    assert "assembly: the assembly clock has stopped" in shown(client.get("/operations").text)


def test_dead_letters_are_tried_again_from_here(shared: tuple[World, httpx.Client]) -> None:
    world, client = shared
    assert 'action="/operations/retry/22"' in client.get("/operations").text
    assert client.post("/operations/retry/22").headers["location"] == "/operations"
    assert client.post("/operations/retry").headers["location"] == "/operations"
    assert client.post("/operations/retry/999999").status_code == 404
    assert [asked[0] for asked in world.commands.asked] == ["retry", "retry_dead", "retry"]


def test_rates_silence_and_percentiles() -> None:
    counts = [Counted(NOW - timedelta(minutes=50), {"a": 5}), Counted(NOW, {"a": 25, "b": 3})]
    assert received_lately(counts) == ({"a": 20, "b": 3}, timedelta(minutes=50))
    assert received_lately([]) == ({}, timedelta(0))
    assert is_silent(NOW - timedelta(hours=3), NOW, 2)
    assert not is_silent(NOW - timedelta(hours=1), NOW, 2)
    assert not is_silent(NOW - timedelta(days=9), NOW, 0)
    assert not is_silent(None, NOW, 2)
    assert latency([0.1 * n for n in range(1, 101)]) == Latency(100, 5.0, 9.5)
    assert latency([3.0]) == Latency(1, 3.0, 3.0)
    assert latency([]) == Latency(0, 0.0, 0.0)


def test_inference_is_measured_by_model() -> None:
    class Quick(FakeInference):
        def infer(self, model: str, inputs: object, outputs: tuple[str, ...]) -> dict[str, object]:
            return {}

    made = Latencies(registry := CollectorRegistry())
    timed = made.timed(Quick())
    for _ in range(3):
        timed.infer("ecg_12lead", {}, ())
    with pytest.raises(Exception, match="not in this test"):
        made.timed(FakeInference()).infer("chest_ct", {}, ())
    assert (timed.models(), timed.release("chest_ct").demonstration) == (FakeInference().models(), True)
    assert {model: told.count for model, told in made.told().items()} == {"ecg_12lead": 3}
    assert registry.get_sample_value("triage_inference_seconds_count", {"model": "ecg_12lead"}) == 3


# ---------------------------------------------------------------- rule tester


def test_the_tester_says_which_rule_takes_a_file_and_why_the_others_do_not(client: httpx.Client) -> None:
    page = shown(judge(client, fake_object("ECG")).text)
    assert "ecg_12lead reads 1 of 1 objects" in page
    assert "ecg takes it series 1 of 1 satisfies every condition" in page
    assert "chest ct passes it by there is no order" in page
    assert "no rule takes it" in shown(judge(client, fake_object("MR")).text)


def test_the_tester_stores_nothing(shared: tuple[World, httpx.Client]) -> None:
    world, client = shared
    judge(client, fake_object("ECG"))
    assert world.intake.taken == []


@pytest.mark.parametrize(("content", "told"), [
    (b"", "DICM is missing"), (b"<html><script>alert(1)</script></html>", "DICM is missing"),
    (bytes(128) + b"DICMBROKEN", "The file meta cannot be read."), (b"PK\3\4" + b"x" * 300, "An archive within"),
    (zipped(**{"a.txt": b"notes"}), "DICM is missing"), (zipped(), "There is no file to read."),
    (zipped(bomb=bytes(80_000_000)), "unpacks to more than"), (b"\x93NUMPY\1\0" + b"\xff" * 40, "array"),
    (b"MZ" + bytes(126) + b"DICM" + b"ECG", "a Windows program at once")])
def test_hostile_files_are_refused_in_words(client: httpx.Client, content: bytes, told: str) -> None:
    answer = judge(client, content)
    assert answer.status_code == 422
    assert told in answer.text
    assert "<script>" not in answer.text


def test_of_a_zip_the_first_object_is_judged_and_the_rest_named(client: httpx.Client) -> None:
    page = shown(judge(client, zipped(**{"1.txt": b"notes", "2.dcm": fake_object("ECG")})).text)
    assert "ecg takes it" in page
    assert "Not judged: 1.txt: This is not a DICOM file" in page


def test_in_russian() -> None:
    world = World(Settings(site=SiteSettings(language="ru")))
    with serving(world.app(explain=explained)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        page = shown(judge(client, fake_object("MR")).text)
        assert "Modality: 'MR', правилу нужно 'ECG'" in page
        assert "ни одно правило его не берёт" in page
        assert "После преамбулы нет DICM".lower() in judge(client, b"x").text.lower()
        shown_operations = client.get("/operations").text
        assert "Получатели" in shown_operations
        assert "<dt>база данных</dt>" in shown_operations
        assert "в соединении отказано" in shown_operations


SAY = ["adapters/web/archive.py", "adapters/web/recordings.py", *(
    f"adapters/files/{name}.py" for name in ("conversion", "npy_source", "nifti_source", "aecg_source", "wfdb_source",
                                            "photograph", "xml_tree", "wfdb_bundle")),
       "adapters/dicom/content/part10.py", "adapters/dicom/content/tags.py", "adapters/inference/repository.py",
       "adapters/inference/embedded.py", "adapters/inference/triton.py"]


def refusals(path: Path) -> Iterator[str]:
    """The texts of what a module refuses, with {} for what is put in."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    named = {target.id: node.value for node in module.body if isinstance(node, ast.Assign)
             for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(module):
        told: list[ast.expr | None] = [node.value] if isinstance(node, ast.Return) and path.stem == "archive" else []
        if isinstance(node, ast.Call):
            told += node.args[:1] if getattr(node.func, "id", "") in {"Unreadable", "Unusable", "NotReady"} else []
            told += [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
        for text in (named.get(one.id) if isinstance(one, ast.Name) else one for one in told):
            if isinstance(text, ast.Constant) and isinstance(text.value, str) and text.value:
                yield text.value
            elif isinstance(text, ast.JoinedStr):
                yield "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in text.values)


@pytest.mark.parametrize("name", SAY)
def test_every_refusal_of_a_file_has_russian_words(name: str) -> None:
    told = list(refusals(ROOT / name))
    assert told
    assert [text for text in told if not re.search("[а-яё]", said(text.replace("{}", "7"), "ru"))] == []


def test_sayings_take_what_their_english_gives() -> None:
    for english, russian in SAYINGS["ru"].items():
        assert english.count("{}") == russian.count("{}"), english
