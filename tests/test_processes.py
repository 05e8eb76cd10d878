"""What fails in one of several processes is told at once."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from videoinpaint.processes import in_processes

CALL = """
import pathlib, time

def call(path):
    path = pathlib.Path(path)
    path.touch()
    if path.name == "0":
        raise MemoryError("no room")
    time.sleep(0.3)
"""


def test_whatever_an_item_raises_ends_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing_call.py").write_text(CALL)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "begun").mkdir()
    call = importlib.import_module("failing_call").call
    with pytest.raises(MemoryError, match="no room"):
        in_processes(call, [str(tmp_path / "begun" / str(number)) for number in range(30)], workers=1)
    assert len(list((tmp_path / "begun").iterdir())) < 30  # some are on their way when the first fails
