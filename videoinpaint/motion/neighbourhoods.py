"""Maxima and means over square windows around every pixel, one direction after the other, and means over cells."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cell_means(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images ``(N, C, H, W)`` at another size: each pixel the mean of those that fall into its cell."""
    height, width = images.shape[2:]
    if height % size[0] == 0 and width % size[1] == 0:  # whole cells have a faster kernel
        return F.avg_pool2d(images, (height // size[0], width // size[1]))
    return F.adaptive_avg_pool2d(images, size)


def window_max(x: Tensor, radius: int) -> Tensor:
    """The largest value within ``radius`` pixels in each direction, windows cut at the border; same shape, same bits
    as max pooling with stride 1.

    Args:
        x: floating-point ``(..., H, W)``.
        radius: 0 leaves ``x`` as it is.
    """
    for dim, pad in ((-1, (radius, radius)), (-2, (0, 0, radius, radius))):
        x = F.pad(x, pad, value=float("-inf"))
        covered, size = 1, 2 * radius + 1
        while covered < size:  # windows of 1, 2, 4, ... pixels, until the last step overlaps
            step = min(covered, size - covered)
            count = x.shape[dim] - step
            x = torch.maximum(x.narrow(dim, 0, count), x.narrow(dim, step, count))
            covered += step
    return x


def window_mean(x: Tensor, radius: int, *, repeat_border: bool = False) -> Tensor:
    """The mean within ``radius`` pixels in each direction, same shape.

    Args:
        x: floating-point ``(N, C, H, W)``.
        radius: 1 or a few pixels; :func:`videoinpaint.metrics.quality.box_mean` is cheaper for many.
        repeat_border: continue the border's pixels outwards; else windows are cut at the border.
    """
    sides = (radius, radius, radius, radius)
    sums = F.pad(x, sides, mode="replicate") if repeat_border else F.pad(x, sides)
    for dim in (-1, -2):
        size = x.shape[dim]
        total = sums.narrow(dim, 0, size) + sums.narrow(dim, 1, size)
        for step in range(2, 2 * radius + 1):
            total += sums.narrow(dim, step, size)
        sums = total
    if repeat_border:
        return sums / (2 * radius + 1) ** 2
    rows, columns = (_counts(size, radius, x) for size in x.shape[-2:])
    return sums / (rows.unsqueeze(1) * columns)


def _counts(size: int, radius: int, like: Tensor) -> Tensor:
    """How many pixels a window holds along one direction."""
    at = torch.arange(size, device=like.device)
    return ((at + radius).clamp(max=size - 1) - (at - radius).clamp(min=0) + 1).to(like.dtype)
