"""Siblings share a clip: the baseline removes what they share and nothing else."""

import numpy as np
import pytest

from videoinpaint.agents.ppo.siblings import sibling_advantages
from videoinpaint.agents.ppo.training import TrainConfig
from videoinpaint.errors import InputError


def rollout(clips, length=3, seed=0):
    """Observations whose first step shows the clip; ``clips (E, episodes)``."""
    rng = np.random.default_rng(seed)
    environments, episodes = clips.shape
    starts = np.zeros((episodes * length, environments), np.float32)
    starts[::length] = 1
    seen = rng.integers(0, 255, (episodes * length, environments, 4), dtype=np.uint8)
    seen[::length] = clips.T[..., None]
    return starts, seen


def test_what_siblings_share_is_removed_and_what_differs_stays():
    clips = np.array([[1, 2], [1, 2], [3, 4], [3, 4]], np.uint8)
    starts, seen = rollout(clips)
    rng = np.random.default_rng(1)
    own = rng.normal(size=starts.shape).astype(np.float32)
    difficulty = np.repeat(rng.normal(size=(2, 2)) * 100, 3, axis=0).repeat(2, axis=1).astype(np.float32)
    a = sibling_advantages(own, starts, seen)
    b = sibling_advantages(own + difficulty, starts, seen)
    assert np.allclose(a, b, atol=1e-3)
    assert np.allclose(a[:, 0], own[:, 0] - own[:, 1], atol=1e-6)  # leave one out: the other is the baseline


def test_without_siblings_nothing_changes():
    starts, seen = rollout(np.array([[1, 2], [3, 4]], np.uint8))
    own = np.random.default_rng(0).normal(size=starts.shape).astype(np.float32)
    assert np.array_equal(sibling_advantages(own, starts, seen), own)


def test_episodes_that_began_before_the_rollout_are_left_alone():
    starts, seen = rollout(np.array([[1, 2], [1, 2]], np.uint8))
    starts[0] = 0
    own = np.random.default_rng(0).normal(size=starts.shape).astype(np.float32)
    result = sibling_advantages(own, starts, seen)
    assert np.array_equal(result[:3], own[:3])
    assert not np.array_equal(result[3:], own[3:])


def test_siblings_that_drift_apart_in_time_are_still_found():
    starts = np.zeros((4, 2), np.float32)
    starts[[0, 1], [0, 1]] = 1
    seen = np.arange(8, dtype=np.uint8).reshape(4, 2, 1)
    seen[0, 0] = seen[1, 1] = 99
    own = np.ones((4, 2), np.float32)
    assert np.allclose(sibling_advantages(own, starts, seen)[[0, 1], [0, 1]], 0)


def test_groups_must_fit():
    with pytest.raises(InputError, match="siblings=3"):
        TrainConfig("nowhere", num_envs=8, siblings=3)
