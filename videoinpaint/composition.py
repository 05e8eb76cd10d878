"""How a proposal becomes the next repair: ``Yhat_n = S * A + (1 - S) * Yhat_{n-1}`` inside the hole, X outside."""

from __future__ import annotations

import torch
from torch import Tensor

from videoinpaint.motion.neighbourhoods import window_max, window_mean

GREY = 128 / 255
"""What holes hold before the first pass: the mid-grey that is exact in uint8."""

EMPTY_BELOW = 0.5
"""A pixel counts as flagged where the predicted mask reaches this; an episode ends when none does."""

WIDEN = 1 / 72
"""By how much of the frame's width a predicted mask is widened on all sides where an inpainter needs a hard hole."""

EDGE = 2  # pixels over which the repaired region fades into the kept one


def repair_region(masks: Tensor, holes: Tensor) -> Tensor:
    """The softly edged region S of ``M_{n-1}``, inside ``M0``, exactly 1 wherever the mask is 1.

    Args:
        masks: ``(B, T, 1, H, W)`` in [0, 1].
        holes: ``(B, T, 1, H, W)`` in {0, 1}.
    """
    soft = window_mean(window_max(masks, EDGE).flatten(0, 1), EDGE)
    return torch.where(masks >= 1, 1.0, soft.view_as(masks)) * holes


def compose(proposal: Tensor, previous: Tensor, corrupted: Tensor, masks: Tensor, holes: Tensor) -> Tensor:
    """The next repair ``(B, T, 3, H, W)``; outside ``holes`` it is ``corrupted``, bit for bit.

    Args:
        proposal: what the inpainter painted.
        previous: the repair before.
        corrupted: X, whose known pixels are the truth.
        masks: ``M_{n-1}`` in [0, 1].
        holes: ``M0`` in {0, 1}.
    """
    region = repair_region(masks, holes)
    blended = region * proposal + (1 - region) * previous
    return torch.where(holes > 0, blended, corrupted)


def widened(predicted: Tensor, share: float = WIDEN) -> Tensor:
    """Holes ``(B, T, 1, H, W)`` in {0, 1} for predicted masks in [0, 1]: above one half, widened on all sides.

    By a share of the width, one pixel at least; a share of 0 widens nothing.

    Masks seldom reach the very border of their object, and what is left of it there would be seen as background.
    """
    radius = max(1, round(share * predicted.shape[-1])) if share else 0
    return window_max(predicted.gt(0.5).float(), radius)
