"""The bench's longer and slower recordings are still those of the same heart."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.pipeline import Ecg
from pipelines.ecg.checking import check
from pipelines.ecg.leads import LEADS
from pipelines.ecg.preprocess import in_order
from pipelines.ecg.synthetic import synthesise
from tests.bench.ecg_lengths import at_rate, lasting

ECG = Ecg(synthesise("normal", 5), 500.0, LEADS, "1.2.3", tuple((1, n) for n in range(1, 13)))


@pytest.mark.parametrize("leads", [LEADS, LEADS[:1]], ids=["twelve leads", "lead I"])
@pytest.mark.parametrize("seconds", [8.0, 30.0])
def test_a_longer_recording_passes_the_gates_at_the_same_rate_of_beats(seconds: float, leads: tuple[str, ...]) -> None:
    of = Ecg(ECG.signal[:len(leads)], ECG.rate, leads, ECG.sop_instance_uid, ECG.channels[:len(leads)])
    changed = lasting(seconds, of)
    assert changed.signal.shape[1] == seconds * 500
    signal, missing = in_order(changed.signal, changed.leads) if len(leads) > 1 else (changed.signal, ())
    checked, before = check(signal, changed.rate, missing, leads), check(of.signal, of.rate, (), leads)
    assert checked.problems == ()
    assert checked.waves is not None
    assert before.waves is not None
    assert checked.waves.heart_rate == pytest.approx(before.waves.heart_rate, rel=0.03)


def test_another_rate_keeps_the_samples_of_the_beats() -> None:
    slow = at_rate(100.0, ECG)
    assert (slow.rate, slow.signal.shape) == (100.0, (12, 1000))
    assert np.corrcoef(slow.signal[1], ECG.signal[1, ::5])[0, 1] > 0.98
