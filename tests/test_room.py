"""The tests' own rules (conftest.py): they notice what leaves their room."""

import os
import socket
import urllib.request
from pathlib import Path

import pytest

from videoinpaint.weights import cache_dir


def test_other_machines_cannot_be_reached(escaped: list[str]) -> None:
    with pytest.raises(OSError, match="no network"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(OSError, match="no network"):
        urllib.request.urlopen("http://example.org", timeout=1)
    assert len(escaped) == 2
    escaped.clear()


def test_files_outside_the_temporary_folder_are_noticed(
    escaped: list[str], repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    stray = f"stray-{os.getpid()}"
    try:
        Path(stray).write_text("", encoding="utf-8")
        (tmp_path / "one").write_text("")
        (tmp_path / "one").rename(stray)
        Path(f"{stray}/../{stray}-folder").resolve().mkdir()
    finally:
        Path(stray).unlink(missing_ok=True)
        Path(f"{stray}-folder").rmdir()
    assert [line.split()[0] for line in escaped] == ["wrote", "moved", "made"]
    escaped.clear()


def test_fetched_weights_of_this_machine_are_not_seen(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert cache_dir().is_relative_to(tmp_path_factory.getbasetemp())
