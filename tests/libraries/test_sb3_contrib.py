"""SB3-contrib: recurrent PPO on both observations, and an off-policy learner whose buffer thumbnails keep small."""

from __future__ import annotations

import numpy as np
import pytest

from videoinpaint.envs import make_sb3_vec
from videoinpaint.envs.wrappers import Thumbnails

contrib = pytest.importorskip("sb3_contrib")


def test_recurrent_ppo_trains(small):
    env = make_sb3_vec(2, seed=0, **small)
    model = contrib.RecurrentPPO(
        "MultiInputLstmPolicy", env, n_steps=8, batch_size=8, n_epochs=1, policy_kwargs={"lstm_hidden_size": 16}, seed=0
    )
    before = model.policy.action_net.weight.detach().clone()
    model.learn(16)
    assert not np.array_equal(before, model.policy.action_net.weight.detach())
    assert np.isfinite([episode["r"] for episode in model.ep_info_buffer]).all()


def test_off_policy_on_thumbnails_trains(env):
    small = Thumbnails(env, 36, 36)
    model = contrib.TQC(
        "MultiInputPolicy", small, learning_starts=4, buffer_size=32, batch_size=4, train_freq=2, seed=0, verbose=0
    )
    model.learn(10)
    assert model.replay_buffer.observations["frames"].shape == (32, 1, 6, 36, 36)
    assert model._n_updates > 0
    action, _ = model.predict(small.reset(seed=1)[0], deterministic=True)
    assert small.action_space.contains(action)
