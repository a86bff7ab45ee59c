"""In which language programs are answered, and that every refusal has words in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from adapters.web import problems
from adapters.web.sayings import said, said_in_sentences
from adapters.web.sayings_api import TITLES
from adapters.web.spoken import language_asked
from gateway.settings import Settings, SiteSettings
from tests.web_fakes import World, fake_object, serving

ROOT = Path(__file__).parents[2]
RUSSIAN = {"Accept-Language": "ru-RU,ru;q=0.9,en;q=0.5"}
REFUSALS = {"Refusal", "HTTPException", "NotFound", "Conflict", "Stale", "Unreadable", "Unusable", "Rejected",
            "Transient", "StorageFull"}
TOLD_BY = [*sorted((ROOT / "adapters/web").glob("*.py")), *(
    ROOT / name for name in (
        "adapters/database/command_rows.py", "adapters/database/study_commands.py", "adapters/database/patients.py",
        "adapters/database/library_studies.py", "adapters/database/saved_views.py", "adapters/database/feedback.py",
        "adapters/database/cases.py", "adapters/files/durable.py", "adapters/files/batch_folder.py",
        "gateway/viewing.py", "gateway/commands.py", "gateway/batch.py", "gateway/feedback.py", "gateway/erasing.py"))]


@pytest.mark.parametrize(("asked", "language"), [
    ("", "en"), ("ru", "ru"), ("ru-RU,ru;q=0.9,en;q=0.5", "ru"), ("en,ru;q=0.9", "en"), ("de, fr;q=0.5", "en"),
    ("de,ru;q=0.2", "ru"), ("ru;q=0", "en"), ("en;q=0.1,ru;q=high", "en"), (" RU ", "ru"),
    (";;,,q=1", "en"), ("*", "en")])
def test_the_language_that_is_liked_best(asked: str, language: str) -> None:
    assert language_asked(asked, "en") == language


def test_a_refusal_in_the_askers_language() -> None:
    with serving(World().app()) as url, httpx.Client(base_url=url, trust_env=False) as client:
        plain = client.get("/api/cases/nothing-of-ours").json()
        told = client.get(f"/api/cases/{'0' * 20}", headers=RUSSIAN)
        assert (told.json()["title"], told.json()["detail"]) == ("Не найдено", "Такого случая нет.")
        assert told.headers["content-language"] == "ru"
        assert "Accept-Language" in told.headers["vary"]
        assert plain["title"] == HTTPStatus(plain["status"]).phrase
        limit = client.get("/api/worklist?limit=0", headers=RUSSIAN).json()
        assert (limit["detail"], limit["element"]) == ("limit: не меньше 1.", "limit")
        assert client.get("/api/nothing", headers=RUSSIAN).json()["detail"] == "По этому адресу ничего нет."
        assert client.head("/api/nothing", headers=RUSSIAN).status_code == 404
        foreign = client.get("/api/worklist", headers=RUSSIAN | {"Host": "evil.example"}).json()
        assert foreign["detail"].startswith("Заголовок Host не называет этот сервер")
        nothing = client.post("/api/studies", files={"file": ("a", b"x")}, headers=RUSSIAN).json()
        assert nothing["detail"].startswith(
            "Это не файл DICOM: после преамбулы нет DICM. Принимаются: DICOM, архивы zip")
        assert nothing["refused"][0]["reason"] == "Это не файл DICOM: после преамбулы нет DICM."


def test_what_an_upload_left_out_and_how_models_stand_in_the_askers_language() -> None:
    with serving(World().app()) as url, httpx.Client(base_url=url, trust_env=False) as client:
        files = [("file", ("a", fake_object("a"))), ("file", ("b", b"x"))]
        sent = client.post("/api/studies", files=files, headers=RUSSIAN).json()
        assert (sent["stored"], sent["refused"][0]["reason"]) == (1, "Это не файл DICOM: после преамбулы нет DICM.")
        assert client.post("/api/studies", files=files).json()["refused"][0]["reason"].startswith("This is not")
        read = client.post("/api/predict", files=files, headers=RUSSIAN).json()
        assert read["left_out"][0]["reason"] == "Это не файл DICOM: после преамбулы нет DICM."


def test_the_sites_language_where_none_is_asked_for_and_on_all_of_the_page() -> None:
    world = World(Settings(site=SiteSettings(language="ru")))
    with serving(world.app()) as url, httpx.Client(base_url=url, trust_env=False) as client:
        english = {"Accept-Language": "en"}
        assert client.get("/api/nothing").json()["title"] == "Не найдено"
        assert client.get("/api/nothing", headers=english).json()["title"] == "Not Found"
        by_script = client.get(f"/cases/{'0' * 20}/ecg", headers=english)
        assert by_script.json()["title"] == "Не найдено"
        page = client.get("/nothing", headers=english | {"Accept": "text/html"})
        assert "По этому адресу ничего нет." in page.text


def test_sentences_are_found_with_their_full_stop_or_without() -> None:
    both = said_in_sentences("the XML holds no element. What is taken: DICOM.", "ru")
    assert both == "в XML нет элементов. Принимаются: DICOM."
    assert said_in_sentences("Nobody said this. Nor that.", "ru") == "Nobody said this. Nor that."


def test_every_status_has_a_title() -> None:
    described = {int(status) for routes in World().app().openapi()["paths"].values() for told in routes.values()
                 for status in told["responses"] if int(status) >= 400}
    assert described - TITLES.keys() == set()


def literals(path: Path) -> Iterator[str]:
    """The first text of each refusal that a module raises, with {} for what is put in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in REFUSALS:
            for text in node.args[:2]:
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield text.value
                elif isinstance(text, ast.JoinedStr):
                    yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in text.values)


@pytest.mark.parametrize("path", TOLD_BY, ids=lambda path: path.stem)
def test_every_refusal_has_russian_words(path: Path) -> None:
    told = [text for text in literals(path) if re.search("[A-Za-z]", text)]
    lacking = [text for text in told if not re.search("[а-яё]", said_in_sentences(text.replace("{}", "7"), "ru"))]
    assert lacking == [text for text in lacking if text == "There is no such {}."]


def test_everything_that_may_be_missing_has_russian_words() -> None:
    found = {what for path in (ROOT / "adapters/web").glob("*.py")
             for what in re.findall(r'not_found\("([a-z ]+)"\)', path.read_text(encoding="utf-8"))}
    assert len(found) > 4
    for what in found:
        assert re.search("[а-яё]", said(problems.not_found(what).detail, "ru")), what


@pytest.mark.parametrize("path", sorted((ROOT / "model_repository").glob("*/config.pbtxt")),
                         ids=lambda path: path.parent.name)
def test_every_models_status_has_russian_words(path: Path) -> None:
    (status,) = re.findall(r'key: "status"\s+value \{\s+string_value: "([^"]*)"', path.read_text(encoding="utf-8"))
    for part in re.split("[;:]", said(status, "ru")):
        assert re.search("[а-яё]", part), said(status, "ru")
