"""The data directory's lock, and the demonstration's folder that is emptied."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.demo.show import empty
from adapters.files.lock import DataDirectoryLock
from gateway.errors import ConfigurationError


def test_a_data_directory_has_one_gateway_which_keeps_its_name(tmp_path: Path) -> None:
    first = DataDirectoryLock(tmp_path / "data")
    with pytest.raises(ConfigurationError, match="another gateway is running"):
        DataDirectoryLock(tmp_path / "data")
    first.release()
    again = DataDirectoryLock(tmp_path / "data")
    again.release()
    assert again.executor_id == first.executor_id


def test_a_directory_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="data_dir: nothing can be written to"):
        DataDirectoryLock(tmp_path / "data")


def test_only_a_demonstration_that_has_ended_is_emptied(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    empty(folder)
    (folder / "gateway.yaml").write_text("x")
    running = DataDirectoryLock(folder / "data")
    with pytest.raises(ConfigurationError, match="a demonstration is running"):
        empty(folder)
    running.release()
    empty(folder)
    assert list(folder.iterdir()) == []


def test_a_folder_with_anything_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(ConfigurationError, match=r"thesis\.txt"):
        empty(tmp_path)
    assert (tmp_path / "thesis.txt").is_file()
