"""A few hundred damaged inputs, and a few kills; both are commands for thousands."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from videoinpaint.errors import InputError
from videoinpaint.testing import fuzz, kills


def command(module: str, *words: str) -> str:
    """In a process of its own: alarms, forks and the peak of memory are a process's."""
    done = subprocess.run(
        [sys.executable, "-m", f"videoinpaint.testing.{module}", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_damaged_inputs_are_refused_or_used_and_nothing_else() -> None:
    shown = command("fuzz", "--cases", "260")
    *_, total = (line for line in shown.splitlines() if line.startswith("all "))
    refused, result, *faults = map(int, total.split()[1:])
    assert faults == [0, 0, 0], shown
    assert refused + result == 260
    assert min(refused, result) > 20, "the mutations are too strong, or too weak, to say anything"
    assert float(re.search(r"peak memory ([\d.]+) GiB", shown)[1]) < 2


def test_kills_leave_nothing_half_written() -> None:
    assert "every rerun equal" in command("kills", "--count", "16", "--each", "8", "--iterations", "6")


def boom() -> None:
    raise IndexError("boom")


def refuse() -> None:
    raise InputError("no")


@pytest.mark.parametrize(
    ("case", "outcome"),
    [
        (boom, "foreign"),
        (refuse, "refused"),
        (lambda: {"a": [1.0, torch.tensor([2.0, torch.inf])]}, "silent"),
        (lambda: [np.array([np.nan])], "silent"),
        (lambda: {"a": ["text", 1, np.zeros(3)]}, "result"),
        (lambda: time.sleep(5), "hung"),
    ],
)
def test_outcomes_are_told_apart(case, outcome: str) -> None:
    assert fuzz._outcome(case, 0.3)[0] == outcome


@pytest.mark.parametrize(
    ("case", "told"),
    [(boom, "Traceback"), (lambda: np.nan, "not finite: nan"), (lambda: time.sleep(5), "no end within 0.3 s")],
)
def test_a_case_alone_tells_where_it_fails_or_else_how(case, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fuzz.KINDS, "mine", lambda bench, rng: case())
    (fault,) = fuzz.run(fuzz.Fuzz(only=7, kinds=("mine",), seconds=0.3)).faults
    assert fault.startswith("case 7 (mine): ")
    assert told in fault


def test_half_a_file_is_seen(tmp_path) -> None:
    kills.work(tmp_path, 2)
    assert set(kills.whole(tmp_path)) == {"checkpoint.pt", *kills.RESULTS}
    path = tmp_path / kills.RESULTS[0]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match="safetensors"):
        list(kills.whole(tmp_path))
