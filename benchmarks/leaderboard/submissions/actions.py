"""Actions of a submission: five numbers an iteration for the whole frame, or by cell of a grid rows of columns of such.

Heads lie in [-1.4, 1] where cells, or the whole frame, may be skipped; everything else lies in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from videoinpaint.benchmarks.leaderboard.submissions.folder import HIGHEST
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite
from videoinpaint.checks import check_grid, is_number
from videoinpaint.controls import HEADS, SKIP, least_action
from videoinpaint.envs.actions import action_space
from videoinpaint.envs.ids import effective_kwargs
from videoinpaint.errors import InputError

LONGEST = 1000
"""Actions of an episode."""


def action_space_of(suite: FrozenSuite) -> spaces.Box:
    """What one action of a suite's environment is: shape ``(5,)``, or ``(rows, columns, 5)``, and its range.

    Raises:
        UnknownNameError: nothing answers to the environment's id.
        InputError: its action grid is none.
    """
    arguments = effective_kwargs(suite.env_id, suite.env_kwargs)
    grid = arguments.get("action_grid")
    cells = () if grid is None else check_grid(grid, arguments["height"], arguments["width"])
    return action_space((*cells, 5), skips=bool(arguments.get("skips")))


def skips_in(space: spaces.Box) -> bool:
    """Whether actions of :func:`action_space_of` may skip."""
    return bool(space.low.min() < -1)


def check_actions(actions: Any, where: str) -> None:
    """See that a value is a list of actions, of whichever environment.

    Raises:
        InputError: it is none, empty, or longer than any episode.
    """
    if not isinstance(actions, list) or not 1 <= len(actions) <= LONGEST or not all(map(_is_action, actions)):
        raise InputError(
            f"the actions in {where} must be lists of five numbers in [-1, 1], or by cell of a grid rows of columns of "
            f"such lists; heads from {SKIP} where an environment skips"
        )


def check_fit(episode: Mapping[str, Any], space: spaces.Box, env_id: str) -> None:
    """See that an episode's actions are those of its environment.

    Args:
        episode: whose actions passed :func:`check_actions`.
        space: see :func:`action_space_of`.
        env_id: for the message.

    Raises:
        InputError: they have another shape, or skip where nothing can be skipped.
    """
    whose = f"the actions of the episode of seed {episode['seed']}"
    if other := [shape for action in episode["actions"] if (shape := np.shape(action)) != space.shape]:
        by_cell = len(space.shape) == 3
        told = "rows and columns of cells, with five numbers each" if by_cell else "five numbers for the whole frame"
        raise InputError(f"{whose} have the shape {other[0]}, those of {env_id} {space.shape}: {told}")
    if not skips_in(space) and min(np.min(np.asarray(action)[..., HEADS]) for action in episode["actions"]) < -1:
        raise InputError(f"{whose} must be lists of five numbers in [-1, 1]: nothing can be skipped in {env_id}")


def _is_action(value: Any) -> bool:
    """Five numbers, or rows of equally many of them."""
    if _is_cell(value):
        return True
    if not isinstance(value, list) or not value or not all(isinstance(row, list) and row for row in value):
        return False
    return len({len(row) for row in value}) == 1 and all(_is_cell(cell) for row in value for cell in row)


def _is_cell(value: Any) -> bool:
    lowest = (SKIP, *least_action()[1:].tolist())  # as it is written, which float32 rounds
    return (
        isinstance(value, list)
        and len(value) == 5
        and all(is_number(one, HIGHEST) and low <= one <= 1 for low, one in zip(lowest, value))
    )
