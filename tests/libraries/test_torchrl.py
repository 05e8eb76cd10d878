"""TorchRL: its own check of an environment, numbers carried out of the infos, and the example's training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

torchrl_envs = pytest.importorskip("torchrl.envs")


def test_specs_hold_and_infos_become_tensors(small):
    env = torchrl_envs.GymEnv("VideoInpaint-v1", flat_info=True, **small).auto_register_info_dict()
    torchrl_envs.check_env_specs(env)
    env.set_seed(3)
    played = env.rollout(5)
    after = played["next"]
    assert after["frames"].shape == (len(played), 6, 48, 64)
    assert after["frames"].dtype == torch.uint8
    assert after["metrics/psnr_hole"].isfinite().all()
    assert after["iteration"].flatten().tolist() == list(range(1, len(played) + 1))
    assert after["done"].flatten().tolist() == [False] * (len(played) - 1) + [True]


def test_the_example_trains(small, load_example):
    policy, curve = load_example("torchrl_ppo").main(steps=32, batch=16, **small)
    assert len(curve) == 2
    assert np.isfinite(curve).all()
    assert all(value.isfinite().all() for value in policy.parameters())
