"""Files that are no DICOM become DICOM objects that say the same; hostile ones are refused in words."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
from collections.abc import Callable
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread

from adapters.files.aecg_source import read_aecg
from adapters.files.conversion import Conversion
from adapters.files.nifti_source import read_nifti
from adapters.files.npy_source import read_npy
from adapters.files.xml_tree import parse_xml
from gateway.errors import Unusable
from tests.waveforms import LEADS, beats

AT = 1_700_000_000.0


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def aecg(signal: Any = None, *, head: str = "", digits: str | None = None, leads: tuple[str, ...] = LEADS) -> bytes:
    """An AnnotatedECG as the standard's example writes it; `signal`: (leads, samples) mV."""
    signal = beats()[:, :500] if signal is None else signal
    sequences = "".join(
        f'<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}" codeSystem="2.16.840.1.113883.6.24"/>'
        f'<value xsi:type="SLIST_PQ"><origin value="0" unit="uV"/><scale value="2.5" unit="uV"/><digits>'
        f'{digits if digits is not None else " ".join(str(round(v * 400)) for v in row)}</digits></value>'
        f"</sequence></component>" for lead, row in zip(leads, signal, strict=True))
    return f"""<?xml version="1.0" encoding="UTF-8"?>{head}
<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<id root="61d1a24f-b47e-41aa-ae95-f8ac302f4eeb"/><code code="93000"/>
<effectiveTime><low value="20021122091000"/></effectiveTime>
<componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject>
<id root="2.16.840.1.113883.3.4" extension="SBJ_1_1"/><subjectDemographicPerson>
<name><family>Doe</family><given>Jane</given></name>
<administrativeGenderCode code="F"/><birthTime value="19530508"/></subjectDemographicPerson>
</trialSubject></subject></subjectAssignment></componentOf></timepointEvent></componentOf>
<component><series><code code="REPRESENTATIVE_BEAT"/></series></component>
<component><series><code code="RHYTHM"/><effectiveTime><low value="20021122091000.000+0100"/></effectiveTime>
<component><sequenceSet><component><sequence><code code="TIME_ABSOLUTE"/>
<value xsi:type="GLIST_TS"><head value="20021122091000.000"/><increment value="0.002" unit="s"/></value>
</sequence></component>{sequences}</sequenceSet></component></series></component></AnnotatedECG>""".encode()


def nifti(voxels: Any, affine: Any = None, *, code: int = 4, **changes: Any) -> bytes:
    """NIfTI-1 of `voxels` (i, j, k) int16 with an sform; `changes`: offset → (format, value) of the header."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *voxels.shape, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, code, 16)
    struct.pack_into("<8f", header, 76, 1, 2, 2, 3, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    header[123] = 2
    affine = np.array([[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 3, 0]]) if affine is None else affine
    struct.pack_into("<2h", header, 252, 0, 1)
    struct.pack_into("<12f", header, 280, *np.asarray(affine, dtype=float).ravel())
    header[344:348] = b"n+1\0"
    for offset, (kind, value) in changes.items():
        struct.pack_into(kind, header, int(offset.removeprefix("at")), value)
    return bytes(header) + np.asarray(voxels, dtype="<i2").ravel(order="F").tobytes()


def chest() -> Any:
    """(i, j, k): air but for a mark to the patient's left, back and top (NIfTI's +R, +A, +S axes)."""
    voxels = np.full((6, 5, 4), -1000, np.int16)
    voxels[0, 0, 3] = 700
    return voxels


def objects(content: bytes, name: str, conversion: Conversion | None = None) -> list[Dataset]:
    converting = conversion or Conversion()
    kind = converting.kind(content[:4096])
    return [dcmread(io.BytesIO(made)) for made in converting.objects(kind, content, name, AT)]


# ------------------------------------------------------------ NumPy


def test_an_array_of_twelve_leads_either_way_round() -> None:
    rows, columns = read_npy(npy(beats()), "x/rec.npy", AT), read_npy(npy(np.asfortranarray(beats().T)), "c.npy", AT)
    np.testing.assert_array_equal(rows.signal, columns.signal)
    assert (rows.leads, rows.rate, rows.patient.patient_id) == (LEADS, 500, "rec")
    assert rows.key == columns.key
    (made,) = objects(npy(beats()), "rec.npy")
    assert (made.SOPClassUID.name, made.PatientID) == ("12-lead ECG Waveform Storage", "rec")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was opened",))


def header(told: str) -> bytes:
    return b"\x93NUMPY\1\0" + struct.pack("<H", 80) + told.ljust(80).encode()


@pytest.mark.parametrize("content", [
    npy(beats(5)), npy(np.zeros((12, 10, 2))), npy(np.zeros((12, 10), complex)), npy(beats() * 1000), b"\x93NUMPY",
    npy(np.full((12, 10), np.nan)), npy(beats())[:-4], npy(beats()) + b"x", pickle.dumps(Evil()),
    header("{'descr': '<f8', 'fortran_order': False, 'shape': (12, 9999999999999), }"),
    header("{'descr': '|O', 'fortran_order': False, 'shape': (12, 1), }") + pickle.dumps(Evil())], ids=range(11))
def test_other_arrays_and_pickles_are_refused(content: bytes) -> None:
    with pytest.raises(Unusable):
        read_npy(content, "x.npy", AT)


# ------------------------------------------------------------ aECG


def test_an_annotated_ecg_tells_signal_patient_and_time() -> None:
    source = read_aecg(aecg(), zone=ZoneInfo("Europe/Moscow"))
    np.testing.assert_allclose(source.signal, beats()[:, :500], atol=0.0013)
    assert (source.leads, source.rate) == (LEADS, 500)
    assert (source.patient.patient_id, source.patient.name, source.patient.birth_date, source.patient.sex) == (
        "SBJ_1_1", "Doe^Jane", "19530508", "F")
    assert source.recorded_at.astimezone(UTC).isoformat() == "2002-11-22T08:10:00+00:00"
    assert read_aecg(aecg()).key == source.key
    (made,) = objects(aecg(), "a.xml")
    assert (made.SOPClassUID.name, made.PatientID, made.StudyDate) == (
        "12-lead ECG Waveform Storage", "SBJ_1_1", "20021122")


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
THIEF = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(("content", "word"), [
    (aecg(head=BOMB), "document type"), (aecg(head=THIEF), "document type"), (b"<x/>", "no HL7"),
    (b"<AnnotatedECG/>", "no HL7"), (aecg()[:3000], "well-formed"), (aecg(digits="1 2 &amp; 3"), "no numbers"),
    (aecg(digits=""), "no samples"), (aecg(digits="1e400 1"), "not finite"), (aecg(digits="nan 1"), "not finite"),
    (aecg(leads=("I",) * 12), "twice"), (b"<a>" * 100 + b"</a>" * 100, "nested"),
    (aecg().replace(b'increment value="0.002"', b'increment value="0"'), "length of time"),
    (aecg().replace(b'unit="uV"', b'unit="m"'), "no voltage"),
    (aecg().replace(b"20021122091000", b"19999999999999"), "time"),
    (b'<?xml version="1.0" encoding="x-none"?><a/>', "well-formed"), (b"\xff\xfe\x00", "well-formed")])
def test_hostile_xml_is_refused_in_words(content: bytes, word: str) -> None:
    with pytest.raises(Unusable, match=word):
        read_aecg(content)


def test_xml_of_too_many_elements_is_refused() -> None:
    with pytest.raises(Unusable, match="too many"):
        parse_xml(b"<a>" + b"<b/>" * 50_001 + b"</a>")


# ------------------------------------------------------------ NIfTI


@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gz"])
def test_a_volume_becomes_axial_slices_in_the_patients_order(packed: Callable[[bytes], bytes]) -> None:
    made = objects(packed(nifti(chest())), "p7.nii.gz")
    assert [ds.SOPClassUID.name for ds in made] == ["CT Image Storage"] * 4
    assert (made[0].PatientID, len({ds.SOPInstanceUID for ds in made})) == ("p7", 4)
    assert (list(made[0].PixelSpacing), made[0].SliceThickness) == ([2, 2], 3)
    pixels = np.stack([ds.pixel_array for ds in made])
    # i = 0 is the patient's left under +R: the last column; j = 0 is the back under +A: the last row; k = 3 the top
    assert [tuple(map(int, place)) for place in np.argwhere(pixels == 700)] == [(3, 4, 5)]
    assert made[3].ImagePositionPatient[2] > made[0].ImagePositionPatient[2]


@pytest.mark.parametrize(("axes", "place"), [
    ([[-2, 0, 0, 0], [0, -2, 0, 0], [0, 0, 3, 0]], (3, 0, 0)), ([[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, -3, 0]], (0, 4, 5)),
    ([[0, 0, 3, 0], [2, 0, 0, 0], [0, 2, 0, 0]], (0, 5, 0))])
def test_whatever_the_stored_axes_are_the_mark_lies_where_it_is(axes: Any, place: tuple[int, ...]) -> None:
    volume = read_nifti(nifti(chest(), axes))
    stack = np.stack(list(volume.slices()))
    assert tuple(map(int, np.argwhere(stack == 700)[0])) == place


@pytest.mark.parametrize(("content", "word"), [
    (nifti(chest())[:-2], "shorter"), (nifti(chest(), at42=("<h", -5)), "too large"),
    (nifti(chest(), at42=("<h", 32767)), "too large"), (nifti(chest(), at40=("<h", 9)), "single volume"),
    (nifti(chest(), at48=("<h", 2), at40=("<h", 4)), "single volume"), (nifti(chest(), at70=("<h", 128)), "kind"),
    (nifti(chest(), at108=("<f", 1e30)), "place"), (nifti(chest(), at108=("<f", float("nan"))), "place"),
    (nifti(chest(), at254=("<h", 0)), "orientation"), (nifti(chest() + 1000), "no air"),
    (nifti(chest(), np.zeros((3, 4))), "size"),
    (nifti(chest(), [[2, 2, 0, 0], [-2, 2, 0, 0], [0, 0, 3, 0]]), "oblique"),
    (nifti(chest())[:300], "NIfTI-1"), (nifti(chest(), at0=("<i", 540)), "damaged")])
def test_absurd_volumes_are_refused_in_words(content: bytes, word: str) -> None:
    with pytest.raises(Unusable, match=word):
        read_nifti(content)


def test_a_packed_volume_is_never_unpacked_beyond_its_own_size() -> None:
    bomb = gzip.compress(nifti(chest()) + bytes(50_000_000))
    assert len(read_nifti(bomb).voxels) == 4


# ------------------------------------------------------------ photographs


def photo(kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (7, 5), (200, 30, 40)).save(out, kind)
    return out.getvalue()


def test_photographs_are_taken_only_where_a_reader_takes_them() -> None:
    with pytest.raises(Unusable, match="no reader takes photographs; what is taken: DICOM"):
        objects(photo(), "mole.png")
    reading = Conversion(modalities=frozenset({"DMS"}))
    (made,) = objects(photo(), "mole.png", reading)
    assert (made.Modality, made.PatientID, made.Rows, made.Columns) == ("DMS", "mole", 5, 7)
    assert tuple(made.pixel_array[0, 0]) == (200, 30, 40)
    (xc,) = objects(photo("JPEG"), "mole.jpg", Conversion(modalities=frozenset({"XC", "CT"})))
    assert xc.SOPClassUID.name == "VL Photographic Image Storage"
    assert "photographs" in reading.accepted


def test_a_damaged_photograph_and_one_of_too_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Conversion(modalities=frozenset({"XC"}))
    for content in (photo()[:40], photo("JPEG")[:100] + b"x"):
        with pytest.raises(Unusable, match="damaged"):
            objects(content, "a.png", reading)
    monkeypatch.setattr("adapters.files.photograph._MOST_PIXELS", 34)
    with pytest.raises(Unusable, match="too large"):
        objects(photo(), "a.png", reading)
