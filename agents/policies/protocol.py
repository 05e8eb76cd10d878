"""What a policy is, and what whoever runs one checks."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from videoinpaint.controls import as_numbers
from videoinpaint.errors import InputError

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


def check_actions(actions: Any, count: int, name: str = "the policy") -> NDArray[np.float32]:
    """What a policy returned, as float32 ``(B, 5)`` clipped to [-1, 1].

    Raises:
        InputError: another shape, or values that are not finite.
    """
    array = as_numbers(actions, f"an action of {name}").astype(np.float32)
    if array.shape != (count, 5):
        raise InputError(f"{name} must return actions of shape {(count, 5)}, got {array.shape}")
    return np.clip(array, -1.0, 1.0)


def reset_policy(policy: Policy) -> None:
    """Call the policy's ``reset()`` if it has one."""
    reset = getattr(policy, "reset", None)
    if callable(reset):
        reset()
