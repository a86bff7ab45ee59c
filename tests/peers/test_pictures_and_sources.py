"""What others say of the objects made here: dciodvfy of all of them, PixelMed's ECG reader of the waveforms."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.dicom.content.ct_write import write_ct, write_mr
from adapters.dicom.content.secondary_capture import SecondaryCaptureEncoder
from adapters.dicom.content.sr import StructuredReportEncoder
from adapters.dicom.content.waveform_write import write_ecg
from gateway.documents import Encoder
from gateway.pipeline import EcgSheet, KeyImage
from gateway.study import Patient
from tests.builders import patient, reading
from tests.peers.dcmtk import run
from tests.waveforms import LEADS, RECORDED, beats, ecg_source

PIXELMED = Path("/usr/share/java/pixelmed.jar")
NEEDS_DCIODVFY = pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy (Debian dicom3tools) is not here")
READER = """
import com.pixelmed.dicom.DicomInputStream;
import com.pixelmed.displaywave.DicomSourceECG;
public class Reader {
    public static void main(String[] arguments) throws Exception {
        DicomSourceECG ecg = new DicomSourceECG(new DicomInputStream(new java.io.File(arguments[0])));
        System.out.println("rate " + 1000 / ecg.getSamplingIntervalInMilliSeconds());
        for (int i = 0; i < ecg.getNumberOfChannels(); i++) {
            StringBuilder line = new StringBuilder("lead " + ecg.getChannelNames()[i].replace(' ', '_'));
            for (short sample : ecg.getSamples()[i])
                line.append(' ').append(sample * ecg.getAmplitudeScalingFactorInMilliVolts()[i]);
            System.out.println(line);
        }
    }
}
"""

pytestmark = pytest.mark.peer


def faults(folder: Path, content: bytes) -> list[str]:
    path = folder / "object.dcm"
    path.write_bytes(content)
    said = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    lines = (said.stdout + said.stderr).splitlines()
    assert lines
    return [line for line in lines if line.startswith("Error")]


@pytest.mark.parametrize("encoder", [StructuredReportEncoder(), SecondaryCaptureEncoder()], ids=["sr", "sc"])
@pytest.mark.parametrize("name", ["Zhang^XiaoDong=张^小东", "Hong^Gildong=洪^吉洞=홍^길동", "Œuvre^Šárka"])
def test_dcmdump_reads_the_names(encoder: Encoder, name: str, tmp_path: Path) -> None:
    path = tmp_path / "object.dcm"
    path.write_bytes(encoder.encode(reading("ct", study_fields={"of": patient(name=name)}), None, "").content)
    assert f"[{name}]" in run("dcmdump", "+U8", "+P", "PatientName", path).stdout


def series(write: Any) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 900, (2, 32, 48)).astype(np.int16)
    return bytes(write(pixels, (2.5, 0.7, 0.8), Patient("P-1", "HOSP", "Иванов^Иван", "19500102", "M"), key=("k",),
                       accession_number="A-1", recorded_at=RECORDED, description="Грудная клетка")[1])


SOURCES = {
    "12-lead": write_ecg(ecg_source(beats())),
    "long": write_ecg(ecg_source(beats(seconds=40))),
    "slow": write_ecg(ecg_source(beats(rate=100), 100)),
    "fast": write_ecg(ecg_source(beats(rate=2000), 2000)),
    "holter": write_ecg(ecg_source(beats(2), leads=("V5", "MLII"), age_years=None)),
    "bare": write_ecg(ecg_source(beats(), 257.3, patient=Patient("X"), description="", accession_number="")),
    "ct": series(write_ct),
    "mr": series(write_mr),
}


@NEEDS_DCIODVFY
@pytest.mark.parametrize("name", SOURCES)
def test_sources_are_clean(tmp_path: Path, name: str) -> None:
    assert faults(tmp_path, SOURCES[name]) == []


@NEEDS_DCIODVFY
@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("verdict", ["normal", "pathology", "undetermined"])
def test_pictures_are_clean(tmp_path: Path, verdict: str, language: str) -> None:
    encoder = SecondaryCaptureEncoder()
    ecg, ct = (reading(kind, verdict, language=language) for kind in ("ecg", "ct"))
    image = KeyImage(np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.float32), "Slice 3",
                     source=(ct.study.instances[2].sop_instance_uid, 1))
    for of, picture in ((ecg, EcgSheet(beats(), 500.0, LEADS)), (ct, image), (ct, None), (ecg, None)):
        assert faults(tmp_path, encoder.encode(of, picture, "").content) == []


@pytest.mark.skipif(not (PIXELMED.exists() and shutil.which("javac")), reason="PixelMed and a JDK are not here")
def test_pixelmed_reads_the_same_recording(tmp_path: Path) -> None:
    path, program = tmp_path / "ecg.dcm", tmp_path / "Reader.java"
    path.write_bytes(write_ecg(ecg_source(beats(seconds=2))))
    program.write_text(READER)
    said = subprocess.run(["java", "-cp", f"{PIXELMED}:/usr/share/java/*", str(program), str(path)],
                          capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [line.split() for line in said if line.startswith("lead ")]
    assert "rate 500.0" in said
    assert [row[1].rsplit("_", 1)[-1] for row in rows] == list(LEADS)
    np.testing.assert_allclose(np.array([row[2:] for row in rows], dtype=float), beats(seconds=2), atol=0.0001)
