"""Our structured reports judged by tools of others: dciodvfy, DCMTK's dsrdump and PixelMed's SR validator."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from adapters.dicom.content.conform import conform
from adapters.dicom.content.sr import StructuredReportEncoder
from adapters.dicom.transport import tools
from gateway.case import Completeness, Reading
from gateway.result import ImageRegion, WaveformRegion
from tests import builders
from tests.builders import reading
from tests.real_studies import CHEST_CT, study_of

pytestmark = pytest.mark.peer

PIXELMED = Path("/usr/share/java/pixelmed.jar")
UNLIMITED = ("-Djdk.xml.xpathExprGrpLimit=0", "-Djdk.xml.xpathExprOpLimit=0", "-Djdk.xml.xpathTotalOpLimit=0",
             "-Xss16m")
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
PRIVATE = ("Overall Assessment", "Presence of property", "Conclusion", "Comment", "Quality problem")


def real_ecg() -> Reading:
    return reading("ecg", study=study_of([Path(str(get_testdata_file("waveform_ecg.dcm")))]))


def anonymous() -> Reading:
    who = builders.patient(patient_id="", issuer="", name="", birth_date="", sex="")
    return reading("ct", study=builders.study(of=who, study_uid="1.2.3", accession_number="", order=None, tags={
        "StudyDate": "", "StudyTime": "", "StudyID": "", "ReferringPhysicianName": "", "StudyDescription": ""}))


def multi_frame() -> Reading:
    study = builders.study("ct", instances=1, tags={"NumberOfFrames": 120})
    (series,) = study.series
    enhanced = replace(series.instances[0], sop_class_uid=ENHANCED_CT)
    of = reading("ct", study=replace(study, series=(replace(series, instances=(enhanced,)),)))
    return located(of, ImageRegion(of.result.evidence[0], 0, 0, 512, 512, 77))


def located(of: Reading, region: ImageRegion | WaveformRegion) -> Reading:
    first, second, *others = of.result.findings
    told = (replace(first, region=region), replace(second, region=region), *others)
    return replace(of, result=replace(of.result, findings=told))


def channels_only() -> Reading:
    of = reading("ecg")
    return located(of, WaveformRegion(of.result.evidence[0], ((1, 1), (1, 12))))


READINGS: dict[str, Callable[[], Reading]] = {
    **{f"{kind}-{verdict}": lambda kind=kind, verdict=verdict: reading(kind, verdict)
       for kind in ("ct", "ecg") for verdict in ("normal", "pathology", "undetermined")},
    "real-ecg": real_ecg,
    "anonymous": anonymous,
    "multi-frame": multi_frame,
    "channels-only": channels_only,
    "no-accession-number": lambda: reading("ct", study_fields={"accession_number": "", "order": None}),
    "accession-issuer": lambda: reading("ct", study_fields={"accession_issuer": "RIS"}),
    "cyrillic": lambda: reading("ecg", language="ru", study_fields={"of": builders.patient(name="Иванова^Анна")}),
    "chinese": lambda: reading("ct", study_fields={"of": builders.patient(name="Wang^XiaoDong=王^小东")}),
    "no-findings": lambda: reading("ct", "undetermined", findings=(), completeness=Completeness.PARTIAL,
                                   result_fields={"measurements": (), "evidence": ()}),
    "two-models": lambda: reading("ct", result_fields={"provenance": builders.Provenance(
        "chest_ct", "1.0.0", (builders.model("ct"), builders.model("ecg")))}),
    "predecessor": lambda: reading("ct", run_fields={"predecessor_run_id": "a" * 24, "predecessor_sr_uid": "2.25.7"}),
    "300-slices": lambda: reading("ct", study_fields={"instances": 300}),
}


def written(of: Reading, folder: Path) -> Path:
    path = folder / "report.dcm"
    path.write_bytes(StructuredReportEncoder().encode(of, None, "").content)
    return path


@pytest.mark.skipif(not (shutil.which("dciodvfy") and shutil.which("dsrdump")),
                    reason="dciodvfy (dicom3tools) or dsrdump (dcmtk) is not installed")
@pytest.mark.parametrize("name", READINGS)
def test_dciodvfy_and_dsrdump_find_nothing(name: str, tmp_path: Path) -> None:
    (told,) = conform([written(READINGS[name](), tmp_path)])
    assert told.checked_by == ("own", "dciodvfy", "dsrdump")
    assert told.problems == ()


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy (dicom3tools) is not installed")
def test_dciodvfy_would_find_something(tmp_path: Path) -> None:
    path = written(reading("ct"), tmp_path)
    path.write_bytes(path.read_bytes().replace(b"PRELIMINARY ", b"PROVISIONAL "))
    judged = tools.dciodvfy(path)
    assert judged
    assert judged.problems


@pytest.mark.skipif(not shutil.which("dsrdump"), reason="dsrdump (dcmtk) is not installed")
def test_dsrdump_would_find_something(tmp_path: Path) -> None:
    path = written(reading("ct"), tmp_path)
    path.write_bytes(path.read_bytes().replace(b"HAS CONCEPT MOD ", b"HAS NO RELATION "))
    judged = tools.dsrdump(path)
    assert judged
    assert judged.problems


@pytest.mark.data
@pytest.mark.skipif(not CHEST_CT.exists(), reason="../shared/data/chest-ct-lungdx is not here")
@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy (dicom3tools) is not installed")
def test_report_of_a_real_ct(tmp_path: Path) -> None:
    files = sorted(CHEST_CT.glob("*.dcm"))
    told = conform([written(reading("ct", study=study_of(files)), tmp_path), *files])[0]
    assert told.problems == ()
    assert len(files) == 64


def validated(path: Path) -> list[str]:
    """PixelMed's lines of error and warning. Without the Java flags it dies and still exits 0."""
    jars = ":".join(str(jar) for jar in sorted(PIXELMED.parent.glob("*.jar")) if "slf4j" not in jar.name)
    done = subprocess.run(["java", *UNLIMITED, "-cp", f"{PIXELMED}:{jars}", "com.pixelmed.validate.DicomSRValidator",
                           str(path)], capture_output=True, text=True, timeout=240, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert "IOD validation complete" in lines, "the validator did not come to its end"
    return [line for line in lines if line.startswith(("Error", "Warning"))]


def expected(line: str) -> bool:
    """Private evaluations are not in its template of 2022; an ECG has no code in CID 100, which is for imaging."""
    private = line.endswith("Content Item not in template") and any(f'"{name}")' in line for name in PRIVATE)
    return private or '(11524-6,LN,"EKG study") not found in context group 100' in line


@pytest.mark.slow
@pytest.mark.skipif(not (PIXELMED.exists() and shutil.which("java")), reason="pixelmed-apps is not installed")
@pytest.mark.parametrize("name", ["ct-pathology", "ecg-pathology", "no-findings", "multi-frame"])
def test_pixelmed_is_not_surprised(name: str, tmp_path: Path) -> None:
    lines = validated(written(READINGS[name](), tmp_path))
    assert lines, "private evaluations are told"
    assert [line for line in lines if not expected(line)] == []
