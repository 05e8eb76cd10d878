"""How well masks follow an object: J (regions) and F (contours) as the DAVIS benchmark defines them, and their mean.

Perazzi et al., CVPR 2016. Masks are ``(B, T, 1, H, W)``; anything above one half is object.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.errors import InputError

TOLERANCE = 0.008
"""How far two contours may lie apart and still match, as a share of the frame's diagonal (DAVIS)."""


def region_similarity(a: Tensor, b: Tensor) -> Tensor:
    """J: intersection over union per frame, ``(B, T)`` in [0, 1]; 1 where both are empty.

    Raises:
        InputError: wrong or different shapes.
    """
    first, second = _checked(a, b)
    both, either = (first & second).flatten(2).sum(2), (first | second).flatten(2).sum(2)
    return torch.where(either > 0, both / either.clamp_min(1), torch.ones_like(either, dtype=torch.float32)).float()


def contour_accuracy(a: Tensor, b: Tensor) -> Tensor:
    """F: harmonic mean of the shares of either contour that lie near the other, ``(B, T)`` in [0, 1].

    1 where neither has a contour, 0 where only one has.

    Args:
        a: the masks to judge.
        b: the true masks.

    Raises:
        InputError: wrong or different shapes.
    """
    first, second = (x.flatten(0, 2).byte().cpu().numpy() for x in _checked(a, b))
    radius = int(np.ceil(TOLERANCE * np.hypot(*first.shape[1:])))
    side = np.arange(-radius, radius + 1)
    disc = (side[:, None] ** 2 + side[None] ** 2 <= radius**2).astype(np.uint8)
    scores = [_f_measure(_contour(x), _contour(y), disc) for x, y in zip(first, second)]
    return torch.tensor(scores, dtype=torch.float32).view(a.shape[:2]).to(a.device)


def j_and_f(a: Tensor, b: Tensor) -> Tensor:
    """The mean of J and F per frame, ``(B, T)`` in [0, 1]."""
    return (region_similarity(a, b) + contour_accuracy(a, b)) / 2


def _checked(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if a.shape != b.shape or a.ndim != 5 or a.shape[2] != 1:
        raise InputError(f"masks must both have shape (B, T, 1, H, W), got {tuple(a.shape)} and {tuple(b.shape)}")
    return a > 0.5, b > 0.5


def _contour(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels ``(H, W)`` that differ from their right, lower or lower right neighbour."""
    grown = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, across = grown[:-1, 1:], grown[1:, :-1], grown[1:, 1:]
    return ((mask != right) | (mask != below) | (mask != across)).astype(np.uint8)


def _f_measure(ours: NDArray[np.uint8], truth: NDArray[np.uint8], disc: NDArray[np.uint8]) -> float:
    found, wanted = int(ours.sum()), int(truth.sum())
    if not (found and wanted):
        return float(found == wanted)
    precision = (ours * cv2.dilate(truth, disc)).sum() / found
    recall = (truth * cv2.dilate(ours, disc)).sum() / wanted
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0
