"""`python -m tests.bench [NAME…]`: every bench_NAME.py beside this file, each in a process of its own, one after the
other. Results on stdout, a line each; what is being done, and what is left out and why, on stderr."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LONGEST_SECONDS = 600


def names() -> list[str]:
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def run(name: str) -> bool:
    """Whether it ran to its end."""
    print(f"bench {name} …", file=sys.stderr, flush=True)
    began = time.monotonic()
    own = {key: value for key, value in os.environ.items() if not key.startswith("GATEWAY_")}
    try:
        status = subprocess.run([sys.executable, "-m", f"tests.bench.bench_{name}"], cwd=ROOT, check=False,
                                env=own | {"TCP_NODELAY": "1"}, timeout=LONGEST_SECONDS).returncode
    except subprocess.TimeoutExpired:
        status = -1
    ending = "done" if status == 0 else f"FAILED with status {status}"
    print(f"bench {name}: {ending} after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return status == 0


def main(wanted: list[str]) -> int:
    unknown = sorted(set(wanted) - set(names()))
    if unknown:
        print(f"no such bench: {', '.join(unknown)}; there are {', '.join(names())}", file=sys.stderr)
        return 2
    ended = [run(name) for name in wanted or names()]
    return 0 if all(ended) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
