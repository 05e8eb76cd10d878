"""What :func:`check_policy` requires of policies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoinpaint.agents.policies.protocol import ActsByCell, Observation, reset_policy
from videoinpaint.controls import clip_action
from videoinpaint.testing.rules import TOLERANCE, check_methods, require


def check_policy(
    policy: Any, *, num_frames: int = 4, height: int = 48, width: int = 64, deterministic: bool = True
) -> None:
    """Check a policy: an object with one method, ``act(observation) -> actions``, on batches.

    Where it has ``act_by_cell``, too, that is checked likewise. ``reset`` is called before each call, if it is there.

    Args:
        policy: the policy.
        num_frames: frames in the observations it is tried on.
        height: their height.
        width: their width.
        deterministic: also ask for the same actions for the same observations, alone or in a batch. False for policies
            that draw; what one remembers it has to forget in ``reset``.

    Raises:
        AssertionError: a rule is broken; the message names it.
    """
    check_methods(policy, "a policy", ("act",))
    rng = np.random.default_rng(0)
    shapes = {"frames": (3, 3 * num_frames, height, width), "masks": (3, num_frames, height, width)}
    observation = {key: rng.integers(0, 256, shape, np.uint8) for key, shape in shapes.items()}
    observation["masks"][:, :, : height // 2] = 0
    forget = partial(reset_policy, policy)

    def act(seen: Observation) -> NDArray[np.float32]:
        forget()
        return policy.act(seen)

    _check_choice("act", act, observation, (5,), deterministic)
    if isinstance(policy, ActsByCell):
        rows, columns = 2, 3

        def act_by_cell(seen: Observation) -> NDArray[np.float32]:
            forget()
            return policy.act_by_cell(seen, rows, columns)

        _check_choice("act_by_cell", act_by_cell, observation, (rows, columns, 5), deterministic)


def _check_choice(
    method: str,
    act: Callable[[Observation], Any],
    observation: Observation,
    shape: tuple[int, ...],
    deterministic: bool,
) -> None:
    """One of a policy's methods on a batch of three, and on the first of them alone; `shape` is that of one action."""
    copy = {key: value.copy() for key, value in observation.items()}
    actions = act(observation)
    _check_actions(method, actions, (3, *shape))
    same = all(np.array_equal(copy[key], observation[key]) for key in copy)
    require(same, f"{method} does not write to its observation")
    one = {key: value[:1] for key, value in observation.items()}
    alone = act(one)
    _check_actions(method, alone, (1, *shape))
    if deterministic:
        same = np.array_equal(act(observation), actions)
        require(same, f"{method} is deterministic: same observation, same actions (reset makes a policy forget)")
        gap = float(np.abs(act(one)[0] - actions[0]).max())
        require(gap <= TOLERANCE, f"an observation alone gives the same action as in a batch, they differ by {gap:.2g}")


def _check_actions(method: str, actions: Any, shape: tuple[int, ...]) -> None:
    require(isinstance(actions, np.ndarray), f"{method} returns a NumPy array, got {type(actions).__name__}")
    told = "one action of 5 values an observation" if len(shape) == 2 else "an action of 5 values for every cell"
    require(actions.shape == shape, f"{method} returns {told}, {shape}, got {actions.shape}")
    require(actions.dtype == np.float32, f"actions are float32, got {actions.dtype}")
    inside = bool(np.isfinite(actions).all() and (clip_action(actions) == actions).all())
    require(inside, "actions lie in [-1, 1], heads in [-1.4, 1] (below -1.2 to skip), and hold no NaN")
