"""CT series → HU volume: values exactly as pydicom reads them, order by place, every fault named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from adapters.dicom.content.volume import load_volume
from gateway.errors import Transient, Unusable
from gateway.pipeline import Volume
from gateway.study import Instance
from tests.ct_series import enhanced_dataset, save, series, slice_dataset

DATA = Path(__file__).parents[3] / "shared" / "data" / "chest-ct-lungdx"


def expected(instances: list[Instance]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Slices by height, as pydicom decodes them, rescaled."""
    data = sorted((dcmread(i.path) for i in instances), key=lambda d: float(d.ImagePositionPatient[2]))
    return np.stack([d.pixel_array * np.float32(d.RescaleSlope) + np.float32(d.RescaleIntercept) for d in data])


def codes(volume: Volume) -> set[str]:
    return {problem.code for problem in volume.problems}


@pytest.mark.parametrize("syntax", [
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless,
    JPEGLSLossless])
def test_values_are_those_of_pydicom_in_every_transfer_syntax(tmp_path: Path, syntax: str) -> None:
    rng = np.random.default_rng(3)
    made = [save(slice_dataset(rng.integers(0, 4096, (8, 10)).astype(np.uint16), f"2.25.{n}", (0, 0, 3.0 * n)),
                 tmp_path, syntax) for n in range(1, 5)]
    volume = load_volume(tuple(made))
    assert np.array_equal(volume.hu, expected(made))
    assert volume.hu.dtype == np.float32
    assert not volume.problems


@pytest.mark.parametrize(("kind", "stored", "low", "high"), [
    ("<u2", 12, 0, 4096), ("<u2", 16, 0, 65536), ("<i2", 16, -32768, 32768), ("<i2", 12, -2048, 2048),
    ("u1", 8, 0, 256), ("i1", 8, -128, 128)])
def test_signed_and_unsigned_values_of_every_depth(tmp_path: Path, kind: str, stored: int, low: int,
                                                   high: int) -> None:
    rng = np.random.default_rng(4)
    made = [save(slice_dataset(rng.integers(low, high, (8, 10)).astype(kind), f"2.25.{n}", (0, 0, n), BitsStored=stored,
                               HighBit=stored - 1), tmp_path) for n in range(1, 4)]
    assert np.array_equal(load_volume(tuple(made)).hu, expected(made))


@pytest.mark.parametrize("kind", ["<u2", "<i2"])
def test_bits_beyond_bits_stored_do_not_count(tmp_path: Path, kind: str) -> None:
    """Old scanners keep overlays there."""
    values = np.random.default_rng(5).integers(0, 2048, (8, 10)).astype(kind)
    dirty = (values | np.array(0x5000, kind)).astype(kind)
    made = [save(slice_dataset(dirty, f"2.25.{n}", (0, 0, n), BitsStored=12, HighBit=11), tmp_path) for n in (1, 2)]
    assert np.array_equal(load_volume(tuple(made)).hu[0], values.astype(np.float32) - 1024)


def test_each_slice_has_its_own_rescale(tmp_path: Path) -> None:
    stored = np.full((8, 10), 100, np.uint16)
    made = [save(slice_dataset(stored, f"2.25.{n}", (0, 0, n), RescaleSlope=n * 0.5, RescaleIntercept=-n), tmp_path)
            for n in (1, 2, 3)]
    assert load_volume(tuple(made)).hu[:, 0, 0].tolist() == [49, 98, 147]


@pytest.mark.parametrize(("kind", "padding", "limit"), [("<i2", -2000, None), ("<u2", 63536, None),
                                                        ("<i2", -2000, -1990)])
def test_padding_becomes_air(tmp_path: Path, kind: str, padding: int, limit: int | None) -> None:
    stored = np.full((8, 10), 1060, kind)
    stored[0], stored[1, 0] = padding, padding if limit is None else limit
    made = []
    for n in (1, 2):
        data = slice_dataset(stored, f"2.25.{n}", (0, 0, n))
        data.add_new("PixelPaddingValue", "SS" if kind == "<i2" else "US", padding)
        if limit is not None:
            data.add_new("PixelPaddingRangeLimit", "SS", limit)
        made.append(save(data, tmp_path))
    hu = load_volume(tuple(made)).hu
    assert (hu[:, 0] == -1000).all()
    assert (hu[:, 1, 0] == -1000).all()
    assert (hu[:, 2:] == 36).all()


@settings(max_examples=25, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_order_comes_from_places_alone(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Instance numbers and the order of arrival are scrambled."""
    folder = tmp_path_factory.mktemp("series")
    heights = data.draw(st.lists(st.integers(-300, 300), min_size=3, max_size=12, unique=True))
    numbers = data.draw(st.permutations(range(len(heights))))
    made = [save(slice_dataset(np.full((4, 4), height + 1000, np.uint16), f"2.25.{n + 1}", (0, 0, height),
                               InstanceNumber=number), folder)
            for n, (height, number) in enumerate(zip(heights, numbers, strict=True))]
    volume = load_volume(tuple(data.draw(st.permutations(made))))
    assert volume.hu[:, 0, 0].tolist() == [height - 24 for height in sorted(heights)]
    assert volume.positions.tolist() == sorted(heights)
    by_uid = {instance.sop_instance_uid: height for instance, height in zip(made, heights, strict=True)}
    assert [by_uid[uid] for uid, _ in volume.slices] == sorted(heights)


def test_feet_first_stays_foot_to_head(tmp_path: Path) -> None:
    """A normal that points to the feet does not turn the volume over."""
    made = [save(slice_dataset(np.full((4, 4), n, np.uint16), f"2.25.{n}", (0, 0, 2.0 * n),
                               ImageOrientationPatient=[-1, 0, 0, 0, 1, 0]), tmp_path) for n in (3, 1, 2)]
    volume = load_volume(tuple(made))
    assert volume.hu[:, 0, 0].tolist() == [-1023, -1022, -1021]
    assert volume.orientation == (-1, 0, 0, 0, 1, 0)


def test_enhanced_multi_frame(tmp_path: Path) -> None:
    stored = np.random.default_rng(6).integers(0, 4096, (5, 8, 10)).astype(np.uint16)
    heights, rescale = [30, 10, 50, 20, 40], [(1, -1024), (2, -1000), (0.5, 0), (1, -500), (1, 0)]
    instance = save(enhanced_dataset(stored, "2.25.77", heights, rescale), tmp_path)
    volume = load_volume((instance,))
    order = np.argsort(heights)
    slope, intercept = (np.array([rescale[n][i] for n in order], np.float32)[:, None, None] for i in (0, 1))
    assert np.array_equal(volume.hu, stored[order].astype(np.float32) * slope + intercept)
    assert volume.slices == tuple(("2.25.77", int(n) + 1) for n in order)
    assert volume.spacing == (10, 0.8, 0.7)
    assert not volume.problems


def test_compressed_multi_frame(tmp_path: Path) -> None:
    stored = np.random.default_rng(6).integers(0, 4096, (3, 8, 10)).astype(np.uint16)
    instance = save(enhanced_dataset(stored, "2.25.77", [2, 1, 3], [(1, 0)] * 3), tmp_path, RLELossless)
    assert np.array_equal(load_volume((instance,)).hu, stored[[1, 0, 2]].astype(np.float32))


def test_duplicates_are_dropped_and_told(tmp_path: Path) -> None:
    """Two scans of the same places: the one that holds more of the stack is kept, wherever it came in the order."""
    first = series(tmp_path, 6, seed=1, AcquisitionNumber=1)
    second = series(tmp_path, 4, seed=2, AcquisitionNumber=2)
    for mixed in ([*first, *second], [*second, *first]):
        volume = load_volume(tuple(mixed))
        assert np.array_equal(volume.hu, expected(first))
        assert codes(volume) == {"duplicates-dropped"}


def test_the_dominant_stack_is_kept(tmp_path: Path) -> None:
    axial = series(tmp_path, 6, seed=1)
    others = series(tmp_path, 2, seed=2, ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    others += series(tmp_path, 3, seed=3, shape=(8, 12)) + series(tmp_path, 3, seed=4, PixelSpacing=[1, 1])
    others += series(tmp_path, 3, seed=5, SliceThickness=5)
    volume = load_volume((*others, *axial))
    assert np.array_equal(volume.hu, expected(axial))
    assert codes(volume) == {"mixed-stacks"}
    assert "11 images" in volume.problems[0].text


def test_a_gap_is_told(tmp_path: Path) -> None:
    made = series(tmp_path, 10)
    volume = load_volume(tuple(made[:4] + made[6:]))
    assert codes(volume) == {"gap"}
    assert "about 2 slices" in volume.problems[0].text
    assert volume.spacing[0] == 2.5


def test_uneven_spacing_is_told(tmp_path: Path) -> None:
    made = [save(slice_dataset(np.zeros((4, 4), np.uint16), f"2.25.{n + 1}", (0, 0, z)), tmp_path)
            for n, z in enumerate([0, 2, 4, 6.5, 8.5])]
    assert codes(load_volume(tuple(made))) == {"irregular-spacing"}


def test_gantry_tilt_is_told(tmp_path: Path) -> None:
    angle = np.radians(15)
    axes = [1, 0, 0, 0, float(np.cos(angle)), -float(np.sin(angle))]
    made = [save(slice_dataset(np.full((4, 4), n, np.uint16), f"2.25.{n}", (0, 0, 5 * n), ImageOrientationPatient=axes),
                 tmp_path) for n in range(1, 6)]
    volume = load_volume(tuple(made))
    assert codes(volume) == {"gantry-tilt"}
    assert "15.0 degrees" in volume.problems[0].text
    assert volume.spacing[0] == pytest.approx(5 * np.cos(angle))


def test_an_oblique_stack_is_not_tilted(tmp_path: Path) -> None:
    """Slices turned as a whole move along their own normal."""
    angle = np.radians(15)
    axes = [1, 0, 0, 0, float(np.cos(angle)), -float(np.sin(angle))]
    normal = np.cross(axes[:3], axes[3:])
    made = [save(slice_dataset(np.full((4, 4), n, np.uint16), f"2.25.{n}", 5 * n * normal,
                               ImageOrientationPatient=axes), tmp_path) for n in range(1, 6)]
    assert not load_volume(tuple(made)).problems


def test_without_rescale_they_are_no_hounsfield_units(tmp_path: Path) -> None:
    made = series(tmp_path, 3, RescaleSlope=None, RescaleIntercept=None)
    assert codes(load_volume(tuple(made))) == {"not-hounsfield"}


def test_a_truncated_slice_is_left_out_and_told(tmp_path: Path) -> None:
    made = series(tmp_path, 6)
    broken = Path(made[2].path)
    broken.write_bytes(broken.read_bytes()[:-40])
    volume = load_volume(tuple(made))
    assert codes(volume) == {"unreadable-slices", "gap"}
    assert np.array_equal(volume.hu, expected(made[:2] + made[3:]))


@pytest.mark.parametrize("content", [b"", b"not DICOM at all", b"\0" * 128 + b"DICM" + b"\xff" * 200])
def test_garbage_among_slices_is_left_out_and_told(tmp_path: Path, content: bytes) -> None:
    made = series(tmp_path, 5)
    (tmp_path / "bad.dcm").write_bytes(content)
    bad = replace(made[0], path=str(tmp_path / "bad.dcm"), sop_instance_uid="2.25.9")
    assert codes(load_volume((*made, bad))) == {"unreadable-slices"}


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(at=st.integers(132, 700), value=st.binary(min_size=1, max_size=8))
def test_damaged_bytes_never_escape_as_other_errors(tmp_path_factory: pytest.TempPathFactory, at: int,
                                                    value: bytes) -> None:
    folder = tmp_path_factory.mktemp("series")
    made = series(folder, 2)
    content = bytearray(Path(made[0].path).read_bytes())
    content[at:at + len(value)] = value
    Path(made[0].path).write_bytes(bytes(content))
    try:
        volume = load_volume(tuple(made))
    except (Unusable, Transient):
        return
    assert volume.hu.shape[0] == 2


@pytest.mark.parametrize(("overrides", "sentence"), [
    ({"ImagePositionPatient": None}, "ImagePositionPatient"),
    ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "not axial"),
    ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "ImageOrientationPatient"),
    ({"PixelSpacing": [0, 0.7]}, "pixel spacing"),
    ({"SamplesPerPixel": 3}, "monochrome"),
])
def test_what_is_no_stack_is_refused_with_a_sentence(tmp_path: Path, overrides: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Unusable, match=sentence):
        load_volume(tuple(series(tmp_path, 3, **overrides)))


def test_a_syntax_without_decoder_is_named(tmp_path: Path) -> None:
    made = series(tmp_path, 3)
    for instance in made:
        data = dcmread(instance.path)
        data.PixelData = encapsulate([b"\0" * 32])
        data["PixelData"].is_undefined_length = True
        data.file_meta.TransferSyntaxUID = MPEG2MPML
        data.save_as(instance.path)
    with pytest.raises(Unusable, match=MPEG2MPML):
        load_volume(tuple(made))


def test_one_slice_is_no_stack(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="no stack"):
        load_volume(tuple(series(tmp_path, 1)))
    with pytest.raises(Unusable, match="no images"):
        load_volume(())


def test_a_file_out_of_reach_may_come_back(tmp_path: Path) -> None:
    made = series(tmp_path, 3)
    Path(made[1].path).unlink()
    with pytest.raises(Transient):
        load_volume(tuple(made))


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="../shared/data/chest-ct-lungdx is absent")
def test_the_real_series_reads_exactly_as_pydicom_reads_it() -> None:
    from tests.ct_series import described
    made = [described(dcmread(path, stop_before_pixels=True), path) for path in sorted(DATA.glob("*.dcm"))]
    volume = load_volume(tuple(reversed(made)))
    assert np.array_equal(volume.hu, expected(made))
    assert volume.hu.shape == (64, 512, 512)
    assert volume.spacing == (5.0, 0.841796875, 0.841796875)
    assert not volume.problems
