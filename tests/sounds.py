"""Sound files for tests."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray


def wav(sound: NDArray[Any], rate: int = 4000, subtype: str = "PCM_16", form: str = "WAV", comment: str = "") -> bytes:
    """(samples,) or (channels, samples) in [-1, 1] as a file."""
    content = io.BytesIO()
    channels = 1 if np.ndim(sound) == 1 else len(sound)
    with soundfile.SoundFile(content, "w", rate, channels, subtype, format=form) as file:
        if comment:
            file.comment = comment
        samples = np.asarray(sound, dtype=np.float64).T
        file.write(np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16) if subtype == "PCM_16" else samples)
    return content.getvalue()
