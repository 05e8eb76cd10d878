"""The action space of the environments, and whether another environment's is the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from videoinpaint.checks import shown
from videoinpaint.controls import least_action
from videoinpaint.errors import InputError


def action_space(shape: tuple[int, ...] = (5,), *, skips: bool = False) -> spaces.Box:
    """What an agent may choose: at most 1, and at least -1, or -1.4 for heads where they may skip.

    Args:
        shape: ``(5,)``, or with an action grid ``(rows, columns, 5)``.
        skips: whether cells, or the whole frame, may be skipped.
    """
    lowest = np.broadcast_to(least_action(skips), shape)
    return spaces.Box(lowest, np.ones_like(lowest), dtype=np.float32)


def check_action_space(space: spaces.Space[Any], whose: str) -> bool:
    """Whether actions of this space may skip.

    Args:
        space: what is to be an :func:`action_space`.
        whose: who chooses the actions, for the message.

    Raises:
        InputError: it has another shape or range, as under `NaturalControls` or Gymnasium's `RescaleAction`: the same
            numbers would mean other controls.
    """
    if isinstance(space, spaces.Box) and len(space.shape) in (1, 3) and space.shape[-1] == 5:
        for skips in (False, True):
            ours = action_space(space.shape, skips=skips)
            if np.allclose(space.low, ours.low) and np.allclose(space.high, ours.high):
                return skips
    raise InputError(
        f"{whose} takes actions (5,) or (rows, columns, 5) in [-1, 1], heads from -1.4 with skips=True: these are "
        f"{shown(space)}, so leave out wrappers that change them (NaturalControls, RescaleAction)"
    )
