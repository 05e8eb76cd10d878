"""Fitting a policy over a grid to trials: gradient ascent on what its settings would have returned.

Where a table of returns is known for every cell, nothing has to be explored: returns are interpolated between the
settings that were tried, and the policy's means follow their gradient, from the best plan on. One episode teaches all
of its cells. Where an agent may stop, the first pass is worth what it returned, and every later one is worth what it
added, if it is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.agents.policies.export import blank_network
from videoinpaint.agents.policies.heads import GaussianHead
from videoinpaint.agents.policies.regional import RegionalPolicy
from videoinpaint.agents.trials.cells import ENDS, FIRST, OBJECTIVE, PLANS, CellTrials
from videoinpaint.controls import ALPHA, BETA, DEFAULT, FUSION, GAMMA, HEADS, HIGH, LOW, OBJECTIVES, controls_to_action

BATCH, RATE, DECAY = 32, 1e-3, 0.1
DROPPED, NOISE = 0.1, 0.1
"""Of the features: the share that is left out, and the deviation of what is added, so that few episodes suffice."""
IMITATING = 10.0
"""What the squared distance from the plan that is imitated first weighs then; afterwards it weighs a tenth."""
IMITATED = 0.9
"""Of the range of actions, what is imitated of it."""
SCALE = 300.0  # returns are small beside the squared distances that are added to them
_AVERAGE, _OTHER = (0, len(FIRST) - 1), (len(FIRST), len(FIRST) + 1)
"""Among the plans: the fewest and the most heads at either objective."""
_LOOKED = torch.tensor([plan[0].heads for plan in PLANS], dtype=torch.float32)


def fit_by_cell(trials: CellTrials, *, seed: int = 0, epochs: int = 100) -> RegionalPolicy:
    """See :func:`videoinpaint.agents.trials.building.fit_policy`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = blank_network(RegionalPolicy, skips=trials.skips)
        assert isinstance(network, RegionalPolicy)
        head, layers = network.action_net, network.mlp_extractor.policy_net
        assert isinstance(head, GaussianHead)
        for layer in layers.modules():
            if isinstance(layer, nn.Conv2d):
                layer.reset_parameters()  # a blank network is the same for every seed
        parameters = [*layers.parameters(), *head.parameters()]
        optimizer = torch.optim.AdamW(parameters, RATE, weight_decay=DECAY)
        # Where a tanh ends it has no slope left: the ends of ranges are not imitated to the end.
        plan = torch.maximum(best_plan(trials).clamp_max(IMITATED), IMITATED * head.lowest)
        fewest = max(-1.0, IMITATED * float(head.lowest[HEADS]))
        for epoch in range(2 * epochs):
            for part in torch.randperm(len(trials)).split(BATCH):
                optimizer.zero_grad()
                drawn = _drawn(trials, part, plan)
                apart = (_means(layers, head, _noisy(drawn.first)) - drawn.imitated).square().sum(-1).mean()
                if epoch < epochs:
                    after = _means(layers, head, _noisy(drawn.later))[..., HEADS]
                    loss = IMITATING * (apart + (after - fewest).square().mean())
                else:
                    loss = IMITATING / 10 * apart + _loss(layers, head, drawn)
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
    return network


def best_plan(trials: CellTrials) -> Tensor:
    """Actions ``(N, rows, columns, 5)`` of the first pass: where a cell holds a part of a hole as many heads as return
    most if all such cells have them, elsewhere the fewest; the default's objective.
    """
    settings = [plan[0] for plan in PLANS[: len(FIRST)]]
    actions = torch.from_numpy(controls_to_action(np.stack([setting.to_array() for setting in settings])))
    whole = ~trials.influence.any(1)
    returns = trials.returns[:, : len(FIRST), 0]
    best = torch.where(whole[:, None], returns[:, :1], returns).sum((0, 2, 3)).argmax()
    return torch.where(whole.unsqueeze(-1), actions[0], actions[best])


@dataclass(frozen=True)
class _Drawn:
    """Episodes of a batch: features of cells before the first pass and before a later one of one plan, and returns.

    Attributes:
        plan: whose later pass it is.
        may_stop: before it, or not.
        imitated: the best plan's actions before the first pass, ``(B, rows, columns, 5)``.
        first, later: features ``(B, CHANNELS, rows, columns)``.
        influence: as of :class:`CellTrials`.
        worth: of the first pass, plan by plan ``(B, plans, rows, columns)``: its own returns where an agent may stop,
            else those of the whole episode.
        added: of the later pass, the same.
    """

    plan: int
    may_stop: bool
    imitated: Tensor
    first: Tensor
    later: Tensor
    influence: Tensor
    worth: Tensor
    added: Tensor


def _drawn(trials: CellTrials, part: Tensor, imitated: Tensor) -> _Drawn:
    """These episodes, mirrored at random; the plan and the later pass are drawn too."""
    plan = int(torch.randint(len(PLANS), ()))
    later, returns = trials.later[part, plan], trials.returns[part]
    which = int(torch.randint(later.shape[1], ()))
    worth, added = (returns[:, :, 0], returns[:, :, 1 + which]) if trials.skips else (returns.sum(2),) * 2
    mirrored = [axis for axis in (-1, -2) if torch.rand(()) < 0.5]
    around = trials.influence[part].unflatten(1, (3, 3)).flip([axis - 2 for axis in mirrored]).flatten(1, 2)
    shown = (x.flip(mirrored).float() for x in (trials.first[part], later[:, which], around, worth, added))
    return _Drawn(plan, trials.skips, imitated[part].flip([axis - 1 for axis in mirrored]), *shown)


def _loss(layers: nn.Module, head: GaussianHead, drawn: _Drawn) -> Tensor:
    """Of the first pass's settings, and of a later pass's after the plan; to be descended."""
    actions = _means(layers, head, _noisy(drawn.first))
    gain = over_cells(drawn.worth, _heads(actions), actions[..., BETA], drawn.influence).sum((1, 2)).mean()
    after = _means(layers, head, _noisy(drawn.later))
    looked = _LOOKED[drawn.plan].expand(after.shape[:-1])
    added = returned(drawn.added, looked, after[..., BETA]).sum((1, 2))
    if drawn.may_stop:
        # A pass costs the same whether all cells go on or one does: it pays where all do, and is a loss where any does.
        # Of more heads than were tried nothing is known but that they cost more.
        made = (_heads(after) / FIRST[0]).flatten(1)
        added = torch.where(added > 0, made.clamp_max(1).mean(1), made.amax(1)) * added
    gain = gain + added.mean()
    fewest = (after[..., HEADS] + 1).clamp_min(0).square().mean()
    return -SCALE * gain + 0.5 * fewest + 0.3 * (_untried(actions) + _untried(after))


def _noisy(features: Tensor) -> Tensor:
    return F.dropout(features + NOISE * torch.randn_like(features), DROPPED)


def _means(layers: nn.Module, head: GaussianHead, features: Tensor) -> Tensor:
    return head(layers(features))[0].view(len(features), *features.shape[2:], 5)


def _heads(actions: Tensor) -> Tensor:
    return LOW[HEADS] + (actions[..., HEADS] + 1) / 2 * (HIGH[HEADS] - LOW[HEADS])


def _untried(actions: Tensor) -> Tensor:
    """How far settings are from what was tried: another fusion, and an alpha or gamma off the line between the
    objectives, on which beta places them.
    """
    share = actions[..., BETA].clamp(0, 1)
    total = (actions[..., FUSION] - _unit(DEFAULT.fusion, FUSION)).square().mean()
    for column, index in ((ALPHA, 0), (GAMMA, 2)):
        middle, side = (_unit(OBJECTIVES[name][index], column) for name in ("average", OBJECTIVE))
        total = total + (actions[..., column] - torch.lerp(middle, side, share)).square().mean()
    return total


def _unit(value: float, column: int) -> Tensor:
    return torch.tensor(float((value - LOW[column]) / (HIGH[column] - LOW[column]) * 2 - 1))


def over_cells(returns: Tensor, heads: Tensor, objective: Tensor, influence: Tensor) -> Tensor:
    """What a map of settings would have returned in every cell, ``(B, rows, columns)``, as of :func:`returned`.

    Heads and objective are those that cells ask for. A cell that is skipped, with no heads, returns nothing; its
    neighbours take it for one with the fewest (:func:`videoinpaint.controls.refining`).
    """
    laid = laid_over(heads.clamp_min(FIRST[0]), influence)
    return (heads / FIRST[0]).clamp(0, 1) * returned(returns, laid, laid_over(objective, influence))


def returned(returns: Tensor, heads: Tensor, objective: Tensor) -> Tensor:
    """What settings would have returned, interpolated between the plans that were tried; differentiable.

    Args:
        returns: ``(B, plans, rows, columns)``.
        heads: of the first pass, ``(B, rows, columns)``.
        objective: the action's beta, of the same shape, which runs from average at 0 to texture at 1; below 0 nothing
            was tried, and it counts as 0.

    Returns:
        ``(B, rows, columns)``: what heads are worth, and what the other objective adds to it.
    """
    share = ((heads - ENDS[0]) / (ENDS[1] - ENDS[0])).clamp(0, 1)
    average, other = (torch.lerp(returns[:, at[0]], returns[:, at[1]], share) for at in (_AVERAGE, _OTHER))
    return _by_heads(returns, heads) + objective.clamp_min(0) * (other - average)


def laid_over(cells: Tensor, influence: Tensor) -> Tensor:
    """What a map of settings ``(B, rows, columns)`` is in the mean over each cell's missing pixels, the same shape:
    between the centres of cells it is interpolated. Where nothing is missing a cell has its own. `influence` are those
    of :func:`videoinpaint.regions.influence`.
    """
    padded = F.pad(cells[:, None], (1, 1, 1, 1), mode="replicate")
    own = (torch.arange(9) == 4).view(-1, 1, 1).to(influence)
    shares = torch.where(influence.any(1, keepdim=True), influence, own)
    return (F.unfold(padded, 3).view_as(shares) * shares).sum(1)


def _by_heads(returns: Tensor, heads: Tensor) -> Tensor:
    value = returns[:, 0]
    for i, (low, high) in enumerate(pairwise(FIRST)):
        value = value + ((heads - low) / (high - low)).clamp(0, 1) * (returns[:, i + 1] - returns[:, i])
    return value
