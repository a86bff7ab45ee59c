"""CT as archives compress it, encoded by DCMTK, read to the same values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapters.dicom.content.volume import load_volume
from tests.ct_series import series
from tests.peers.dcmtk import run
from tests.real_studies import instance_of

pytestmark = pytest.mark.peer


@pytest.mark.parametrize("encoder", [("dcmcjpeg", "+el"), ("dcmcjpeg", "+e1"), ("dcmcjpls", "+el"), ("dcmcrle",)],
                         ids=" ".join)
def test_lossless_compression_changes_no_value(tmp_path: Path, encoder: tuple[str, ...]) -> None:
    plain = series(tmp_path, 4, shape=(64, 64))
    packed = []
    for number, instance in enumerate(plain):
        path = tmp_path / f"packed{number}.dcm"
        assert run(encoder[0], *encoder[1:], instance.path, path).returncode == 0
        packed.append(instance_of(path))
    assert packed[0].transfer_syntax_uid != plain[0].transfer_syntax_uid
    np.testing.assert_array_equal(load_volume(tuple(packed)).hu, load_volume(tuple(plain)).hu)
