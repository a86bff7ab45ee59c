"""Archives and files that are made to do harm: each is refused in words, unread where that can be."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import socket
import stat
import struct
import tempfile
import threading
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from adapters.web.archive import Member, checked, members
from adapters.web.tables_out import cell, csv_line
from gateway.errors import Unreadable
from gateway.settings import HttpSettings, Settings
from tests.archives import zipped
from tests.web_fakes import World, fake_object, serving

LIMIT = 10 * 1024 * 1024


def taken(content: bytes, name: str = "a.zip") -> list[Member]:
    return [checked(member) for member in members(io.BytesIO(content), name, LIMIT)]


@pytest.mark.parametrize("name", ["../../evil.dcm", "/etc/cron.d/evil.dcm", "..\\..\\evil.dcm", "C:\\evil.dcm",
                                  "\\evil.dcm", "a/../../b.dcm"])
def test_names_that_lead_out_are_refused_and_the_others_taken(name: str) -> None:
    told = taken(zipped((name, fake_object("1")), ("good.dcm", fake_object("2"))))
    assert ["leads out" in told[0].reason, told[1].reason] == [True, ""]


def test_links_and_devices_are_refused() -> None:
    link = zipfile.ZipInfo("link.dcm")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    (member,) = taken(zipped((link, b"/etc/passwd")))
    assert "link" in member.reason


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = zipped(*[(f"{n}.dcm", fake_object("") + bytes(3_000_000)) for n in range(5)])
    tracemalloc.start()
    with pytest.raises(Unreadable, match="unpacks to more"):
        taken(bomb)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_a_bomb_of_junk_is_not_unpacked_at_all() -> None:
    told = taken(zipped(("zeros.bin", bytes(9_000_000)), ("good.dcm", fake_object("1"))))
    assert [bool(member.reason) for member in told] == [True, False]


def test_a_member_that_unpacks_too_well_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.web.archive._SUSPECT_BYTES", 1_000_000)
    (member,) = taken(zipped(("a.dcm", fake_object("") + bytes(3_000_000))))
    assert "200 times" in member.reason


def test_a_size_that_lies_is_found_out() -> None:
    content = bytearray(zipped(("a.dcm", fake_object("x" * 5000))))
    place = content.index(b"PK\1\2")
    content[place + 24:place + 28] = struct.pack("<I", 200)
    (member,) = taken(bytes(content))
    assert "damaged" in member.reason


def test_an_archive_within_the_archive_is_not_unpacked() -> None:
    inner = zipped(("bomb.dcm", fake_object("") + bytes(1_000_000)))
    (member,) = taken(zipped(("inner.zip", inner)))
    assert "within the archive" in member.reason


def test_a_directory_that_would_fill_the_memory_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    many = zipped(*[(f"{n}.dcm", b"") for n in range(3000)])
    monkeypatch.setattr("adapters.web.archive._LARGEST_DIRECTORY", 100_000)
    with pytest.raises(Unreadable, match="more than 50000 files"):
        taken(many)


@pytest.mark.parametrize(("start", "word"), [
    (b"MZ\x90\0", "Windows program"), (b"\x7fELF", "program"), (b"<html><script>", "HTML"), (b"%PDF-1.7", "PDF"),
    (b"\xef\xbb\xbf <!DOCTYPE html>", "HTML"), (b"#!/bin/sh\n", "script"), (b"PK\3\4", "zip"), (b"\x89PNG", "PNG"),
    (b"\n\n%PDF-1.4", "PDF"), (b"{\\rtf1", "RTF"), (b"/*", "script"), (b"\0junk<ScRiPt>1</script>", "HTML"),
    (b"x<?php system(1) ?>", "HTML")])
def test_a_dicom_file_that_is_something_else_as_well_is_refused(start: bytes, word: str) -> None:
    content = start.ljust(128, b"\0") + fake_object("x")[128:]
    (member,) = taken(content, "a.dcm")
    assert "DICOM object and" in member.reason
    assert word in member.reason


@pytest.mark.parametrize("after", [b"", b"PK\5\6" + bytes(3), b"x" * 60_000])
@pytest.mark.parametrize("comment", [b"", b"a comment", b"c" * 60_000])
def test_a_dicom_file_that_ends_as_a_zip_is_refused(after: bytes, comment: bytes) -> None:
    packed = io.BytesIO(zipped(("a.exe", b"MZ")))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.comment = comment
    content = fake_object("x") + packed.getvalue() + after
    (member,) = taken(content, "a.dcm")
    assert ("zip archive" in member.reason) == zipfile.is_zipfile(io.BytesIO(content))


def test_bytes_that_only_look_like_the_end_of_a_zip_are_fine() -> None:
    pixels = fake_object("x") + b"PK\5\6" + bytes(range(1, 100))
    (member,) = taken(pixels, "a.dcm")
    assert not member.reason


def test_the_preamble_of_a_tiff_file_is_fine() -> None:
    (member,) = taken(b"II*\0".ljust(128, b"\0") + fake_object("x")[128:], "a.dcm")
    assert not member.reason


@pytest.mark.parametrize("content", [b"<html><script>alert(1)</script></html>", b"", b"\0" * 5000, b"hello", b"GIF89a"])
def test_what_is_no_dicom_is_refused_in_words(content: bytes) -> None:
    (member,) = taken(content, "page.dcm")
    assert "not a DICOM file" in member.reason


def test_a_large_object_is_a_view_of_a_file_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    large = fake_object("") + os.urandom(9_000_000)
    (member,) = taken(zipped(("a.dcm", large)))
    assert isinstance(member.content, memoryview)
    assert member.content == large
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------ over HTTP


@pytest.fixture
def small() -> World:
    return World(Settings(http=HttpSettings(maximum_upload_bytes=200_000)))


def test_a_stream_that_never_ends_is_refused_and_leaves_nothing(small: World) -> None:
    def endless() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.dcm"\r\n\r\n'
        for _ in range(400):
            yield b"x" * 65536

    with serving(small.app()) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        before = open_temporary_files()
        for path in ("/api/studies", "/api/predict", "/api/explain"):
            told = client.post(path, content=endless(), headers={"Content-Type": "multipart/form-data; boundary=b"})
            assert (told.status_code, "200000 bytes" in told.json()["detail"]) == (413, True)
            assert b"413" in announced(url, path)
        assert client.get("/healthz").status_code == 200
        gc.collect()
        assert open_temporary_files() == before
    assert small.intake.taken == []


def announced(url: str, path: str) -> bytes:
    """The first line of the answer to a body of 5 GB that is only announced."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 20) as peer:
        peer.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5000000000\r\n"
                     "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b".encode())
        return peer.recv(65536).splitlines()[0]


def open_temporary_files() -> int:
    links = []
    for name in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(name.readlink()))
    return sum("/tmp/" in link and "deleted" in link for link in links)


def test_bodies_that_are_no_form_are_refused_in_words(small: World) -> None:
    with serving(small.app()) as url, httpx.Client(base_url=url, trust_env=False) as client:
        for body, kind in ((b"x", "multipart/form-data; boundary=b"), (b"x", "multipart/form-data"),
                           (b"{}", "text/html"),
                           (b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n',
                            "multipart/form-data; boundary=b")):
            told = client.post("/api/studies", content=body, headers={"Content-Type": kind})
            assert told.status_code in {400, 422}
            assert told.headers["content-type"] == "application/problem+json"
            assert told.json()["detail"]


def test_uploads_together_stay_within_bounds(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.web.guard.UPLOADS_AT_ONCE", 0)
    with serving(small.app()) as url, httpx.Client(base_url=url, trust_env=False) as client:
        told = client.post("/api/studies", files={"file": ("a.dcm", fake_object("1"))})
        assert (told.status_code, "busy" in told.json()["detail"]) == (503, True)
        assert client.get("/api/worklist").status_code == 200


def test_a_body_that_stops_coming_is_refused(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.web.guard.IDLE_SECONDS", 0.2)
    with serving(small.app()) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 20) as peer:
            peer.sendall(b"POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n"
                         b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b")
            answer = b""
            while piece := peer.recv(65536):
                answer += piece
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"stopped coming" in answer


def test_a_body_that_drips_is_refused(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def drops() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.dcm"\r\n\r\n'
        for _ in range(500):
            threading.Event().wait(0.02)
            yield b"x"

    monkeypatch.setattr("adapters.web.guard.IDLE_SECONDS", 0.2)
    with serving(small.app()) as url, httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
        with contextlib.suppress(httpx.TransportError):  # the connection is closed while the drops still come
            told = client.post("/api/predict", content=drops(),
                               headers={"Content-Type": "multipart/form-data; boundary=b"})
            assert told.status_code == 408
        assert client.get("/healthz").status_code == 200


# ------------------------------------------------------------ tables


@pytest.mark.parametrize(("value", "told"), [
    ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"), ("+1", "'+1"), ("-1", "'-1"), ("@SUM(A1)", "'@SUM(A1)"),
    (-0.5, "-0.5"),
    ("\t=1", "'\t=1"), (None, ""), (3, "3"), ("Иванова", "Иванова"), (True, "True")])
def test_no_spreadsheet_takes_a_cell_for_a_formula(value: object, told: str) -> None:
    assert cell(value) == told
    assert csv_line([value, 'a"b']).endswith(',"a""b"\r\n')
