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
        file.write(np.asarray(sound, dtype=np.float64).T)
    return content.getvalue()
