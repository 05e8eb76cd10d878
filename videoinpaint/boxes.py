"""Boxes of pixels, everywhere in one order: ``(top, left, bottom, right)``, the last two just beyond the box."""

from __future__ import annotations

from types import EllipsisType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Box = tuple[int, int, int, int]
"""``(top, left, bottom, right)``; the whole frame is ``(0, 0, H, W)``."""


def box_of(masks: Tensor | NDArray[Any]) -> Box | None:
    """The smallest box around all positive pixels of masks ``(..., H, W)``; None where there are none."""
    positive = (masks.detach() > 0).cpu().numpy() if isinstance(masks, Tensor) else masks > 0
    flat = np.logical_or.reduce(positive.reshape(-1, *positive.shape[-2:]), axis=0)
    rows, columns = np.flatnonzero(flat.any(1)), np.flatnonzero(flat.any(0))
    if not len(rows):
        return None
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def within(box: Box) -> tuple[EllipsisType, slice, slice]:
    """The index of a box's pixels in an array or a tensor ``(..., H, W)``."""
    top, left, bottom, right = box
    return ..., slice(top, bottom), slice(left, right)
