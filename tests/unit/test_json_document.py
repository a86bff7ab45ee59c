"""The JSON document of a result."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from adapters.files.json_document import JsonEncoder, check
from gateway.case import Completeness
from gateway.errors import Permanent
from gateway.result import Measurement
from gateway.result_json import from_json
from tests import builders
from tests.builders import reading


def form(of: builders.Reading) -> dict[str, object]:
    told: dict[str, object] = json.loads(JsonEncoder().encode(of, None, "").content)
    return told


def test_it_names_case_run_patient_and_times() -> None:
    of = reading("ecg", run_fields={"number": 2, "predecessor_run_id": "a" * 24})
    told = form(of)
    assert (told["case_id"], told["run_id"], told["run_number"]) == (of.run.case_id, of.run.run_id, 2)
    assert (told["predecessor_run_id"], told["created_at"]) == ("a" * 24, "2026-03-14T09:26:53.589793Z")
    study = told["study"]
    assert isinstance(study, dict)
    assert study["patient"] == {"patient_id": "P-1001", "issuer": "HOSP", "name": "Muster^Erika^^Dr.",
                                "birth_date": "19611112", "sex": "F"}
    assert (study["accession_number"], study["placer_order_number"]) == ("ACC-77", "PL-1")
    assert told["status"] == "preliminary"


def test_the_result_comes_back_whole() -> None:
    of = reading("ct")
    told = form(of)
    assert isinstance(told["result"], dict)
    assert from_json(told["result"]) == of.result


def test_notices_in_the_sites_language() -> None:
    of = reading("ct", "undetermined", completeness=Completeness.PARTIAL, language="ru")
    assert form(of)["notices"] == [
        "Анализ не завершён: это не нормальный результат", "Исследование получено не полностью",
        "Демонстрационная модель, не для клинического применения",
        "Для поддержки принятия решений; требует подтверждения врачом"]


def test_text_is_utf_8_and_keys_are_sorted() -> None:
    of = reading("ct", study_fields={"of": builders.patient(name="Иванова^Анна")})
    content = JsonEncoder().encode(of, None, "").content
    assert "Иванова^Анна".encode() in content
    assert list(json.loads(content)) == sorted(json.loads(content))


def test_what_is_no_number_is_refused() -> None:
    odd = Measurement(builders.Code("8867-4", "LN", "Heart rate"), float("nan"), builders.NO_UNITS)
    with pytest.raises(Permanent):
        JsonEncoder().encode(reading("ecg", result_fields={"measurements": (odd,)}), None, "")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"result": 1}', b"\xff"])
def test_check_names_what_is_no_document_of_ours(content: bytes) -> None:
    assert check(content)[0].startswith("no result document of ours")


def test_check_accepts_ours() -> None:
    document = JsonEncoder().encode(reading("ct"), None, "")
    assert check(document.content) == []
    assert check(replace(document, content=b"\n" + document.content).content) == []
