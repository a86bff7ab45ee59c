"""ECG samples as a NumPy array file (NEP 1), as `EcgSource`."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import PurePath

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from adapters.dicom.content.waveform_leads import STANDARD
from adapters.files.wfdb_source import digest_of
from gateway.errors import Unusable
from gateway.ports import EcgSource
from gateway.study import Patient

MAGIC = b"\x93NUMPY"
RATE = 500.0
_LONGEST_HEADER = 10_000
_MOST_SAMPLES = 20_000_000
_LARGEST_MILLIVOLTS = 50.0


def read_npy(content: bytes, name: str, modified: float, rate: float = RATE) -> EcgSource:
    """12 leads in the standard order, (12, samples) or (samples, 12), in mV.

    The patient id is the file's name, the time `modified` (POSIX seconds); the key is a digest of the signals.
    Raises Unusable: no such array, pickled objects, a header that claims more than there is, not in mV.
    """
    array = _array(content)
    if array.ndim != 2 or 12 not in array.shape or array.size > _MOST_SAMPLES:
        raise Unusable("the array does not hold 12 leads of samples: its shape must be (12, samples)")
    signal = np.ascontiguousarray(array if array.shape[0] == 12 else array.T, dtype=np.float32)
    finite = np.abs(signal[np.isfinite(signal)])
    if not finite.size:
        raise Unusable("the array holds no sample that is a number")
    if float(np.quantile(finite, 0.99)) > _LARGEST_MILLIVOLTS:
        raise Unusable("the samples are too large for millivolts: the array must be in mV")
    return EcgSource(("npy", digest_of(STANDARD, rate, signal)), Patient(PurePath(name).stem[:64]), signal, rate,
                     STANDARD, datetime.fromtimestamp(int(modified), UTC))


def _array(content: bytes) -> NDArray[np.number]:
    """The samples, never more than the file holds, whatever its header claims."""
    stream = io.BytesIO(content)
    try:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(stream, max_header_size=_LONGEST_HEADER)
    except (ValueError, EOFError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise Unusable("the file is no NumPy array") from error
    if dtype.hasobject or dtype.kind not in "fiu":
        raise Unusable("the array holds no plain numbers; pickled objects are never opened")
    count = 1
    for size in shape:
        count *= size
    if len(content) - stream.tell() != count * dtype.itemsize:
        raise Unusable("the array is not as long as its header says")
    flat: NDArray[np.number] = np.frombuffer(content, dtype=dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C")
