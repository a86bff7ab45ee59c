"""Files for a moment."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def scratch_file(header: bytes, dataset: Sequence[bytes]) -> Iterator[str]:
    """One object in a file that is gone afterwards."""
    with tempfile.NamedTemporaryFile(suffix=".dcm") as stream:
        stream.writelines([header, *dataset])
        stream.flush()
        yield stream.name
