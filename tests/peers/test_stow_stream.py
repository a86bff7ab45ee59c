"""A Store request of any size goes to disk as it comes: the memory of a serving process does not grow with it.

STOW_MEGABYTES (600) is the size of the largest part.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from adapters.dicom.content import part10
from adapters.dicom.transport.stow import build_router
from adapters.files.store import FileObjectStore
from adapters.web.server import HttpServer
from gateway.settings import HttpSettings
from gateway.study import Principal
from tests.dicom_intake import StoreIntake
from tests.dicom_objects import SERIES, part10_bytes, slice_dataset
from tests.peers.receiving import memory

pytestmark = [pytest.mark.peer, pytest.mark.slow]
MEGABYTES = int(os.environ.get("STOW_MEGABYTES", "600"))
MOST_GROWTH = 48 * 1024 * 1024
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


def _serve(folder: Path, ready: Any) -> None:
    def anyone(request: Request) -> Principal:
        return Principal("pacs")

    app = FastAPI()
    app.include_router(build_router(StoreIntake(FileObjectStore(folder, 0)), anyone, 2**40))
    server = HttpServer(app, HttpSettings(port=0))
    server.start()
    ready.send(server.port)
    threading.Event().wait()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """(process id, port)."""
    ours, theirs = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=_serve, args=(tmp_path / "objects", theirs))
    process.start()
    try:
        yield process.pid or 0, ours.recv()
    finally:
        process.kill()
        process.join()


def large(number: int, megabytes: int) -> Iterator[bytes]:
    """A Part 10 file with so many megabytes of pixels."""
    dataset = slice_dataset(number)
    head = part10_bytes(dataset)[:-512 - 4]
    noise = random.Random(number).randbytes(1024 * 1024)
    yield head + (megabytes * len(noise)).to_bytes(4, "little")
    for _ in range(megabytes):
        yield noise


def request(*parts: Iterator[bytes]) -> Iterator[bytes]:
    for part in parts:
        yield b"--limit\r\nContent-Type: application/dicom\r\n\r\n"
        yield from part
        yield b"\r\n"
    yield b"--limit--\r\n"


def post(port: int, content: Iterator[bytes]) -> httpx.Response:
    return httpx.post(f"http://127.0.0.1:{port}/dicom-web/studies", content=content, timeout=300, trust_env=False,
                      headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary=limit'})


@pytest.mark.timeout(120 + MEGABYTES)
def test_memory_does_not_grow_with_the_request(serving: tuple[int, int], tmp_path: Path) -> None:
    pid, port = serving
    assert post(port, request(large(1, 1))).status_code == 200
    before = memory(pid, "VmRSS")
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here
    response = post(port, request(large(2, MEGABYTES), large(3, 1)))
    assert response.status_code == 200, response.text
    assert memory(pid, "VmHWM") - before < MOST_GROWTH
    (stored,) = (tmp_path / "objects").glob(f"*/*/{SERIES}.2.dcm")
    sent, kept = hashlib.sha256(), hashlib.sha256()
    for piece in large(2, MEGABYTES):
        sent.update(piece)
    with stored.open("rb") as file:
        while piece := file.read(1024 * 1024):
            kept.update(piece)
    assert kept.digest() == sent.digest()


def test_a_large_part_cut_short_leaves_nothing_and_harms_no_other(serving: tuple[int, int], tmp_path: Path) -> None:
    _, port = serving
    whole = list(large(2, 20))
    response = post(port, request(large(1, 1), iter(whole[:-1]), large(3, 1)))
    assert response.status_code == 202
    assert [item["00081155"]["Value"] for item in response.json()["00081198"]["Value"]] == [[f"{SERIES}.2"]]
    kept = [path for path in (tmp_path / "objects").rglob("*")
            if path.is_file() and path.suffix not in {".seg", ".lock"}]
    assert sorted(part10.parse(path.read_bytes()).sop_instance_uid for path in kept) == [f"{SERIES}.1", f"{SERIES}.3"]
