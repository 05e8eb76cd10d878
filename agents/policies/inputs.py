"""What a policy looks at: how it is made of observations, and which observation spaces a policy can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.errors import InputError

Seen = dict[str, NDArray[Any]]
"""A batch of what a policy looks at, as arrays."""


@dataclass(frozen=True)
class PolicyInput:
    """What a policy looks at, so that whoever shows it the same observation often (a training) makes it once.

    Attributes:
        space: its space, for clips of so many frames, of this height and width.
        look: makes it of ``frames (B, 3T, H, W)`` and ``masks (B, T, H, W)`` in 0..255.
    """

    space: Callable[[int, int, int], spaces.Dict]
    look: Callable[[Tensor, Tensor], dict[str, Tensor]]

    def show(self, observation: Mapping[str, Any]) -> Seen:
        """What it looks at, as arrays, of a batch of observations: arrays, or tensors on any device.

        It is made where the observations are: what is made of them on a GPU is small when it comes over.
        """
        frames, masks = (torch.as_tensor(observation[key]) for key in ("frames", "masks"))
        return {name: seen.cpu().numpy() for name, seen in self.look(frames, masks).items()}


def check_space(space: spaces.Space, **entries: tuple[int | None, ...]) -> None:
    """Check that a policy can read observations of a space.

    Args:
        space: it must have frames and masks, or what the policy makes of them; entries of other names are not read.
        **entries: what the policy reads instead of frames and masks and the shape it must have, None for any size; the
            first one replaces them, the others are optional beside it.

    Raises:
        InputError: it has neither, or one of another shape.
    """
    shapes = {k: s.shape for k, s in space.spaces.items()} if isinstance(space, spaces.Dict) else {}
    frames, masks = shapes.get("frames"), shapes.get("masks")
    whole = frames and masks and len(frames) == len(masks) == 3 and frames == (3 * masks[0], *masks[1:])
    own = next(iter(entries))
    if (own in shapes or whole) and all(_fits(shapes[k], wanted) for k, wanted in entries.items() if k in shapes):
        return
    told = " and ".join(f"{k} {str(wanted).replace('None', 'any')}" for k, wanted in entries.items())
    raise InputError(f"the policy needs frames (3T, H, W) and masks (T, H, W), or {told}, got {shapes or space}")


def _fits(shape: tuple[int, ...] | None, wanted: tuple[int | None, ...]) -> bool:
    return shape is not None and len(shape) == len(wanted) and all(w in (None, s) for s, w in zip(shape, wanted))
