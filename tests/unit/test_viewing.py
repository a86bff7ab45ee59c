"""What the viewers are given: stacks the right way up, exact samples, evidence where it belongs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace

import httpx
import numpy as np
import pytest

from adapters.web.pixel_codec import differences
from adapters.web.viewing import MISSING, image_form, microvolts
from gateway.errors import Permanent, Unusable
from gateway.evidence_map import EvidenceTrace, EvidenceVolume, pack, unpack
from gateway.image_stacks import stacks_of
from gateway.pipeline import Ecg
from gateway.viewing import CaseSources, Pixels, Viewer, version_of
from tests.case_fakes import SLICES, FakeBackground, ct_sources, ecg_sources, slice_instance, slice_pixels
from tests.web_fakes import World, serving

CASE = f"{1:020x}"
RUNS = itertools.count()


def undone(content: bytes, columns: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """The other way of `differences`, as the page's script does it."""
    plain = np.frombuffer(content, np.uint8).reshape(2, -1).astype(np.uint16)
    told = (plain[0] << 8) | plain[1]
    steps = (told >> np.uint16(1)) ^ (np.uint16(0) - (told & np.uint16(1)))
    return np.cumsum(steps.reshape(-1, columns), axis=1, dtype=np.uint16).view(np.int16)


@pytest.mark.parametrize("values", [
    np.array([[0, 1, -1], [32767, -32768, 0]], np.int16), np.zeros((3, 1), np.int16),
    np.random.default_rng(1).integers(-32768, 32768, (40, 70)).astype(np.int16)])
def test_samples_come_back_exactly(values: np.ndarray[tuple[int, int], np.dtype[np.int16]]) -> None:
    assert np.array_equal(undone(differences(values), values.shape[1]), values)


# ---------------------------------------------------------------- stacks


def test_slices_stand_foot_to_head_in_whatever_order_they_came() -> None:
    instances = [slice_instance(n) for n in range(1, 6)]
    random.Random(3).shuffle(instances)
    (stack,) = stacks_of(instances, frozenset())
    assert [s.instance.tags["InstanceNumber"] for s in stack.slices] == [1, 2, 3, 4, 5]
    assert [s.position for s in stack.slices] == [5.0, 10.0, 15.0, 20.0, 25.0]
    assert (stack.spacing, stack.sides, stack.read) == ((2.0, 2.0), ("R", "L", "A", "P"), False)


@pytest.mark.parametrize(("axes", "sides"), [
    ([1, 0, 0, 0, 1, 0], "RLAP"), ([-1, 0, 0, 0, -1, 0], "LRPA"), ([0, 1, 0, 0, 0, -1], "APHF"), (None, "")])
def test_the_sides_of_the_patient(axes: list[int] | None, sides: str) -> None:
    (stack,) = stacks_of([slice_instance(1, ImageOrientationPatient=axes)], frozenset())
    assert "".join(stack.sides) == sides


def test_what_was_read_comes_first_and_other_sizes_stand_apart() -> None:
    scout = slice_instance(90, ImageOrientationPatient=[1, 0, 0, 0, 0, -1], SeriesNumber=1)
    read = [slice_instance(n) for n in (1, 2)]
    stacks = stacks_of([scout, *read], frozenset({read[0].sop_instance_uid}))
    assert [(len(s.slices), s.read) for s in stacks] == [(2, True), (1, False)]
    assert not stacks_of([replace(scout, tags={"Modality": "SR"})], frozenset())


def test_frames_and_objects_without_a_place_follow_their_numbers() -> None:
    tags = {"ImagePositionPatient": None, "PixelSpacing": "nonsense", "WindowCenter": [40.0, 1.0],
            "WindowWidth": [400.0, 1.0], "PhotometricInterpretation": "MONOCHROME1"}
    (stack,) = stacks_of([slice_instance(2, NumberOfFrames=2, **tags), slice_instance(1, **tags)], frozenset())
    assert [(s.instance.tags["InstanceNumber"], s.frame) for s in stack.slices] == [(1, 1), (2, 1), (2, 2)]
    assert (stack.spacing, stack.window, stack.inverted, stack.colour) == (None, (40.0, 400.0), True, False)


# ---------------------------------------------------------------- over HTTP


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[World, httpx.Client]]:
    made = World()
    with serving(made.app()) as url, httpx.Client(base_url=url, trust_env=False) as asker:
        yield made, asker


@pytest.fixture
def world(shared: tuple[World, httpx.Client]) -> World:
    background = shared[0].background
    found, maps = ct_sources(run_id=str(next(RUNS)))  # of its own, so that nothing is remembered of it
    background.of_case[CASE] = found
    background.maps.update(maps)
    return shared[0]


@pytest.fixture
def client(shared: tuple[World, httpx.Client], world: World) -> httpx.Client:
    return shared[1]


def test_the_list_names_stacks_evidence_regions_and_the_key_slice(client: httpx.Client) -> None:
    told = client.get(f"/cases/{CASE}/images").json()
    (stack,) = told["stacks"]
    assert (len(stack["positions"]), stack["planes"]) == (SLICES, [-1] * 4 + [0] * 2 + [1] * 4 + [2] * 2)
    assert told["key"] == {"stack": 0, "slice": 7}
    assert told["regions"] == [{"label": "opacity", "display": "Opacity", "stack": 0, "slice": 7,
                                "box": [16, 16, 32, 32]}]
    (label,) = told["evidence"]["labels"]
    assert (label["peaks"], label["present"], told["evidence"]["form"]) == ([0, 250, 120], True, "heat")


def test_a_layer_that_is_no_finding_has_its_own_name_and_is_never_called_not_found() -> None:
    found, maps = ct_sources()
    kept = unpack(maps["map"])
    assert isinstance(kept, EvidenceVolume)
    both = replace(kept, labels=("opacity", "line"), values=np.concatenate([kept.values] * 2), names={"line": "Контур"})
    absent = replace(found, findings=({"label": "opacity", "display": "Opacity", "present": False},))
    background = FakeBackground({CASE: absent})
    viewer = Viewer(background, slice_pixels, background.ecg, lambda _: pack(both))
    told = image_form(viewer.images(CASE))["evidence"]["labels"]
    assert [(one["display"], one["present"]) for one in told] == [("Opacity", False), ("Контур", True)]


def test_pixels_are_exact_private_and_asked_for_once(client: httpx.Client) -> None:
    version = client.get(f"/cases/{CASE}/images").json()["version"]
    address = f"/cases/{CASE}/images/{version}/0/7"
    plain = client.get(address, headers={"Accept-Encoding": "identity"})
    assert np.array_equal(undone(plain.content, 64), slice_pixels(slice_instance(8), 1).stored)
    assert plain.headers["X-Rescale"] == "1 -1024"
    assert plain.headers["Cache-Control"] == "private, no-cache"
    packed = client.get(address)
    assert (packed.headers["Content-Encoding"], packed.content) == ("gzip", plain.content)
    assert client.get(address, headers={"If-None-Match": packed.headers["ETag"]}).status_code == 304


def test_evidence_comes_plane_by_plane(client: httpx.Client) -> None:
    version = client.get(f"/cases/{CASE}/images").json()["version"]
    values = np.frombuffer(client.get(f"/cases/{CASE}/evidence/{version}/0/1").content, np.uint8).reshape(16, 16)
    assert values[5, 5] == 250
    assert values.sum() == 250 * 16


def test_what_is_not_there_is_not_found(client: httpx.Client) -> None:
    v = client.get(f"/cases/{CASE}/images").json()["version"]
    there = [f"images/{v}/0/12", f"images/{v}/1/0", "images/0123456789abcdef/0/0", f"evidence/{v}/1/0",
             f"evidence/{v}/0/3", "evidence/0123456789abcdef/0/0", "ecg", f"ecg/{v}/0/100"]
    for path in [f"{CASE}/{each}" for each in there] + [f"{'0' * 20}/images", f"{'0' * 20}/ecg"]:
        answer = client.get(f"/cases/{path}")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), path
        assert answer.json()["detail"].endswith(".")
    for path in ("images/..%2f/0/0", f"images/{v}/-1/0", f"images/{v}/0/99999999999", "images/x/0/0"):
        assert client.get(f"/cases/{CASE}/{path}").status_code in {404, 422}, path


def test_a_damaged_map_hides_no_picture(world: World, client: httpx.Client) -> None:
    world.background.maps["map"] = b"nonsense"
    told = client.get(f"/cases/{CASE}/images").json()
    assert (told["evidence"], len(told["stacks"])) == (None, 1)
    assert told["key"] == {"stack": 0, "slice": 7}


def test_samples_are_microvolts_and_gaps_are_told(world: World, client: httpx.Client) -> None:
    found, ecg = ecg_sources(2, 100, ("II",))
    signal = ecg.signal.copy()
    signal[0, 3:5] = np.nan
    signal[0, 7], signal[0, 8] = 900, 0.1234567
    world.background.of_case[CASE], world.background.ecgs["2.25.700"] = found, replace(ecg, signal=signal)
    told = client.get(f"/cases/{CASE}/ecg").json()
    assert (told["leads"], told["samples"], told["rate"]) == (["II"], 200, 100.0)
    assert told["shades"] == [{"label": "AFIB", "display": "Atrial fibrillation", "lead": "II", "start": None,
                               "end": None}]
    samples = undone(client.get(f"/cases/{CASE}/ecg/{told['version']}/2/8").content, 8)
    assert samples.tolist() == [[0, MISSING, MISSING, 0, 0, 32767, 123, 0]]
    assert client.get(f"/cases/{CASE}/ecg/{told['version']}/200/8").status_code == 404


def test_a_part_of_a_recording_is_bounded() -> None:
    ecg = Ecg(np.zeros((12, 10_000_000 // 12), np.float32), 500.0, ("I",) * 12, "1", ())
    with pytest.raises(Exception, match="no such part"):
        microvolts(ecg, 0, 5_000_000)


# ---------------------------------------------------------------- what is remembered


def test_a_map_of_the_recording_is_shown_where_one_was_kept() -> None:
    found, ecg = ecg_sources(2, 100, ("II",))
    kept = EvidenceTrace(("AFIB",), ("II",), np.ones((1, 1, 4), np.uint8), 0.5)
    background = FakeBackground({"a": found, "b": replace(found, evidence_path="map")}, ecgs={"2.25.700": ecg})
    viewer = Viewer(background, slice_pixels, background.ecg, lambda path: pack(kept))
    assert viewer.ecg("a").evidence is None
    trace = viewer.ecg("b").evidence
    assert trace is not None
    assert trace.step == 0.5


def test_the_version_tells_runs_objects_and_maps_apart() -> None:
    found, _ = ct_sources()
    others = [replace(found, run_id="other"), replace(found, instances=found.instances[1:]),
              replace(found, evidence_path="")]
    assert len({version_of(f) for f in (found, *others)}) == 4
    assert version_of(replace(found, findings=())) == version_of(found)


def test_few_cases_are_remembered_and_each_is_built_once() -> None:
    found, maps = ct_sources()
    asked: list[str] = []

    def read(path: str) -> bytes:
        asked.append(path)
        content: bytes = maps[path]
        return content

    viewer = Viewer(FakeBackground({str(n): replace(found, run_id=str(n)) for n in range(20)}), slice_pixels,
                    lambda instances: pytest.fail("no ECG was asked for"), read)
    for n in (*range(20), 19, 19, 0):
        view = viewer.images(str(n))
        viewer.slice(str(n), view.version, 0, 0)
    assert len(asked) == 21


def test_what_the_reader_refuses_is_told() -> None:
    def damaged(_instance: object, _frame: int) -> Pixels:
        raise Unusable("The pixels of this image cannot be decoded.")

    viewer = Viewer(FakeBackground({"a": CaseSources("r", (slice_instance(1),))}), damaged,
                    lambda instances: pytest.fail("no ECG was asked for"), lambda path: pytest.fail("no map"))
    view = viewer.images("a")
    with pytest.raises(Unusable, match="decoded"):
        viewer.slice("a", view.version, 0, 0)
    with pytest.raises((Unusable, Permanent)):
        viewer.images("b")
