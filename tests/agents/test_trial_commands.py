"""``videoinpaint trials``, with an action grid and without one."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest

from videoinpaint.agents.policies.export import load_policy
from videoinpaint.cli import main
from videoinpaint.envs.ids import argument_of


@pytest.mark.parametrize(("env_id", "grid"), [("VideoInpaint-v1", None), ("VideoInpaintRegions-v0", [2, 3])])
def test_the_commands_go_on_and_write_a_policy_that_acts(
    env_id: str, grid: list[int] | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--env-id", env_id, "--num-frames", "2", "--height", "32", "--width", "48"]
    flags += ["--action-grid", *map(str, grid)] if grid else []
    folder, output = tmp_path / "trials", tmp_path / "policy.safetensors"
    assert main(["trials", "build", str(folder), *flags, "--episodes", "1"]) == 0
    assert main(["trials", "build", str(folder), *flags, "--episodes", "2"]) == 0
    assert "2 episodes, 1 of them now" in capsys.readouterr().out
    assert main(["trials", "build", str(folder), *flags, "--episodes", "2", "--max-iterations", "2"]) == 2
    assert "another environment" in capsys.readouterr().err
    assert main(["trials", "fit", str(folder), "--output", str(output), "--epochs", "1"]) == 0
    policy = load_policy(output)
    assert policy.trained_grid == grid
    assert policy.by_cell == (grid is not None)
    assert policy.training["env_id"] == env_id
    assert policy.training["env"]["compute_price"] == argument_of(env_id, {}, "compute_price")
    observation, _ = gymnasium.make(env_id, num_frames=2, height=32, width=48, action_grid=grid).reset(seed=0)
    batch = {name: values[None] for name, values in observation.items()}
    acted = policy.act_by_cell(batch, 4, 5)
    assert acted.shape == (1, 4, 5, 5)
    assert np.abs(acted).max() <= 1
    if grid is None:
        assert np.array_equal(acted, np.broadcast_to(policy.act(batch)[:, None, None], acted.shape))
