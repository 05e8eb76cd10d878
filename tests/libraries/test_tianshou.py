"""Tianshou collects from several environments and trains its PPO on what it collected."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

pytest.importorskip("tianshou")

from tianshou.algorithm import PPO
from tianshou.algorithm.modelfree.reinforce import ProbabilisticActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.utils.torch_utils import policy_within_training_step


class Network(nn.Module):
    """Five means and deviations, or one value."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        layers = [nn.Conv2d(8, 8, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
        self.layers, self.outputs = nn.Sequential(*layers, nn.Linear(32, outputs)), outputs

    def forward(self, observation, state=None, info=None):
        pictures = [torch.as_tensor(observation[key]) for key in ("frames", "masks")]
        found = self.layers(torch.cat(pictures, 1).float() / 255)
        return found if self.outputs == 1 else ((found.tanh(), torch.full_like(found, 0.5)), state)


def test_ppo_collects_and_learns(small):
    torch.manual_seed(0)
    envs = DummyVectorEnv([lambda: gymnasium.make("VideoInpaint-v1", **small) for _ in range(2)])
    policy = ProbabilisticActorPolicy(
        actor=Network(5),
        dist_fn=lambda parameters: Independent(Normal(*parameters), 1),
        action_space=envs.action_space[0],
        observation_space=envs.observation_space[0],
    )
    algorithm = PPO(policy=policy, critic=Network(1), optim=AdamOptimizerFactory(lr=1e-3))
    collector = Collector(algorithm, envs, VectorReplayBuffer(32, 2))
    collector.reset(gym_reset_kwargs={"seed": 0})
    with policy_within_training_step(policy):
        collected = collector.collect(n_step=12)
        before = policy.actor.layers[0].weight.detach().clone()
        losses = algorithm.update(buffer=collector.buffer, batch_size=6, repeat=1)
    assert collected.n_collected_steps == 12
    assert np.isfinite(collected.returns).all()
    assert np.isfinite(losses.get_loss_stats_dict()["loss"])
    assert not torch.equal(before, policy.actor.layers[0].weight)
