"""Results in the site's language: what people read changes, what machines read does not."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

import pipelines
from adapters.dicom.content import (
    volume,
    volume_frames,
    volume_pixels,
    volume_stack,
    waveform_group,
    waveform_read,
    words,
)
from gateway.case import Reading
from gateway.codes import Code
from gateway.pipeline import Analysis, EcgSheet, KeyImage
from gateway.result import Finding, Measurement, Problem, Provenance, Result, Verdict, risk_of
from gateway.result_json import from_json, to_json
from gateway.translation import OWN_WORDS, in_language, translated, worded
from tests.builders import reading
from tests.contract.encoders import SUBJECTS, Subject
from tests.waveforms import LEADS, beats

PACKAGES = [package for package in (importlib.import_module(f"pipelines.{module.name}")
                                    for module in pkgutil.iter_modules(pipelines.__path__) if module.ispkg)
            if hasattr(package, "PIPELINE")]
RATE = Measurement(Code("8867-4", "LN", "Heart rate"), 72, Code("{H.B.}/min", "UCUM", "heart beats per minute"))
AFIB = Finding("AFIB", Code("164889003", "SCT", "Electrocardiogram: atrial fibrillation"), "Atrial fibrillation", 0.9,
               0.5, 0.7)
PVC = Finding("PVC", Code("427172004", "SCT", "Premature ventricular contraction"), "Premature ventricular complexes",
              0.8, 0.5, 0.4)
RUSSIAN = importlib.import_module("pipelines.ecg_12lead.words").WORDS["ru"]


def result(*findings: Finding, verdict: Verdict = Verdict.PATHOLOGY, **fields: Any) -> Result:
    fields = {"measurements": (RATE,), "summary": "Atrial fibrillation (probability 0.90). Heart rate 72/min."} | fields
    return Result(verdict, risk_of(findings), findings, Provenance("ecg_12lead", "1"), (), **fields)


# ------------------------------------------------------------ one text


@pytest.mark.parametrize(("text", "told"), [
    ("only 3 of 16", "3 из 16"), ("only x", "only x"), ("refused: too short", "отказ: коротко"),
    ("refused: 3 apples", "отказ: 3 apples"), ("exact {}", "точно {}"), ("a.b 1", "a.b 1"), ("", ""),
])
def test_worded(text: str, told: str) -> None:
    table = {"only {} of {}": "{} из {}", "refused: {}": "отказ: {}", "too short": "коротко", "exact {}": "точно {}",
             "a+b {}": "да {}", "{}": "всё {}"}
    assert worded(text, table) == told


def test_what_is_put_in_is_no_template() -> None:
    assert worded("refused: {}{0}", {"refused: {}": "отказ: {}"}) == "отказ: {}{0}"


@given(st.text(max_size=60))
def test_any_text_has_an_answer(text: str) -> None:
    assert worded(text, {"{} is {}": "{} это {}"}) is not None


# ------------------------------------------------------------ a result


def test_english_is_identity() -> None:
    told = result(AFIB)
    analysis = Analysis(told)
    assert translated(told, RUSSIAN, "en") is told
    assert in_language(analysis, RUSSIAN, "en") is analysis


def test_words_change_and_nothing_else() -> None:
    source = result(AFIB, problems=(Problem("too-short", "The recording lasts 5.0 s; at least 8 s is needed."),))
    told = translated(source, RUSSIAN, "ru")
    assert told.findings[0].display == "Фибрилляция предсердий"
    assert told.problems == (Problem("too-short", "Запись длится 5.0 с; нужно не менее 8 с."),)
    assert told.measurements[0].name == "Частота сердечных сокращений"
    assert told.summary == "Фибрилляция предсердий (вероятность 0.90). Частота сердечных сокращений 72 уд/мин."
    back = replace(told, findings=source.findings, problems=source.problems, measurements=source.measurements,
                   summary=source.summary)
    assert back == source
    assert told.findings[0] == replace(AFIB, display="Фибрилляция предсердий")
    assert (told.measurements[0].code, told.measurements[0].value, told.measurements[0].unit) == (
        RATE.code, RATE.value, RATE.unit)


def test_what_has_no_translation_stays_english() -> None:
    told = translated(result(AFIB, problems=(Problem("odd", "Something odd."),)), {}, "ru")
    assert told.findings == (AFIB,)
    assert told.problems[0].text == "Something odd."
    assert told.summary == "Atrial fibrillation (вероятность 0.90). Heart rate 72 heart beats per minute."


def test_the_summary_names_what_the_english_one_names_the_most_urgent_first() -> None:
    both = "Premature ventricular complexes and Atrial fibrillation."
    assert translated(result(PVC, AFIB, summary=both), RUSSIAN, "ru").summary == (
        "Фибрилляция предсердий (вероятность 0.90); Желудочковая экстрасистолия (вероятность 0.80).")
    assert "экстрасистолия" not in translated(result(PVC, AFIB), RUSSIAN, "ru").summary
    assert "экстрасистолия" in translated(result(PVC, AFIB, summary="Two things."), RUSSIAN, "ru").summary


def test_undetermined_says_why_and_never_sounds_normal() -> None:
    other = Problem("other-abnormality-not-excluded", "other abnormality not excluded")
    absent = replace(AFIB, probability=0.1)
    looked = translated(result(absent, verdict=Verdict.UNDETERMINED, problems=(other,)), RUSSIAN, "ru").summary
    unread = translated(result(verdict=Verdict.UNDETERMINED, problems=(other,), measurements=()), RUSSIAN, "ru").summary
    assert looked.startswith("Признаки не найдены, но исследование не признано нормой: другая патология не исключена.")
    assert unread == "Исследование не удалось прочитать: другая патология не исключена."


def test_a_normal_summary() -> None:
    normal = result(replace(AFIB, probability=0.1), verdict=Verdict.NORMAL, summary="Normal ECG. Heart rate 72/min.")
    assert translated(normal, RUSSIAN, "ru").summary == (
        "Ни один из искомых признаков не найден. Частота сердечных сокращений 72 уд/мин.")


def test_a_translated_result_is_stored_whole_and_one_from_before_is_still_read() -> None:
    told = translated(result(AFIB), RUSSIAN, "ru")
    assert from_json(to_json(told)) == told
    old = to_json(result(AFIB))
    del old["measurements"][0]["display"], old["measurements"][0]["unit_display"]
    assert from_json(old) == result(AFIB)


def test_the_caption_of_a_picture_is_translated() -> None:
    table = importlib.import_module("pipelines.chest_ct.words").WORDS["ru"]
    image = KeyImage(np.zeros((2, 2), np.uint8), None, "slice 31 of 64, lung window")
    told = in_language(Analysis(result(AFIB), image), table, "ru").picture
    assert isinstance(told, KeyImage)
    assert told.caption == "срез 31 из 64, лёгочное окно"


# ------------------------------------------------------------ nothing is forgotten


def strings(node: ast.expr, module: ModuleType) -> list[str]:
    """The texts that an expression may give; `{}` where a value is put in. Names are looked up in the module."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return ["".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in parts)]
        case ast.Subscript(value=ast.Name(id=name)):
            return list(getattr(module, name).values())
    return []


def said(module: ModuleType, calls: frozenset[str]) -> list[str]:
    """The last positional text of every call of those names in a module's source."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    return [text for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in calls and node.args
            for text in strings(node.args[-1], module)]


def is_told(text: str, table: dict[str, str]) -> bool:
    """A translation that fits the text, or one for each sentence that the text becomes."""
    pattern = ".+?".join(re.escape(part) for part in text.split("{}"))
    return worded(text, table) != text or any(re.fullmatch(pattern, english) for english in table)


def modules_of(package: ModuleType) -> list[ModuleType]:
    names = [m.name for m in pkgutil.iter_modules(package.__path__)]
    serving = [n for n in names if n not in {"train", "export", "network", "validate", "synthetic", "augment"}]
    own = [importlib.import_module(f"{package.__name__}.{name}") for name in serving]
    return own + [importlib.import_module(name) for name in sorted({n for m in own for n in shared_by(m)})]


def shared_by(module: ModuleType) -> set[str]:
    """The modules that it takes from folders under pipelines/ that are no readers themselves."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    taken = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    packages = {package.__name__ for package in PACKAGES}
    return {name for name in taken if name.count(".") == 2 and name.startswith("pipelines.")
            and name.rpartition(".")[0] not in packages}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: str(p.__name__))
def test_every_problem_and_finding_of_a_pipeline_has_russian_words(package: ModuleType) -> None:
    table = package.PIPELINE.words["ru"]
    labels = importlib.import_module(f"{package.__name__}.labels").LABELS
    problems = [text for module in modules_of(package) for text in said(module, frozenset({"Problem"}))]
    assert len(problems) > 5
    assert len(labels) >= 2
    assert [text for text in problems if not is_told(text, table)] == []
    assert [label.display for label in labels if label.display not in table] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: str(p.__name__))
def test_every_measurement_of_a_pipeline_has_russian_words(package: ModuleType) -> None:
    table = package.PIPELINE.words["ru"]
    codes = {code.meaning for module in modules_of(package) for code in vars(module).values()
             if isinstance(code, Code) and code.scheme in {"99TRIAGE", "LN", "UCUM"}}
    assert len(codes) >= 4
    assert codes - table.keys() == set()


def test_every_problem_and_refusal_of_the_loaders_has_russian_words() -> None:
    calls = frozenset({"Problem", "Unusable"})
    loaders = (volume, volume_frames, volume_pixels, volume_stack, waveform_read, waveform_group)
    texts = [text for module in loaders for text in said(module, calls)]
    assert len(texts) > 30
    assert [text for text in texts if not is_told(text, words.WORDS["ru"])] == []


@pytest.mark.parametrize("table", [*(p.PIPELINE.words["ru"] for p in PACKAGES), words.WORDS["ru"], OWN_WORDS["ru"]])
def test_every_translation_is_russian_and_takes_what_its_english_gives(table: dict[str, str]) -> None:
    for english, russian in table.items():
        assert english.count("{}") == russian.count("{}"), english
        assert re.search("[а-яё]", russian) or russian in {"%", "HU"}, english


# ------------------------------------------------------------ the documents


def russian_reading() -> Reading:
    of: Reading = reading("ecg", language="ru")
    told = translated(replace(of.result, findings=(AFIB, PVC), measurements=(RATE,), summary="Atrial fibrillation."),
                      RUSSIAN, "ru")
    return replace(of, result=replace(told, risk=risk_of(told.findings)))


@pytest.mark.parametrize("subject", [s for s in SUBJECTS if s.name != "sc"], ids=str)
def test_documents_name_the_finding_in_russian_and_the_code_in_english(subject: Subject) -> None:
    of = russian_reading()
    encoder = subject.build()
    document = encoder.encode(of, None, "RIS" if encoder.per_destination else "")
    assert document is not None
    assert "Фибрилляция предсердий" in document.content.decode("utf-8", "replace")
    assert b"Electrocardiogram: atrial fibrillation" in document.content
    assert b"Heart rate" in document.content
    assert encoder.read_back(document).findings == {"AFIB": (0.9, True), "PVC": (0.8, True)}


def test_the_fhir_report_shows_measurements_in_russian() -> None:
    (subject,) = [s for s in SUBJECTS if s.name == "diagnostic_report"]
    document = subject.build().encode(russian_reading(), None, "")
    assert document is not None
    assert '"text":"Частота сердечных сокращений"' in document.content.decode()
    assert '"unit":"уд/мин"' in document.content.decode()


def test_the_picture_is_drawn_with_russian_words() -> None:
    (subject,) = [s for s in SUBJECTS if s.name == "sc"]
    of = russian_reading()
    sheet = EcgSheet(beats(), 500.0, LEADS)
    told = subject.build().encode(of, sheet, "")
    other = subject.build().encode(replace(of, result=translated(of.result, {"Фибрилляция предсердий": "?"}, "ru")),
                                   sheet, "")
    assert told is not None
    assert other is not None
    assert dcmread(BytesIO(told.content)).PixelData != dcmread(BytesIO(other.content)).PixelData
