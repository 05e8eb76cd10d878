"""Advantages cell by cell, from rewards that say where they arose (``reward_map=True``).

One number for a whole action tells 24 cells alike that something was good. A reward map tells each what arose there. As
controls change smoothly between cells and networks look beyond their pixel, what a cell does is felt in those around
it: an advantage is the weighted mean (1 2 1) of those of the cell and its neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from videoinpaint.agents.ppo.group_baseline import group_advantages


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
