"""Advantages cell by cell, from rewards that say where they arose (``reward_map=True``).

One number for a whole action tells 24 cells alike that something was good. A reward map tells each what arose there. As
controls change smoothly between cells and networks look beyond their pixel, what a cell does is felt in those around
it: an advantage is the weighted mean (1 2 1) of those of the cell and its neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.buffers import DictRolloutBuffer

from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
from videoinpaint.agents.policies.inputs import Seen
from videoinpaint.agents.ppo.group_baseline import group_advantages
from videoinpaint.agents.ppo.samples import evaluate
from videoinpaint.agents.ppo.view import Arose
from videoinpaint.errors import InputError


def rewards_by_cell(policy: ClosedLoopPolicy, arose: Arose, steps: int, gamma: float) -> NDArray[np.float32]:
    """A rollout's reward maps ``(S, E, K)``, in units in which their mean over cells is the reward.

    What an episode that was cut off would have earned is in them, as it is in Stable-Baselines3's rewards.

    Args:
        policy: one that acts by cell; it says what was still to come.
        arose: what was noted while the rollout was collected.
        steps: of the rollout.
        gamma: discount.

    Raises:
        InputError: a step had no reward map.
    """
    if len(arose.maps) != steps:
        raise InputError("cell_credit needs infos with a reward_map at every step: make them with reward_map=True")
    maps = np.stack(arose.maps)
    maps = (maps * maps.shape[2]).astype(np.float32)
    if arose.cut:
        ends, envs, last = zip(*arose.cut)
        seen = {key: np.stack([one[key] for one in last]) for key in last[0]}
        _, values = evaluate(policy, seen, np.zeros((len(last), 5 * maps.shape[2]), np.float32))
        maps[list(ends), list(envs)] += gamma * values
    return maps


def values_by_cell(policy: ClosedLoopPolicy, buffer: DictRolloutBuffer, last: Seen) -> NDArray[np.float32]:
    """What a policy predicts along a rollout, ``(S + 1, E, K)`` in units of whole returns.

    Args:
        policy: one that acts by cell.
        buffer: the rollout, of S steps in E environments.
        last: what is seen after it, each ``(E, ...)``.
    """
    rows = {key: np.concatenate([seen, last[key][None]]) for key, seen in buffer.observations.items()}
    flat = {key: seen.reshape(-1, *seen.shape[2:]) for key, seen in rows.items()}
    actions = np.zeros(((buffer.buffer_size + 1) * buffer.n_envs, buffer.action_dim), np.float32)
    return evaluate(policy, flat, actions)[1].reshape(buffer.buffer_size + 1, buffer.n_envs, -1)


def cell_advantages(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    starts: NDArray[np.bool_],
    gamma: float,
    gae_lambda: float,
) -> NDArray[np.float32]:
    """Generalised advantage estimation for every cell by itself.

    Args:
        rewards: ``(S, E, K)``, steps by environments by cells, in units of whole rewards: their mean over cells is the
            reward.
        values: ``(S + 1, E, K)`` likewise, that of the last observation at the end.
        starts: ``(S + 1, E)``, whether an episode begins there.
        gamma: discount.
        gae_lambda: of the estimation.

    Returns:
        ``(S, E, K)``.
    """
    found, after = np.zeros_like(rewards), np.zeros_like(rewards[0])
    for step in reversed(range(len(rewards))):
        going_on = (~starts[step + 1])[:, None].astype(np.float32)
        error = rewards[step] + gamma * values[step + 1] * going_on - values[step]
        found[step] = after = error + gamma * gae_lambda * going_on * after
    return found


def smoothed(by_cell: NDArray[np.float32], grid: tuple[int, int]) -> NDArray[np.float32]:
    """Weighted means of cells and their neighbours, (1 2 1) in both directions, borders continued.

    Args:
        by_cell: ``(..., rows * columns)``.
        grid: rows and columns.
    """
    maps = by_cell.reshape(-1, *grid)
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    return ((down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]) / 4).reshape(by_cell.shape).astype(np.float32)


def group_cell_advantages(
    advantages: NDArray[np.float32], starts: NDArray[np.bool_], group_size: int, begun: NDArray[np.int64]
) -> NDArray[np.float32]:
    """:func:`videoinpaint.agents.ppo.group_baseline.group_advantages` for every cell, ``(S, E, K)``."""
    cells = [group_advantages(advantages[..., k], starts, group_size, begun) for k in range(advantages.shape[2])]
    return np.stack(cells, axis=-1)
