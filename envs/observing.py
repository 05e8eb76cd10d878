"""What agents see of a state: the repair and the predicted mask, as pictures."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.protocols import State

Observation = dict[str, NDArray[np.uint8]]


def observe(state: State, prefix: str = "") -> Observation:
    """What agents see: ``frames`` uint8 ``(B, 3T, H, W)`` and ``masks`` uint8 ``(B, T, H, W)``, new arrays.

    Args:
        state: a loop's, or one in which the loop's entries begin with `prefix`.
        prefix: with its slash.
    """
    return {name: picture.cpu().numpy() for name, picture in pictures(state, prefix).items()}


def pictures(state: State, prefix: str = "") -> dict[str, Tensor]:
    """As :func:`observe`, new tensors where the state is."""
    return {name: _to_uint8(state[prefix + key]) for name, key in (("frames", "repaired"), ("masks", "masks"))}


def masks_space(env: gymnasium.Env) -> spaces.Box:
    """The space of an environment's ``masks``, whose shape is ``(T, H, W)`` where no wrapper changed it."""
    observation_space: Any = env.observation_space
    return observation_space["masks"]


def _to_uint8(values: Tensor) -> Tensor:
    return values.flatten(1, 2).mul(255).round_().clamp_(0, 255).to(torch.uint8)


def frames_of(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames ``(3T, H, W)`` of an observation as pictures ``(T, H, W, 3)``, a view of them."""
    return frames.reshape(-1, 3, *frames.shape[1:]).transpose(0, 2, 3, 1)
