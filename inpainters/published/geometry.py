"""From the loop's frames to what a published network takes, and back: sizes, ranges, dilated masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

DILATIONS = 4  # of the mask, with a 3x3 cross: what all six inference scripts do
FLAGGED = 0.5  # a pixel is a hole where the mask reaches this


@dataclass(frozen=True)
class Geometry:
    """How frames of any size fit a network.

    Attributes:
        fixed: the only ``(H, W)`` the network works at; frames are resized to it and back.
        resize: sides are resized to the next lower multiple of this (at least one).
        mirror: sides are filled up at the bottom and right to multiples of ``(H, W)`` with mirror images.
    """

    fixed: tuple[int, int] | None = None
    resize: int = 1
    mirror: tuple[int, int] = (1, 1)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """What the network works at, mirrored part included."""
        tall, wide = self._resized(height, width)
        return _up(tall, self.mirror[0]), _up(wide, self.mirror[1])

    def shown(self, height: int, width: int) -> tuple[int, int]:
        """The part of :meth:`size` that shows the frame, without what is mirrored."""
        return self._resized(height, width)

    def to_network(self, frames: Tensor) -> Tensor:
        """Frames ``(B, T, C, H, W)`` of any range at the network's size."""
        return self._mirrored(_resize(frames, self._resized(*frames.shape[-2:])))

    def mask_to_network(self, masks: Tensor) -> Tensor:
        """Masks ``(B, T, 1, H, W)`` as {0, 1} at the network's size, dilated; a flagged pixel is never lost."""
        hard = (masks >= FLAGGED).to(masks.dtype)
        size = self._resized(*masks.shape[-2:])
        if tuple(masks.shape[-2:]) != size:
            hard = _flat(hard, lambda flat: F.adaptive_max_pool2d(flat, size))
        return self._mirrored(dilate(hard))

    def from_network(self, frames: Tensor, height: int, width: int) -> Tensor:
        """Undo :meth:`to_network` for frames of ``height`` x ``width``."""
        tall, wide = self._resized(height, width)
        return _resize(frames[..., :tall, :wide], (height, width))

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if self.fixed is not None:
            return self.fixed
        return max(height // self.resize, 1) * self.resize, max(width // self.resize, 1) * self.resize

    def _mirrored(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        x = _fill_up(x, -2, _up(height, self.mirror[0]))
        return _fill_up(x, -1, _up(width, self.mirror[1]))


def dilate(masks: Tensor, times: int = DILATIONS) -> Tensor:
    """Binary masks ``(B, T, 1, H, W)`` grown ``times`` times by a 3x3 cross (a diamond of that radius)."""

    def grow(flat: Tensor) -> Tensor:
        for _ in range(times):
            upright = F.max_pool2d(flat, (3, 1), stride=1, padding=(1, 0))
            flat = torch.maximum(upright, F.max_pool2d(flat, (1, 3), stride=1, padding=(0, 1)))
        return flat

    return _flat(masks, grow)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _fill_up(x: Tensor, axis: int, length: int) -> Tensor:
    while x.shape[axis] < length:  # more than once only where frames are less than half as large as a multiple
        x = torch.cat([x, x.flip(axis)], axis)
    return x.narrow(axis, 0, length)


def _resize(frames: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(frames.shape[-2:]) == size:
        return frames
    return _flat(frames, lambda x: F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True))


def _flat(x: Tensor, call: Callable[[Tensor], Tensor]) -> Tensor:
    return call(x.flatten(0, 1)).unflatten(0, x.shape[:2])
