"""Behaviour cloning: a new policy first learns to act as another one does, and PPO improves on it from then on.

Where iterations share the work, a policy that begins with one setting for all of them has to unlearn it first: while
all iterations explore, each is worth less than it costs, so that the number of heads falls in all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv
from torch.nn import functional as F

from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
from videoinpaint.agents.policies.heads import GaussianHead
from videoinpaint.agents.policies.inputs import Seen
from videoinpaint.agents.policies.protocol import Observation, Policy, choose, reset_policy
from videoinpaint.agents.ppo.view import on_host

UPDATES = 200
RATE = 2e-3
REACHED = 0.95
"""How much of the way to the bound a mean is cloned: nearer to it a policy's tanh has no gradient to speak of."""


def clone_behaviour(
    network: ClosedLoopPolicy,
    expert: Policy,
    env: VecEnv,
    steps: int,
    show: Callable[[Observation], Seen] | None = None,
) -> float:
    """Fit the mean of a policy's Gaussian to an expert's actions; its deviation, critic and CNN stay as they are.

    Args:
        network: the policy.
        expert: the policy whose actions are learnt. It plays, so the states are those that it comes to.
        env: environments with the observations of `VideoInpaint`, which are left within an episode.
        steps: of each environment.
        show: makes of a batch of observations what the network sees; None: what it looks at.

    Returns:
        the root mean square difference to the expert's actions in the end. These are bounded to ``REACHED`` of their
        range, from where a tanh can still move.

    Raises:
        InputError: the expert returns something else than actions.
    """
    show = network.input_for(network.action_space.shape or ()).show if show is None else show
    reset_policy(expert)
    seen, actions = [], []
    observation = env.reset()
    for _ in range(steps):
        assert isinstance(observation, dict)
        acted = choose(expert, on_host(observation), tuple(env.action_space.shape or ()), "the cloned policy")
        seen.append(show(observation))
        actions.append(acted)
        observation, *_ = env.step(acted)
    device = network.device
    shown = {key: torch.from_numpy(np.concatenate([one[key] for one in seen])).to(device) for key in seen[0]}
    head, layers = network.action_net, network.mlp_extractor.policy_net
    assert isinstance(head, GaussianHead)
    wanted = torch.from_numpy(np.concatenate(actions)).to(device)
    wanted = wanted.view(-1, wanted.shape[-1])  # a policy that acts by cell outputs cell after cell
    wanted = torch.maximum(wanted.clamp_max(REACHED), REACHED * head.lowest)
    with torch.no_grad():
        features = network.extract_features(shown)
        assert isinstance(features, torch.Tensor)
        before = head.linear(layers(features)).chunk(2, dim=1)[1]
    optimizer = torch.optim.Adam([*layers.parameters(), *head.parameters()], lr=RATE)
    for _ in range(UPDATES):
        mean, spread = head.linear(layers(features)).chunk(2, dim=1)
        error = F.mse_loss(head.bounded(mean), wanted)
        optimizer.zero_grad()
        (error + F.mse_loss(spread, before)).backward()
        optimizer.step()
    return float(error.detach().sqrt())
