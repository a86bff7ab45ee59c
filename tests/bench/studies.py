"""The studies that the benches send: synthetic ones of a real scanner's size, and the real CT where it is here."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from adapters.dicom.content.ct_write import write_ct
from adapters.dicom.content.waveform_write import write_ecg
from gateway.ports import EcgSource
from gateway.study import Patient

ROOT = Path(__file__).parents[2]
REAL_CT = ROOT.parent / "shared" / "data" / "chest-ct-lungdx"
_RECORDED = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
_PATIENT = Patient("BENCH1", "HOSPITAL", "Bench^Mark", "19600101", "O")
_MATRIX = 512


def ecg(key: str) -> list[bytes]:
    """One 12-lead ECG of ten seconds; another `key`, another study."""
    from pipelines.ecg.leads import LEADS
    from pipelines.ecg.synthetic import RATE, synthesise

    source = EcgSource(("bench", key), _PATIENT, synthesise("afib", 1), RATE, LEADS, _RECORDED, "ACC1")
    return [write_ecg(source)]


def ct_volume(slices: int) -> tuple[NDArray[np.int16], tuple[float, float, float]]:
    """A synthetic chest of 512 × 512 pixels a slice: (HU, spacing in mm); it is drawn coarser, then interpolated."""
    from pipelines.chest_ct.synthetic import chest

    case = chest(9002, ("opacity",))
    factors = [slices / case.hu.shape[0], _MATRIX / case.hu.shape[1], _MATRIX / case.hu.shape[2]]
    fine = ndimage.zoom(case.hu, factors, order=1, grid_mode=True, mode="nearest")
    z, y, x = (spacing / factor for spacing, factor in zip(case.spacing, factors, strict=True))
    return fine.astype(np.int16), (z, y, x)


def ct(key: str, hu: NDArray[np.int16], spacing: tuple[float, float, float]) -> list[bytes]:
    """A CT series, one object a slice; another `key`, another study."""
    return write_ct(hu, spacing, _PATIENT, key=("bench", key), accession_number="ACC2", recorded_at=_RECORDED,
                    description="Chest CT")


def ct_slices_of_noise(key: str, slices: int) -> list[bytes]:
    """Slices of 525 KB."""
    noise = np.random.default_rng(1).integers(-1000, 1000, (slices, _MATRIX, _MATRIX), np.int16)
    return ct(key, noise, (1.0, 1.0, 1.0))


def real_ct() -> list[bytes]:
    """The CT of ../shared/data/chest-ct-lungdx, as it is; empty where it is not here."""
    return [path.read_bytes() for path in sorted(REAL_CT.glob("*.dcm"))]
