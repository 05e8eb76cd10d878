"""skrl wraps the vector form by itself and trains its PPO on it."""

from __future__ import annotations

import gymnasium
import pytest
import torch
from torch import nn

pytest.importorskip("skrl")

from skrl.agents.torch.ppo import PPO
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import DeterministicMixin, GaussianMixin, Model
from skrl.trainers.torch import SequentialTrainer
from skrl.utils.spaces.torch import unflatten_tensorized_space


class Network(nn.Module):
    """skrl flattens observations; this puts them together again."""

    def __init__(self, space: gymnasium.Space, outputs: int) -> None:
        super().__init__()
        layers = [nn.Conv2d(8, 8, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
        self.space, self.layers = space, nn.Sequential(*layers, nn.Linear(32, outputs))

    def forward(self, flat):
        observation = unflatten_tensorized_space(self.space, flat)
        return self.layers(torch.cat([observation["frames"], observation["masks"]], 1).float() / 255)


class Policy(GaussianMixin, Model):
    def __init__(self, env) -> None:
        Model.__init__(self, observation_space=env.observation_space, action_space=env.action_space, device="cpu")
        GaussianMixin.__init__(self, clip_actions=True)
        self.network, self.log_std = Network(env.observation_space, 5), nn.Parameter(torch.zeros(5))

    def compute(self, inputs, role=""):
        return self.network(inputs["observations"]), {"log_std": self.log_std}


class Value(DeterministicMixin, Model):
    def __init__(self, env) -> None:
        Model.__init__(self, observation_space=env.observation_space, action_space=env.action_space, device="cpu")
        DeterministicMixin.__init__(self)
        self.network = Network(env.observation_space, 1)

    def compute(self, inputs, role=""):
        return self.network(inputs["observations"]), {}


def test_ppo_trains(small, tmp_path):
    torch.manual_seed(0)
    env = wrap_env(gymnasium.make_vec("VideoInpaint-v1", num_envs=2, **small))
    assert env.num_envs == 2
    policy = Policy(env)
    quiet = {"write_interval": 0, "checkpoint_interval": 0, "directory": str(tmp_path)}
    agent = PPO(
        models={"policy": policy, "value": Value(env)},
        memory=RandomMemory(memory_size=8, num_envs=2, device="cpu"),
        observation_space=env.observation_space,
        action_space=env.action_space,
        device="cpu",
        cfg={"rollouts": 8, "learning_epochs": 1, "mini_batches": 2, "experiment": quiet},
    )
    before = policy.network.layers[0].weight.detach().clone()
    SequentialTrainer(env=env, agents=agent, cfg={"timesteps": 8, "disable_progressbar": True}).train()
    after = policy.network.layers[0].weight
    assert after.isfinite().all()
    assert not torch.equal(before, after)
