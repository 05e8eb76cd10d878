"""Work on the frames of a batch a few at a time, as many as a processor's cache holds.

Layers that look at single frames read and write more than their arithmetic is worth once a batch outgrows the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

TOGETHER = 8 * 120 * 216
"""Pixels that are worked on together: an episode of the default size, or two frames of 432x240."""

Made = TypeVar("Made", Tensor, tuple[Tensor, Tensor])


def framewise(work: Callable[..., Made], *planes: Tensor) -> Made:
    """``work(*planes)`` for tensors whose first dimension counts frames, which must not depend on one another.

    On a GPU, which wants much at once, all frames are worked on together, as where a compiler fuses the work.

    Args:
        work: makes a tensor, or two, with as many frames as it is given.
        planes: tensors ``(N, ...)``; the last two sides of the first one are those of a frame.
    """
    first = planes[0]
    few = max(1, TOGETHER // (first.shape[-2] * first.shape[-1]))
    if first.device.type != "cpu" or len(first) <= few or torch.compiler.is_compiling():
        return work(*planes)
    parts = [work(*part) for part in zip(*(plane.split(few) for plane in planes), strict=True)]
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)
    return tuple(torch.cat(one) for one in zip(*parts))  # type: ignore[return-value]  # as many as `work` makes
