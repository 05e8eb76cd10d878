"""Evaluation through the vector environment, the oracle and the best fixed setting."""

from __future__ import annotations

import json
from dataclasses import replace

import gymnasium
import numpy as np
import pytest

from videoinpaint.agents import evaluate
from videoinpaint.agents.evaluation.episodes import make_evaluation_env
from videoinpaint.agents.evaluation.oracle import best_fixed, controls_grid, oracle_return
from videoinpaint.agents.policies.baselines import FixedPolicy, HeuristicPolicy
from videoinpaint.controls import MIDDLE, Controls, controls_to_action
from videoinpaint.errors import InputError


def test_records_are_those_of_single_environments(small: dict) -> None:
    records = evaluate("heads4", small, seeds=[5, 6, 7], num_envs=2)
    assert [r.seed for r in records] == [5, 6, 7]
    env = gymnasium.make("VideoInpaint-v0", **small)
    for record in records:
        env.reset(seed=record.seed)
        rewards = []
        for _ in range(record.length):
            _, reward, terminated, _, info = env.step(FixedPolicy(replace(MIDDLE, heads=4)).action)
            rewards.append(reward)
        assert terminated
        np.testing.assert_allclose(record.rewards, rewards, rtol=1e-5)
        np.testing.assert_allclose(record.episode_return, sum(rewards), rtol=1e-5)
        assert record.clip == info["clip"]
        assert set(record.metrics) == {"psnr", "ssim", "lpips", "perceptual", "wta", "psnr_hole"}
        np.testing.assert_allclose(record.metrics["psnr_hole"], info["metrics"]["psnr_hole"], rtol=1e-4)
        assert [c["heads"] for c in record.controls] == [4] * record.length


def test_records_repeat_and_are_plain(small: dict) -> None:
    env = make_evaluation_env(2, env_kwargs=small)
    one, two = (evaluate("random", seeds=[1, 2], env=env) for _ in range(2))
    assert one == two
    json.dumps([record.as_dict() for record in one])
    assert evaluate("random", seeds=[1, 2], env=env, seed=1) != one
    assert evaluate("random", seeds=[], env=env) == []


def test_a_policy_that_misbehaves_is_named(small: dict) -> None:
    class Short:
        def act(self, observation):
            return np.zeros((1, 4))

    with pytest.raises(InputError, match=r"Short.*\(2, 5\)"):
        evaluate(Short(), small, seeds=[1, 2], num_envs=2)


GRID = controls_grid(heads=(2, 4, 7, 10, 12), fusion=(0.65,))


def test_the_oracle_finds_the_best_of_the_grid_in_every_state(toy_env: type) -> None:
    env = toy_env()
    result = oracle_return(env, GRID, seed=3)
    env.reset(seed=3)
    by_hand = []
    for controls in GRID:
        copy = toy_env()
        copy.reset(seed=3)
        by_hand.append(copy.step(controls_to_action(controls.to_array()[None])[0])[1])
    np.testing.assert_allclose(result.record.episode_return, 3 * max(by_hand))
    assert result.tried == 3 * len(GRID)
    env.reset(seed=3)
    np.testing.assert_allclose(sum(env.step(action)[1] for action in result.actions), result.record.episode_return)


def test_a_wide_search_sees_a_trap_that_a_greedy_one_falls_into(toy_env: type) -> None:
    class Trap(toy_env):
        """The first step's best control costs more at the second."""

        def step(self, action):
            observation, _, _, truncated, info = super().step(action)
            high = action[0] > 0
            if self.n == 1:
                self.light = 1.0 if high else 0.0
                return observation, 1.0 if high else 0.5, False, truncated, info
            return observation, -2.0 if self.light else 1.0, True, truncated, info

    grid = controls_grid(heads=(2, 12), fusion=(0.65,))
    greedy, wide = (oracle_return(Trap(), grid, seed=0, width=width) for width in (1, None))
    assert greedy.record.episode_return == -1
    assert wide.record.episode_return == 1.5
    assert wide.tried == 2 + 4


def test_the_oracle_beats_fixed_controls_on_the_environment(small: dict) -> None:
    small = small | {"inpainter": "compact", "detector": "none", "max_iterations": 2}
    grid = controls_grid(heads=(2, 12), fusion=(0.5, 0.8))
    env = gymnasium.make("VideoInpaint-v0", **small)
    found = oracle_return(env, grid, seed=11, width=None)
    for controls in grid:
        fixed = evaluate(FixedPolicy(controls), small, seeds=[11], num_envs=1)[0]
        assert found.record.episode_return >= fixed.episode_return - 1e-4


def test_a_score_of_ones_own_is_maximised(toy_env: type) -> None:
    found = oracle_return(toy_env(), GRID, seed=3, score=lambda record: -record.controls[-1]["heads"])
    assert {c["heads"] for c in found.record.controls} == {2}


def test_best_fixed_ranks_the_grid(small: dict) -> None:
    grid = [Controls(alpha=0.8), Controls(alpha=1.0)]
    best = best_fixed(small, grid, seeds=[1, 2], num_envs=2)
    assert best.controls.alpha == 1.0  # the weights scale the reward
    assert [controls.alpha for controls, _ in best.scores] == [1.0, 0.8]
    mean = np.mean([r.episode_return for r in evaluate(best.policy(), small, seeds=[1, 2], num_envs=2)])
    np.testing.assert_allclose(best.score, mean, rtol=1e-6)


def test_bad_searches(small: dict, toy_env: type) -> None:
    with pytest.raises(InputError, match="grid"):
        oracle_return(toy_env(), [], seed=0)
    with pytest.raises(InputError, match="grid"):
        best_fixed(small, [])
    with pytest.raises(InputError, match="get_state"):
        oracle_return(gymnasium.make("CartPole-v1"), seed=0)


def test_heuristic_runs_through_the_environment(small: dict) -> None:
    assert len(evaluate(HeuristicPolicy(), small, seeds=[0], num_envs=1)) == 1
