"""Fitting a policy for whole clips to trials: gradient ascent on what its settings would have returned.

At each objective a parabola over the fusion is fitted to an episode's returns, and between the objectives these are
interpolated. So an episode says, nearly, what any fusion and any mixture of the objectives would have returned in it,
and the policy's means follow the gradient: nothing has to be explored.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.agents.policies.described import DescribedPolicy
from videoinpaint.agents.policies.export import blank_network
from videoinpaint.agents.policies.heads import GaussianHead
from videoinpaint.agents.trials.clips import ACTIONS, FUSIONS, TRIED, ClipTrials
from videoinpaint.controls import ALPHA, BETA, FUSION, GAMMA, HEADS

BATCH, RATE, DECAY = 32, 1e-3, 0.1
DROPPED, NOISE = 0.3, 0.6
"""Of the features: the share that is left out, and the deviation of what is added, so that few episodes suffice."""
SCALE, BOUND = 300.0, 10.0  # what a return and a squared distance from what was tried weigh
ALL_HEADS = 0.95  # of the range of actions: 11.75 heads, which are 12; a tanh does not reach its end

_TRIED = torch.from_numpy(ACTIONS[:, FUSION])
_LEAST, _MOST = float(_TRIED.min()), float(_TRIED.max())


def fit_by_clip(trials: ClipTrials, *, seed: int = 0, epochs: int = 100) -> DescribedPolicy:
    """See :func:`videoinpaint.agents.trials.building.fit_policy`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = blank_network(DescribedPolicy)
        layers, head = network.mlp_extractor.policy_net, network.action_net
        assert isinstance(network, DescribedPolicy)
        assert isinstance(head, GaussianHead)
        for layer in layers.modules():
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()  # a blank network is the same for every seed
        with torch.no_grad():
            # It begins as the default, whatever it sees.
            head.linear.weight[:5] = 0
            head.linear.bias[HEADS] = math.atanh(ALL_HEADS)
        parameters = [*layers.parameters(), *head.parameters()]
        optimizer = torch.optim.AdamW(parameters, RATE, weight_decay=DECAY)
        seen, surface = trials.seen, parabolas(trials)
        for _ in range(epochs):
            for part in torch.randperm(len(trials)).split(BATCH):
                shown = seen[part, torch.randint(seen.shape[1], (len(part),))]
                shown = F.dropout(shown + NOISE * torch.randn_like(shown), DROPPED)
                actions, _ = head(layers(shown))
                loss = -SCALE * returned(surface[part], actions).mean() + BOUND * untried(actions)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
    return network


def parabolas(trials: ClipTrials) -> Tensor:
    """Of every episode and objective the least squares' parabola over the action's fusion, in returns beyond those of
    the default: coefficients ``(N, objectives, 3)`` of 1, x and x * x. The default counts at its own objective.
    """
    total = trials.returns.double().sum(2)
    beyond, found = total - total[:, :1], []
    for index in range(len(TRIED)):
        at = list(range(1 + index * len(FUSIONS), 1 + (index + 1) * len(FUSIONS)))
        at = [0, *at] if index == 0 else at
        powers = torch.stack([_TRIED[at].double() ** power for power in range(3)], 1)
        found.append(torch.linalg.lstsq(powers, beyond[:, at].T).solution.T)
    return torch.stack(found, 1).float()


def returned(surface: Tensor, actions: Tensor) -> Tensor:
    """What settings would have returned beyond the default ``(B,)``; differentiable.

    Args:
        surface: of :func:`parabolas`, ``(B, objectives, 3)``.
        actions: ``(B, 5)``; a fusion beyond those that were tried counts as the last of them, and objectives beyond the
            three go on as between them, so that a mean that is there has a slope back.
    """
    fusion = actions[:, FUSION].clamp(_LEAST, _MOST)
    beta, side = actions[:, BETA], (actions[:, ALPHA] + actions[:, GAMMA]) / 2
    shares = torch.stack([1 - beta, (beta - side) / 2, (beta + side) / 2], 1)
    powers = torch.stack([fusion**power for power in range(3)], 1)
    return ((surface * powers.unsqueeze(1)).sum(2) * shares).sum(1)


def untried(actions: Tensor) -> Tensor:
    """How far settings are from what was tried: fewer heads, a fusion beyond its ends, alpha and gamma apart, and an
    objective outside of the triangle of those three.
    """
    alpha, beta, gamma = (actions[:, column] for column in (ALPHA, BETA, GAMMA))
    side, fusion = (alpha + gamma) / 2, actions[:, FUSION]
    apart = (alpha - gamma).square() + (side.abs() - beta).clamp_min(0).square()
    beyond = (fusion - fusion.clamp(_LEAST, _MOST)).square()
    return ((actions[:, HEADS] - ALL_HEADS).square() + apart + beyond).mean()
