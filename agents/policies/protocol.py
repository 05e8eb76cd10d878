"""What a policy is, and what whoever runs one checks."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from videoinpaint.controls import as_numbers, clip_action
from videoinpaint.errors import InputError
from videoinpaint.plugins import told_as

Observation = dict[str, NDArray[np.uint8]]
"""``frames`` uint8 ``(B, 3T, H, W)`` and ``masks`` uint8 ``(B, T, H, W)``: always a batch, also of one."""


@runtime_checkable
class Policy(Protocol):
    """Anything that chooses actions.

    A policy may also have ``reset()``: whoever runs it calls that whenever a batch of episodes begins, so that a policy
    with a memory or a random generator gives the same episodes twice, in whatever order they are played.
    """

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """Actions float32 ``(B, 5)`` in [-1, 1] (heads, fusion, alpha, beta, gamma) for a batch of observations."""
        ...


@runtime_checkable
class ActsByCell(Protocol):
    """A policy that can choose for each cell of an action grid (optional); others choose the same for all cells.

    It may also have ``trained_grid``, the rows and columns over which it chooses in a repair that names no grid.
    """

    def act_by_cell(self, observation: Observation, rows: int, columns: int) -> NDArray[np.float32]:
        """Actions float32 ``(B, rows, columns, 5)`` in [-1, 1] for a batch of observations, on any grid."""
        ...


def acts_by_cell(policy: Policy) -> bool:
    """Whether a policy may choose otherwise from cell to cell: some that have ``act_by_cell`` say not ``by_cell``."""
    return isinstance(policy, ActsByCell) and bool(getattr(policy, "by_cell", True))


def choose(
    policy: Policy, observation: Observation, shape: tuple[int, ...] = (5,), name: str = "the policy"
) -> NDArray[np.float32]:
    """A policy's actions for a batch of observations, in the shape in which an environment takes them.

    Args:
        policy: one with ``act_by_cell`` chooses for every cell, where there are cells; others the same everywhere.
        observation: of the batch.
        shape: of one action: ``(5,)``, or ``(rows, columns, 5)`` where the environment has an action grid.
        name: the policy's, for the message.

    Raises:
        InputError: the policy returns another shape, or values that are not finite.
        PluginError: a policy of your own fails.
    """
    count = len(observation["masks"])
    if len(shape) == 3 and isinstance(policy, ActsByCell):
        with told_as("policy", policy, "act_by_cell"):
            by_cell = policy.act_by_cell(observation, *shape[:2])
        return check_actions(by_cell, count, name, shape)
    with told_as("policy", policy, "act"):
        actions = policy.act(observation)
    checked = check_actions(actions, count, name)
    return everywhere(checked, *shape[:2]) if len(shape) == 3 else checked


def everywhere(actions: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Actions ``(B, 5)`` as a map ``(B, rows, columns, 5)`` that is the same in all cells."""
    return np.broadcast_to(actions[:, None, None], (len(actions), rows, columns, 5)).copy()


def check_actions(
    actions: Any, count: int, name: str = "the policy", shape: tuple[int, ...] = (5,)
) -> NDArray[np.float32]:
    """What a policy returned, as float32 ``(B, *shape)`` clipped to [-1, 1], heads to [-1.4, 1] (see ``skips``).

    Raises:
        InputError: another shape, or values that are not finite.
    """
    array = as_numbers(actions, f"an action of {name}").astype(np.float32)
    if array.shape != (count, *shape):
        raise InputError(f"{name} must return actions of shape {(count, *shape)}, got {array.shape}")
    return clip_action(array)


def reset_policy(policy: Policy) -> None:
    """Call the policy's ``reset()`` if it has one."""
    reset = getattr(policy, "reset", None)
    if callable(reset):
        with told_as("policy", policy, "reset"):
            reset()
