"""Stock PPO becomes a file that acts as the policy it was made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from videoinpaint.benchmarks.policies.stock_ppo import Stock, run
from videoinpaint.envs import make_sb3_vec
from videoinpaint.errors import InputError


def test_the_file_acts_and_the_same_seed_gives_the_same(tmp_path: Path) -> None:
    flags = Stock(
        clips="studio:easy", masks="square", num_frames=4, height=40, width=48, steps=8, num_envs=2, n_steps=4,
        batch_size=4, folder=tmp_path / "a",
    )  # fmt: skip
    env = make_sb3_vec(3, flags.env_id, seed=5, clips="studio:easy", masks="square", num_frames=4, height=40, width=48)
    observation = env.reset()
    frames, masks = (torch.from_numpy(observation[key]) for key in ("frames", "masks"))
    actions = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        found = run(replace(flags, folder=tmp_path / name, seed=seed))
        assert found["policy"] == str(tmp_path / name / "policy.pt")
        actions[name] = torch.jit.load(found["policy"])(frames, masks).numpy()
    assert actions["a"].shape == (3, 5)
    assert np.abs(actions["a"]).max() <= 1
    np.testing.assert_array_equal(actions["a"], actions["b"])
    assert np.abs(actions["a"] - actions["c"]).max() > 1e-4
    with pytest.raises(InputError, match="steps"):
        run(replace(flags, steps=0))
