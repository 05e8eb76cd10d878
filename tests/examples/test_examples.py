"""The examples run, and do what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from videoinpaint.agents import evaluate, make_policy
from videoinpaint.testing import check_policy

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = {"num_frames": 2, "height": 40, "width": 48, "inpainter": "telea", "detector": "none", "device": "cpu"}


def test_ten_lines_plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    policy = make_policy("ten_lines:Cautious")
    check_policy(policy)
    records = evaluate("ten_lines:Cautious", SMALL, seeds=[1, 2], num_envs=2)
    assert {c["heads"] for r in records for c in r.controls} <= {4, 12}


def test_ten_lines_are_about_ten() -> None:
    code = (EXAMPLES / "ten_lines.py").read_text().split('"""', 2)[2]
    assert len([line for line in code.splitlines() if line.strip() and '"""' not in line]) <= 10


def test_train_ppo_trains_and_saves(tmp_path: Path, load_example: Callable[[str], ModuleType]) -> None:
    model = load_example("train_ppo").main(steps=16, n_steps=4, output=str(tmp_path / "model"), **SMALL)
    assert (tmp_path / "model.zip").exists()
    shape = model.observation_space["frames"].shape
    action, _ = model.predict({"frames": np.zeros(shape, np.uint8), "masks": np.zeros((2, 40, 48), np.uint8)})
    assert action.shape == (5,)


def test_the_single_file_learns_from_whole_rollouts(load_example: Callable[[str], ModuleType]) -> None:
    example = load_example("ppo_single_file")
    agent, curve = example.main(steps=24, num_envs=2, rollout=6, **SMALL)
    again, same = example.main(steps=24, num_envs=2, rollout=6, **SMALL)
    assert len(curve) == 2
    assert np.isfinite(curve).all()
    assert curve == same
    assert all(torch.equal(a, b) for a, b in zip(agent.parameters(), again.parameters()))
