"""A group shares its clips: the baseline removes what they share and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv

from videoinpaint.agents.ppo.algorithm import ClosedLoopPPO
from videoinpaint.agents.ppo.group_baseline import group_advantages
from videoinpaint.agents.ppo.training import TrainConfig, train
from videoinpaint.agents.ppo.view import TrainingView
from videoinpaint.errors import InputError

NOTHING = np.zeros(4, np.int64)


def starts(environments: int, episodes: int = 2, length: int = 3) -> NDArray[np.float32]:
    marks = np.zeros((episodes * length, environments), np.float32)
    marks[::length] = 1
    return marks


def noise(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_what_a_group_shares_is_removed_and_what_differs_stays() -> None:
    own = noise((6, 4))
    by_clip = noise((2, 2), 1) * 100
    difficulty = by_clip.repeat(3, axis=0).repeat(2, axis=1)  # of each group's clip, episode by episode
    a = group_advantages(own, starts(4), 2, NOTHING)
    b = group_advantages(own + difficulty, starts(4), 2, NOTHING)
    np.testing.assert_allclose(a, b, atol=1e-3)
    np.testing.assert_allclose(a[:, 0], own[:, 0] - own[:, 1], atol=1e-6)  # leave one out: the other is the baseline


def test_groups_of_one_change_nothing() -> None:
    own = noise((6, 4))
    np.testing.assert_array_equal(group_advantages(own, starts(4), 1, NOTHING), own)


def test_episodes_that_began_before_the_rollout_are_left_alone() -> None:
    own, marks = noise((6, 2)), starts(2)
    marks[0] = 0
    result = group_advantages(own, marks, 2, np.array([5, 5]))
    np.testing.assert_array_equal(result[:3], own[:3])
    np.testing.assert_allclose(result[3:, 0], own[3:, 0] - own[3:, 1], atol=1e-6)


def test_environments_that_drift_apart_in_time_are_still_compared_on_the_same_clip() -> None:
    # The first began its sixth episode at step 0 and its seventh at step 2; the second its sixth at step 1.
    marks = np.zeros((4, 2), np.float32)
    marks[[0, 2], 0] = 1
    marks[1, 1] = 1
    own = noise((4, 2))
    result = group_advantages(own, marks, 2, np.array([5, 5]))
    np.testing.assert_allclose(result[0, 0], own[0, 0] - own[1, 1], atol=1e-6)
    np.testing.assert_allclose(result[1, 0], own[1, 0] - own[2, 1], atol=1e-6)
    np.testing.assert_array_equal(result[2:, 0], own[2:, 0])  # its seventh, which the other has not reached
    np.testing.assert_array_equal(result[3:, 1], own[3:, 1])  # a third iteration, which the first did not make
    # One episode behind, its next episode is on another clip than the first one's at the same time.
    behind = group_advantages(own, starts(2, 1, 4), 2, np.array([5, 4]))
    np.testing.assert_array_equal(behind, own)


def test_the_algorithm_counts_the_episodes_of_every_environment(toy_env: type) -> None:
    env = TrainingView(DummyVecEnv([lambda length=length: toy_env(length) for length in (2, 3)]))
    model = ClosedLoopPPO(env, group_size=2, n_steps=6, batch_size=6, n_epochs=1, device="cpu")
    model.learn(24)
    assert model.episodes_begun.tolist() == [6, 4]


def test_environments_of_a_group_play_the_same_clips_in_training(tmp_path: Path, toy_env: type) -> None:
    seen = []

    class Watched(DummyVecEnv):
        def step_wait(self):
            observation, *rest = super().step_wait()
            seen.append(observation["frames"].copy())
            return observation, *rest

    def make(config: TrainConfig) -> DummyVecEnv:
        return Watched([toy_env for _ in range(config.num_envs)])

    config = TrainConfig(tmp_path / "run", steps=24, num_envs=4, n_steps=6, group_size=2, device="cpu", progress=False)
    train(config, make_env=make)
    assert all((frames[0] == frames[1]).all() and (frames[2] == frames[3]).all() for frames in seen)
    assert not all((frames[0] == frames[2]).all() for frames in seen)


def test_groups_must_fit() -> None:
    with pytest.raises(InputError, match="group_size=3"):
        TrainConfig("nowhere", num_envs=8, group_size=3)  # type: ignore[arg-type]
