"""Other people's programs that stand as peers."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def find(name: str) -> str | None:
    """Where it is, or None. Not what a virtual environment has: pynetdicom puts its own `storescu`, `storescp`, ...
    there, and where one is activated these come before DCMTK's."""
    environments = {str(Path(root) / "bin") for root in _environments()}
    return shutil.which(name, path=os.pathsep.join(one for one in os.get_exec_path() if one not in environments))


def _environments() -> list[str]:
    return [root for root in (os.environ.get("VIRTUAL_ENV"), sys.prefix) if root and root != sys.base_prefix]
