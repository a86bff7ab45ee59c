"""The real series of a patient with lung cancer: read as it is, and not called normal."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.dicom.content.volume import load_volume
from adapters.inference.embedded import EmbeddedInference
from gateway.pipeline import KeyImage
from gateway.result import ImageRegion, Verdict
from pipelines.chest_ct import PIPELINE
from pipelines.chest_ct.grid import working
from pipelines.chest_ct.lungs import find_lungs
from tests.reading import MODELS, read
from tests.real_studies import CHEST_CT, study_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.data,
    pytest.mark.skipif(not CHEST_CT.exists(), reason="../shared/data/chest-ct-lungdx is absent"),
]


def test_the_tumour_of_the_left_upper_lobe_is_found() -> None:
    """It lies behind and beside the aortic arch, at z from -270 to -190 mm, on the right of the pictures."""
    of = study_of(sorted(CHEST_CT.glob("*.dcm")))
    assert PIPELINE.select(of).note.startswith("thinnest axial of 1: 5 mm, 64 slices")
    analysis = read(PIPELINE, of, load_volume, EmbeddedInference(MODELS, 60, 1))
    result = analysis.result
    assert result.verdict is Verdict.PATHOLOGY
    assert not result.problems
    assert isinstance(analysis.picture, KeyImage)
    assert analysis.picture.heat is not None
    loudest = max((f for f in result.findings if f.region), key=lambda f: f.probability)
    assert isinstance(loudest.region, ImageRegion)
    place = next(i for i in of.instances if i.sop_instance_uid == loudest.region.sop_instance_uid)
    assert -270 < float(place.tags["ImagePositionPatient"][2]) < -190
    assert 270 < (loudest.region.left + loudest.region.right) / 2 < 400
    assert 290 < (loudest.region.top + loudest.region.bottom) / 2 < 410
    measured = {m.code.value: m.value for m in result.measurements}
    assert 4500 < measured["CTLUNGVOL"] < 6500
    assert -840 < measured["CTLUNGMEAN"] < -760


def test_the_lungs_are_found_whole_and_without_windpipe_or_table() -> None:
    volume = load_volume(study_of(sorted(CHEST_CT.glob("*.dcm"))).instances)
    small = working(volume)
    lungs = find_lungs(small)
    assert lungs is not None
    assert 0.55 < lungs.volumes_ml[0] / sum(lungs.volumes_ml) < 0.62
    assert list(lungs.slabs) == list(range(int(lungs.slabs[0]), int(lungs.slabs[-1]) + 1))
    windpipe = small.hu[50, 98:112, 90:102]
    assert windpipe.min() < -900
    assert not lungs.whole[50, 98:112, 90:102][windpipe < -900].any()
    assert int(np.flatnonzero(lungs.body.any((0, 2)))[-1]) < 173  # the table begins at row 174
