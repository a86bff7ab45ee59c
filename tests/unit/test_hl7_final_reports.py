"""Final reports of others: which study they are about, and that preliminary ones say nothing."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from adapters.hl7.content.final_reports import final_reports
from adapters.hl7.content.orders import orders
from adapters.hl7.content.oru import OruEncoder
from adapters.hl7.content.segments import read
from gateway.orders import FinalReport, PlaceOrder
from gateway.study import Patient
from tests.builders import reading
from tests.hl7_samples import PID, fields, msh, order


def report(*statuses: str, extra: str = "") -> bytes:
    lines = [msh("ORU^R01^ORU_R01"), PID]
    for number, status in enumerate(statuses, 1):
        lines += ["ORC|RE|PL1^HIS", fields("OBR", {1: str(number), 2: "PL1^HIS", 3: "FI1^RIS", 4: "24627-2^CT Chest^LN",
                                                   18: "ACC-77", 25: status})]
    return "\r".join([*lines, *([extra] if extra else [])]).encode() + b"\r"


@pytest.mark.parametrize(("statuses", "finals"), [(["F"], 1), (["C"], 1), (["f", "P"], 1), (["P"], 0), (["I", ""], 0)])
def test_only_final_and_corrected_reports_count(statuses: list[str], finals: int) -> None:
    assert len(final_reports(read(report(*statuses)), "SITE")) == finals


def test_the_report_names_the_order_that_the_ris_placed() -> None:
    (found,) = final_reports(read(report("F", extra="OBX|1|ST|113014^DICOM Study^DCM||1.2.3.4||||||F")), "SITE")
    (placed,) = orders(read(order()), "SITE", ZoneInfo("UTC"))
    assert isinstance(placed, PlaceOrder)
    assert isinstance(found, FinalReport)
    assert found == FinalReport("SITE", found.patient, "ACC-77", placed.order.order_id, "1.2.3.4")
    assert (found.patient.patient_id, found.patient.issuer) == ("1001", "HOSP")


def test_our_own_result_sent_back_is_no_final_report() -> None:
    document = OruEncoder({}).encode(reading("ct"), None, "")
    assert final_reports(read(document.content), "SITE") == ()


def test_without_placer_and_accession_number_the_filler_number_stands_for_it() -> None:
    raw = "\r".join([msh("ORU^R01"), PID, fields("OBR", {3: "FI1", 25: "F"})]).encode()
    (found,) = final_reports(read(raw), "SITE")
    assert found == FinalReport("SITE", Patient("1001", "HOSP", "Muster^Erika^Anna^Dr.^III", "19611112", "F"), "FI1")
