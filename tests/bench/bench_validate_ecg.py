"""`triage-gateway validate ecg_12lead` over all of PTB-XL as it lies here, from the command to its figures."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.lines import against_limit, progress, skipped
from tests.reading import DATA, ROOT

LIMIT = 240.0
"""Seconds for 2,519 records."""
NAME = "validate_ecg_seconds"


def main() -> None:
    if not (DATA / "ptb-xl").is_dir():
        skipped(NAME, "../shared/data/ptb-xl is not there")
        return
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        command = [str(Path(sys.executable).with_name("triage-gateway")), "validate", "ecg_12lead", "--data",
                   str(DATA / "ptb-xl"), "--json", str(out)]
        progress("validate ecg_12lead over ptb-xl")
        began = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        took = time.perf_counter() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        told = json.loads(out.read_text())
    note = (f"{told['records']} records, macro AUC {told['macro_auc']:.3f}; {used.ru_utime + used.ru_stime:.0f} s of "
            "processor time")
    against_limit(NAME, took, LIMIT, digits=0, note=note)


if __name__ == "__main__":
    main()
