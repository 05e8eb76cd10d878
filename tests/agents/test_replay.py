"""The ring of trajectories, importance weights, corrected advantages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import DictRolloutBuffer

from videoinpaint.agents.ppo.replay import ReplayConfig, TrajectoryReplay, corrected_advantages, importance_weights
from videoinpaint.errors import InputError

SPACE = spaces.Dict({"thumbnails": spaces.Box(0, 255, (2, 4, 3, 5), np.uint8)})
ACTIONS = spaces.Box(-1.0, 1.0, (5,), np.float32)


def ring(**kwargs: int) -> TrajectoryReplay:
    return TrajectoryReplay(SPACE, 5, ReplayConfig(**({"trajectories": 4, "max_steps": 3} | kwargs)))  # type: ignore[arg-type]


def add(replay: TrajectoryReplay, value: int, steps: int = 2) -> None:
    seen = {"thumbnails": np.full((steps, 2, 4, 3, 5), value, np.uint8)}
    replay.add(seen, np.full((steps, 5), value), np.full(steps, value), np.full(steps, -value))


def test_the_oldest_make_room() -> None:
    replay = ring()
    for value in range(1, 7):
        add(replay, value)
    assert len(replay) == 4
    assert set(replay.sample(200).rewards[:, 0]) == {3, 4, 5, 6}


def test_memory_is_bounded_and_small_pieces_stay_together() -> None:
    each = ring().bytes_each
    replay = TrajectoryReplay(SPACE, 5, ReplayConfig(trajectories=50_000, max_bytes=10 * each + 5, max_steps=3))
    assert replay.slots == 10
    assert replay.nbytes <= 10 * each
    for value in range(1, 40):
        add(replay, value, steps=1 + value % 3)
    sample = replay.sample(64)
    assert replay.nbytes <= 10 * each
    assert sample.observations["thumbnails"].dtype == np.uint8
    for i in range(len(sample)):
        value, steps = int(sample.rewards[i, 0]), int(sample.valid[i].sum())
        assert steps == 1 + value % 3
        assert (sample.observations["thumbnails"][i, :steps] == value).all()
        assert (sample.actions[i, :steps] == value).all()
        assert not sample.rewards[i, steps:].any()


def test_too_little_memory_and_empty_rings() -> None:
    with pytest.raises(InputError, match="more memory"):
        TrajectoryReplay(SPACE, 5, ReplayConfig(max_bytes=10))
    with pytest.raises(InputError, match="no trajectory"):
        ring().sample(1)


def test_sampling_repeats_by_seed_and_by_state() -> None:
    one, two = ring(), ring()
    for value in range(1, 7):
        add(one, value, 1 + value % 3), add(two, value, 1 + value % 3)
    np.testing.assert_array_equal(one.sample(9).rewards, two.sample(9).rewards)
    copy = ring()
    copy.set_state(one.get_state())
    add(one, 9), add(copy, 9)
    these, those = one.sample(50), copy.sample(50)
    np.testing.assert_array_equal(these.rewards, those.rewards)
    np.testing.assert_array_equal(these.valid, those.valid)


def test_only_whole_episodes_of_a_rollout_are_kept() -> None:
    buffer = DictRolloutBuffer(5, SPACE, ACTIONS, n_envs=2)
    starts = np.array([[0, 1], [1, 0], [0, 0], [1, 1], [0, 0]])  # env 0: cut, two steps, two steps; env 1: three, cut
    for t in range(5):
        seen = {"thumbnails": np.full((2, 2, 4, 3, 5), t, np.uint8)}
        scalars = torch.zeros(2)
        buffer.add(seen, np.zeros((2, 5)), np.full(2, t), starts[t], scalars, scalars)
    replay = ring(trajectories=10)
    assert replay.add_rollout(buffer, np.array([True, False])) == 3
    rewards = {tuple(r[v]) for s in [replay.sample(60)] for r, v in zip(s.rewards, s.valid)}
    assert rewards == {(1, 2), (3, 4), (0, 1, 2)}


def test_weights_are_one_for_the_same_policy_and_bounded_for_another() -> None:
    acted = torch.tensor([-1.0, -2.0, -3.0])
    torch.testing.assert_close(importance_weights(acted, acted, 2.0), torch.ones(3))
    weights = importance_weights(torch.tensor([-1.0, -9.0, 5.0]), acted, 2.0)
    torch.testing.assert_close(weights, torch.tensor([1.0, np.exp(-7.0), 2.0], dtype=torch.float32))


def test_advantages_equal_those_of_stable_baselines_when_nothing_is_stale() -> None:
    rng = np.random.default_rng(0)
    values, rewards = (rng.normal(size=(3, 2)).astype(np.float32) for _ in range(2))  # two episodes of three steps
    buffer = DictRolloutBuffer(3, SPACE, ACTIONS, gae_lambda=0.9, gamma=0.95, n_envs=2)
    for t in range(3):
        seen = {"thumbnails": np.zeros((2, 2, 4, 3, 5), np.uint8)}
        buffer.add(seen, np.zeros((2, 5)), rewards[t], np.full(2, t == 0), torch.from_numpy(values[t]), torch.zeros(2))
    buffer.compute_returns_and_advantage(torch.zeros(2), np.ones(2))
    ones, valid = torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool)
    gain, targets = corrected_advantages(
        torch.from_numpy(values.T), torch.from_numpy(rewards.T), ones, valid, 0.95, 0.9
    )
    np.testing.assert_allclose(gain.numpy(), buffer.advantages.T, atol=1e-5)
    np.testing.assert_allclose(targets.numpy(), buffer.returns.T, atol=1e-5)


def test_padding_changes_nothing_and_unlikely_futures_do_not_count() -> None:
    values, rewards = torch.tensor([[1.0, 2.0, 99.0]]), torch.tensor([[1.0, 5.0, 99.0]])
    valid = torch.tensor([[True, True, False]])
    gain, targets = corrected_advantages(values, rewards, torch.tensor([[1.0, 0.0, 1.0]]), valid, 1.0, 1.0)
    # The second action would not be taken now: the first step's advantage falls back on the value that follows.
    torch.testing.assert_close(gain, torch.tensor([[1.0 + 2.0 - 1.0, 5.0 - 2.0, 0.0]]))
    torch.testing.assert_close(targets, torch.tensor([[3.0, 2.0, 0.0]]))


def test_a_likelier_action_counts_once() -> None:
    values, rewards = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 5.0]])
    gain, targets = corrected_advantages(
        values, rewards, torch.tensor([[1.0, 3.0]]), torch.ones(1, 2, dtype=torch.bool), 1.0, 1.0
    )
    torch.testing.assert_close(gain, torch.tensor([[1.0 + 2.0 - 1.0 + 3.0, 5.0 - 2.0]]))
    torch.testing.assert_close(targets, torch.tensor([[6.0, 5.0]]))
