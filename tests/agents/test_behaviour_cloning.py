"""Behaviour cloning: what the network takes over from the expert, and what stays its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import VecEnv

from videoinpaint.agents import make_policy
from videoinpaint.agents.policies.acting import NetworkPolicy
from videoinpaint.agents.policies.baselines import RandomPolicy
from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
from videoinpaint.agents.policies.export import blank_network
from videoinpaint.agents.policies.heads import LEAST_ROOM
from videoinpaint.agents.policies.protocol import Policy
from videoinpaint.agents.ppo.behaviour_cloning import REACHED, clone_behaviour
from videoinpaint.agents.ppo.training import TrainConfig, train
from videoinpaint.controls import action_to_controls
from videoinpaint.envs.sb3 import make_sb3_vec
from videoinpaint.errors import InputError, UnknownNameError

SETTINGS = {"num_envs": 2, "n_steps": 6, "device": "cpu", "progress": False, "learning_rate": 1e-9}


class Brightness:
    """Heads by the picture, and an action beyond what a tanh reaches."""

    def act(self, observation):
        actions = np.zeros((len(observation["masks"]), 5), np.float32)
        actions[:, 0] = np.where(observation["frames"].mean((1, 2, 3)) > 127, 0.6, -0.4)
        actions[:, 1] = -1
        return actions


class Silent:
    def act(self, observation):
        return None


def test_the_mean_becomes_the_experts_and_nothing_else_changes(toy_vec: VecEnv) -> None:
    network = blank_network()
    with torch.no_grad():
        network.action_net.linear.weight[5:].mul_(100)  # a deviation that differs from state to state
    before = {name: value.clone() for name, value in network.state_dict().items()}
    toy_vec.seed(0)
    observation = toy_vec.reset()
    assert isinstance(observation, dict)
    shown = {key: torch.from_numpy(value) for key, value in ClosedLoopPolicy.input_for((5,)).show(observation).items()}
    deviation = _in_the_middle(network, shown)
    toy_vec.seed(0)
    difference = clone_behaviour(network, Brightness(), toy_vec, 24)
    assert difference < 0.1
    changed = {name.rsplit(".", 2)[0] for name, value in network.state_dict().items() if not value.equal(before[name])}
    assert changed == {"mlp_extractor.policy_net", "action_net"}
    acted = NetworkPolicy(network).act(observation)
    np.testing.assert_allclose(acted, Brightness().act(observation).clip(-REACHED, REACHED), atol=0.25)
    assert np.abs(acted[:, 1]).mean() == pytest.approx(REACHED, abs=0.025)
    torch.testing.assert_close(_in_the_middle(network, shown), deviation, atol=0.03, rtol=0)


def _in_the_middle(network: ClosedLoopPolicy, shown: dict) -> torch.Tensor:
    """The deviation that the policy would have, were its mean 0."""
    distribution = network.get_distribution(shown).distribution
    return (distribution.stddev / (1 - distribution.mean**2).clamp_min(LEAST_ROOM)).detach()


@pytest.mark.parametrize("name", ["the plan", "its clone"])
def test_a_plan_tells_iterations_apart_and_so_does_its_clone(name: str, small: dict) -> None:
    policy: Policy = make_policy("heads6then2")
    env = make_sb3_vec(2, **small | {"num_frames": 4})
    if name == "its clone":
        network = blank_network()
        env.seed(100)
        clone_behaviour(network, policy, env, 12)
        policy = NetworkPolicy(network)
    env.seed(3)
    observation = env.reset()
    for heads in (6, 2, 2, 6, 2, 2):
        assert isinstance(observation, dict)
        actions = policy.act(observation)
        chosen = action_to_controls(actions)[:, 0]
        np.testing.assert_allclose(chosen, heads, atol=0 if name == "the plan" else 1)
        observation, *_ = env.step(actions)
    env.close()


def test_the_clone_of_a_plan_that_stops_stops(small: dict) -> None:
    env = make_sb3_vec(2, **small | {"num_frames": 4, "skips": True})
    network = blank_network(skips=True)
    env.seed(100)
    clone_behaviour(network, make_policy("heads6once"), env, 12)
    env.seed(100)  # the episodes that were cloned: so few of them say little of others
    observation = env.reset()
    for stops in (False, True) * 3:
        assert isinstance(observation, dict)
        actions = NetworkPolicy(network).act(observation)
        assert ((action_to_controls(actions, skips=True)[:, 0] == 0) == stops).all()
        observation, _, ended, _ = env.step(actions)
        assert (ended == stops).all()
    env.close()


def test_training_begins_as_the_cloned_policy(tmp_path: Path, make_toys) -> None:
    config = TrainConfig(output=tmp_path / "run", steps=12, clone="heads12", **SETTINGS)
    result = train(config, make_env=make_toys)
    toys = make_toys(config)
    toys.seed(0)
    observation = toys.reset()
    expected = make_policy("heads12").act(observation).clip(-REACHED, REACHED)
    np.testing.assert_allclose(make_policy(result.policy).act(observation), expected, atol=0.1)
    with pytest.raises(InputError, match="clone"):
        train(replace(config, clone=None, resume=True), make_env=make_toys)


def test_the_episodes_of_training_are_those_without_cloning(tmp_path: Path, make_toys) -> None:
    # The expert's setting is the default, and the rate is nothing: both runs are one, but for the sampled actions.
    runs = [
        train(TrainConfig(output=tmp_path / str(name), steps=12, clone=name, **SETTINGS), make_env=make_toys)
        for name in (None, "heads4")
    ]
    light = [run.curve[0]["metrics/psnr"] for run in runs]  # the toy's psnr is its light, whatever one does
    assert light[0] == light[1]


def test_a_behaviour_policy_of_its_own_is_cloned_too(tmp_path: Path, make_toys) -> None:
    config = TrainConfig(output=tmp_path / "run", steps=12, clone="heads12", sync_every=2, **SETTINGS)
    assert train(config, make_env=make_toys).curve[0]["controls/heads"] > 10


def test_unknown_and_useless_experts_are_named_before_work(tmp_path: Path, make_toys, toy_vec: VecEnv) -> None:
    with pytest.raises(UnknownNameError, match="nobody"):
        train(TrainConfig(output=tmp_path / "run", clone="nobody", **SETTINGS), make_env=make_toys)
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="the cloned policy"):
        clone_behaviour(blank_network(), Silent(), toy_vec, 1)


def test_it_is_the_same_twice_with_an_expert_that_remembers(toy_vec: VecEnv) -> None:
    networks, expert = [blank_network() for _ in range(2)], RandomPolicy(seed=1)
    for network in networks:
        toy_vec.seed(5)
        clone_behaviour(network, expert, toy_vec, 6)
    one, two = (network.state_dict() for network in networks)
    assert all(torch.equal(one[name], two[name]) for name in one)
