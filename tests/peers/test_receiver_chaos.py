"""kill -9 and power cuts at seeded moments while two senders load the receiver: what was acknowledged is there.

CHAOS_RECEIVER_KILLS (20) and CHAOS_POWER_CUTS (10) set how often, CHAOS_SEED (1) which moments. `make chaos` does 200.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from adapters.files import filing
from adapters.files.durable import FileLayer
from tests.peers.file_layers import ForgetsContents, ForgetsNames, KillsItself, PowerCut
from tests.peers.gateway_process import await_that
from tests.peers.receiving import (
    Receiver,
    Sender,
    acknowledged,
    await_progress,
    nothing_half_written,
    nothing_is_lost,
    receiver,
    scratch_files,
    senders,
)

pytestmark = [pytest.mark.peer, pytest.mark.slow]
KILLS = int(os.environ.get("CHAOS_RECEIVER_KILLS", "20"))
CUTS = int(os.environ.get("CHAOS_POWER_CUTS", "10"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
CUTS_OF_A_DISK = 10


def killed_somewhere(running: Receiver, working: list[Sender], chance: random.Random) -> None:
    """At a moment after the first objects were taken, or when the layer has killed it."""
    await_progress(working)
    working[0].progress.clear()
    running.process.join(chance.uniform(0, 0.25))
    running.kill()


def a_layer(number: int) -> Callable[[], FileLayer]:
    """Every other process kills itself between two calls of its file layer."""
    return some_past_memory(number // 2, partial(_suicidal, SEED * 1000 + number) if number % 2 else FileLayer)


def some_past_memory(number: int, make_layer: Callable[[], FileLayer]) -> Callable[[], FileLayer]:
    """Every other time large files are written past the system's memory, as if much waited."""
    return partial(_past_memory, make_layer) if number % 2 else make_layer


def _past_memory(make_layer: Callable[[], FileLayer]) -> FileLayer:
    filing.MUCH = 0
    return make_layer()


def _suicidal(seed: int) -> FileLayer:
    return KillsItself(FileLayer(), seed)


@pytest.mark.timeout(60 + 5 * KILLS)
def test_nothing_acknowledged_is_lost_by_kill(tmp_path: Path) -> None:
    print(f"CHAOS_SEED={SEED}, {KILLS} kills")
    chance, checked = random.Random(SEED), set[str]()
    with receiver(tmp_path / "data") as running, senders(running.port, SEED) as working:
        for number in range(KILLS):
            if number % 2:
                running.process.join(20)  # it ends by its own hand
                assert not running.alive(), "the layer has not come to its end"
                running.kill()
            else:
                killed_somewhere(running, working, chance)
            kept, left = acknowledged(working), scratch_files(running)
            running.make_layer = a_layer(number + 1)
            running.start()
            if running.alive():
                nothing_is_lost(running, kept, checked)
                nothing_half_written(running, working, left, checked)
        print(f"{len(acknowledged(working))} objects acknowledged")
        assert len(acknowledged(working)) > 2 * KILLS
    assert not [status for sender in working for status in sender.refused]


# ---------------------------------------------------------------- several processes


def one_is_killed(running: Receiver, working: list[Sender], chance: random.Random) -> None:
    """One of those that store, at a moment after the first objects were taken; the others go on."""
    await_progress(working)
    running.process.join(chance.uniform(0, 0.25))
    os.kill(chance.choice(running.children()), signal.SIGKILL)
    await_progress(working)
    kept = acknowledged(working)
    await_that(lambda: kept.keys() <= running.rows().keys(), 30, "the index learns what the dead process has stored")


def the_first_is_killed(running: Receiver, working: list[Sender], chance: random.Random) -> None:
    """The one that the others belong to. They end by themselves."""
    await_progress(working)
    running.process.join(chance.uniform(0, 0.25))
    others = running.children()
    running.process.kill()
    running.process.join(20)
    running.process = None
    running.start()
    await_that(lambda: not any(Path(f"/proc/{pid}/stat").exists() for pid in others), 20, "the others have ended")


@pytest.mark.timeout(60 + 10 * KILLS)
def test_nothing_acknowledged_is_lost_with_several_processes(tmp_path: Path) -> None:
    kills = max(6, KILLS // 4)
    print(f"CHAOS_SEED={SEED}, {kills} kills")
    chance, checked = random.Random(SEED), set[str]()
    with receiver(tmp_path / "data", processes=2) as running, senders(running.port, SEED, 3) as working:
        for number in range(kills):
            if number % 3 == 0:
                killed_somewhere(running, working, chance)
                left = scratch_files(running)
                running.start()
            else:
                (one_is_killed if number % 3 == 1 else the_first_is_killed)(running, working, chance)
                left = set()
            kept = acknowledged(working)
            await_that(lambda kept=kept: kept.keys() <= running.rows().keys(), 30, "the index has everything")
            nothing_is_lost(running, kept, checked)
            nothing_half_written(running, working, left, checked)
    # Those whose first process was killed refuse what comes, and end.
    assert {status for sender in working for status in sender.refused} <= {0xA700}


# ---------------------------------------------------------------- power cuts


def cut(running: Receiver, layer: PowerCut, notes: Path, chance: random.Random) -> None:
    """The disk as a power cut leaves it takes the place of the disk as it was. The database keeps its own promises: it
    is as it was, or as it was at an earlier moment, or gone."""
    restored = running.folder / "restored"
    layer.restore(running.objects, restored, chance if chance.random() < 0.5 else None)
    shutil.rmtree(running.objects)
    shutil.rmtree(notes)
    restored.rename(running.objects)
    early, fate = running.folder / "early", chance.choice(("as it was", "earlier", "gone"))
    databases = list(running.folder.glob("gateway.sqlite*"))
    if fate != "as it was":
        for path in databases:
            path.unlink()
    if fate == "earlier" and early.exists():
        for path in early.iterdir():
            shutil.copy2(path, running.folder / path.name)
    early.mkdir(exist_ok=True)
    for path in running.folder.glob("gateway.sqlite*"):
        shutil.copy2(path, early / path.name)


def power_cuts(folder: Path, kind: type[PowerCut], number: int, seed: int = SEED) -> None:
    chance, notes = random.Random(seed), folder / "notes"
    with receiver(folder / "data", partial(kind, notes)) as running, senders(running.port, seed) as working:
        for done in range(number):
            killed_somewhere(running, working, chance)
            kept = acknowledged(working)
            running.make_layer = some_past_memory(done, partial(kind, notes))
            cut(running, kind(notes), notes, chance)
            kind(notes).adopt(running.objects)
            left = scratch_files(running)
            running.start()
            nothing_is_lost(running, kept, set())
            nothing_half_written(running, working, left, set())
        assert len(acknowledged(working)) > 2 * number


@pytest.mark.timeout(60 + 10 * CUTS)
def test_nothing_acknowledged_is_lost_by_a_power_cut(tmp_path: Path) -> None:
    """On a new disk now and then: each cut copies all that is on it."""
    print(f"CHAOS_SEED={SEED}, {CUTS} power cuts")
    for done in range(0, CUTS, CUTS_OF_A_DISK):
        power_cuts(tmp_path / f"disk-{done}", PowerCut, min(CUTS_OF_A_DISK, CUTS - done), SEED + done)


@pytest.mark.parametrize("kind", [ForgetsNames, ForgetsContents])
def test_a_forgotten_sync_would_be_noticed(tmp_path: Path, kind: type[PowerCut]) -> None:
    with pytest.raises(AssertionError, match=r"not in the index|other bytes|another digest|holds what was sent|gone"):
        power_cuts(tmp_path, kind, 3)
