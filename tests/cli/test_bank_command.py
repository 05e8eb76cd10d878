"""`bank`, and a training that draws from one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from videoinpaint.cli import main
from videoinpaint.cli.bank import Build
from videoinpaint.envs.states.episodes import TRAINING_SEEDS

SMALL = [
    "--num-frames",
    "2",
    "--height",
    "36",
    "--width",
    "48",
    "--inpainter",
    "telea",
    "--detector",
    "none",
    "--device",
    "cpu",
]


def test_a_training_builds_its_bank_and_one_that_is_there_is_shown_and_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = tmp_path / "bank"
    train = ["train", "--bank", str(bank), "--bank-episodes", "3", "--steps", "8", "--num-envs", "2", "--n-steps", "4"]
    assert main([*train, *SMALL, "--output", str(tmp_path / "run")]) == 0
    told = capsys.readouterr()
    assert "3 episodes, 3 of them now" in told.out
    assert "steps/s" in told.err  # progress
    assert "steps/s" not in told.out
    assert main(["bank", "show", str(bank)]) == 0
    shown = capsys.readouterr().out
    assert f"3 of 3 episodes of VideoInpaint-v1, from seed {TRAINING_SEEDS}, undamaged" in shown
    assert "2 frames of 36x48" in shown
    before = (bank / "bank.json").stat().st_mtime_ns
    assert main([*train, *SMALL, "--output", str(tmp_path / "again")]) == 0
    assert (bank / "bank.json").stat().st_mtime_ns == before
    assert str(tmp_path).encode() not in (tmp_path / "again" / "policy.safetensors").read_bytes()  # no folder of ours


def test_first_seed_is_where_training_begins() -> None:
    assert Build.first_seed == TRAINING_SEEDS


def test_what_is_no_bank_is_said(tmp_path: Path, fails: Callable[..., str]) -> None:
    assert "holds no bank" in fails("bank", "show", str(tmp_path))
    assert "holds no bank" in fails("bank", "show", str(tmp_path / "absent"))
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.tex").touch()
    assert "holds no bank" in fails("bank", "build", str(tmp_path / "x"), *SMALL)
