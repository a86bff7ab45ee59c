"""The lines that the benches print: `bench NAME: ours X, peer P Y, ratio R`."""

from __future__ import annotations

import os
import sys


def against_peer(name: str, ours: float, peer: str, theirs: float, *, digits: int = 0, note: str = "",
                 least: float = 0, ratio: float | None = None) -> None:
    """`ratio` is ours by theirs, whichever is better, or what is given; `least`: what it has to be."""
    ratio = ours / theirs if ratio is None else ratio
    wanted = f", at least {least:g}{'' if ratio >= least else ' MISSED'}" if least else ""
    print(f"bench {name}: ours {ours:.{digits}f}{f' ({note})' if note else ''}, peer {peer} {theirs:.{digits}f}, "
          f"ratio {ratio:.2f}{wanted}", flush=True)


def against_limit(name: str, ours: float, limit: float, *, digits: int = 2, note: str = "") -> None:
    """What the product promises stands in the place of a peer."""
    missed = "" if ours <= limit else ", limit MISSED"
    print(f"bench {name}: ours {ours:.{digits}f}{f' ({note})' if note else ''}, limit {limit:g}, "
          f"ratio {ours / limit:.2f}{missed}", flush=True)


def skipped(name: str, why: str) -> None:
    print(f"bench {name}: skipped, {why}", file=sys.stderr, flush=True)


def progress(text: str) -> None:
    print(f"  {text} (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)
