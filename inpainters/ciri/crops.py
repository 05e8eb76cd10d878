"""Boxes around a target, and differentiable crops of them (CIRI, Section 3.3: w x h of X_1, 2w x 2h of a repair).

A box is ``(top, left, bottom, right)`` in pixels, as in :mod:`videoinpaint.boxes`, but a tensor and with fractions.
Boxes may reach beyond the frame; what lies there is the frame's border repeated.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.errors import InputError

TEMPLATE = 127
"""Side of the resized crop of the first frame, pixels."""
SEARCH = 255
"""Side of the resized crop of a repaired frame, pixels."""
SMALLEST = 16.0
"""A box has at least this side, pixels: a crop of a few pixels shows nothing of what a target looks like."""


def target_box(first: Tensor) -> Tensor:
    """The minimum bounding rectangle of the target in the first frame, ``(4,)``, at least :data:`SMALLEST` a side.

    Args:
        first: ``(1, H, W)``, above 0.5 where the target is.

    Raises:
        InputError: the target is absent, or the shape is another.
    """
    if first.ndim != 3 or first.shape[0] != 1:
        raise InputError(f"the mask of the first frame must have shape (1, H, W), got {tuple(first.shape)}")
    boxes, present = bounding_boxes(first[None])
    if not bool(present[0]):
        raise InputError("the mask of the first frame is empty: mark the target in a frame that shows it")
    return boxes[0]


def bounding_boxes(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Minimum bounding rectangles of what lies above 0.5, grown about their centres to :data:`SMALLEST` a side.

    Args:
        masks: ``(N, 1, H, W)``.

    Returns:
        boxes ``(N, 4)`` and whether there is anything in a mask ``(N,)``; the box of an empty mask means nothing.
    """
    inside = masks.detach()[:, 0] > 0.5
    spans = []
    for along in (inside.any(2), inside.any(1)):  # rows, columns
        places = torch.arange(along.shape[1], device=masks.device, dtype=torch.float32)
        low = torch.where(along, places, math.inf).amin(1)
        high = torch.where(along, places, -math.inf).amax(1) + 1
        spans.append((low, high))
    (top, bottom), (left, right) = spans
    present = inside.flatten(1).any(1)
    boxes = torch.stack([top, left, bottom, right], 1)
    boxes = torch.where(present[:, None], boxes, torch.zeros_like(boxes))
    return scaled(boxes, 1.0, smallest=(SMALLEST, SMALLEST)), present


def search_boxes(masks: Tensor, first: Tensor) -> Tensor:
    """The 2w x 2h box about the target region of every frame, ``(T, 4)``.

    w and h are those of the region's own rectangle, but no less than the target's in the first frame: a mask that
    misses half of a target must not hide the other half from the detector. A frame with an empty mask gets the last
    box.

    Args:
        masks: predicted masks ``(T, 1, H, W)``; the first frame's box comes from ``first``.
        first: ``(1, H, W)``, the target in the first frame.
    """
    start = target_box(first)
    boxes, present = bounding_boxes(masks)
    boxes[0], present[0] = start, True
    # The index of the latest frame up to each one that has a mask.
    known = torch.where(present, torch.arange(len(masks), device=masks.device), 0).cummax(0).values
    smallest = (float(start[2] - start[0]), float(start[3] - start[1]))
    return scaled(scaled(boxes[known], 1.0, smallest=smallest), 2.0)


def scaled(boxes: Tensor, factor: float, smallest: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    """Boxes ``(N, 4)`` with ``factor`` times the sides, at least ``smallest (h, w)``, about the same centres."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = torch.maximum((boxes[:, 2:] - boxes[:, :2]) * factor, boxes.new_tensor(smallest))
    return torch.cat([centre - sides / 2, centre + sides / 2], 1)


def crop(pictures: Tensor, boxes: Tensor, size: int) -> Tensor:
    """The boxes of the pictures, resized to squares ``(N, C, size, size)``; differentiable in the pictures.

    A box more than twice as large as the square is sampled more finely and averaged, so that nothing is skipped; what
    is made of a box does not depend on the others.

    Args:
        pictures: ``(N, C, H, W)``, or ``(1, C, H, W)`` for all boxes.
        boxes: ``(N, 4)``.
        size: pixels.
    """
    boxes = boxes.to(pictures)
    pictures = pictures.expand(len(boxes), -1, -1, -1)
    largest = (boxes[:, 2:] - boxes[:, :2]).amax(1).tolist()
    fine = [max(1, math.floor(side / size)) for side in largest]
    if len(set(fine)) <= 1:
        return _sampled(pictures, boxes, size, max(fine, default=1))
    crops = pictures.new_empty(*pictures.shape[:2], size, size)
    for factor in sorted(set(fine)):
        alike = [index for index, own in enumerate(fine) if own == factor]
        crops[alike] = _sampled(pictures[alike], boxes[alike], size, factor)
    return crops


def _sampled(pictures: Tensor, boxes: Tensor, size: int, fine: int) -> Tensor:
    """:func:`crop`, with the means of ``fine`` x ``fine`` samples."""
    height, width = pictures.shape[-2:]
    steps = (torch.arange(size * fine, device=pictures.device, dtype=pictures.dtype) + 0.5) / (size * fine)
    top, left, bottom, right = boxes.split(1, dim=1)
    x = (left + steps * (right - left)) * (2 / width) - 1
    y = (top + steps * (bottom - top)) * (2 / height) - 1
    grid = torch.stack([x[:, None, :].expand(-1, len(steps), -1), y[:, :, None].expand(-1, -1, len(steps))], -1)
    sampled = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return F.avg_pool2d(sampled, fine) if fine > 1 else sampled


def laid_back(crops: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """Crops ``(N, C, s, s)`` laid back where their boxes are in frames ``(N, C, height, width)``; zero elsewhere."""
    boxes = boxes.to(crops)
    columns = torch.arange(width, device=crops.device, dtype=crops.dtype) + 0.5
    rows = torch.arange(height, device=crops.device, dtype=crops.dtype) + 0.5
    top, left, bottom, right = boxes.split(1, dim=1)
    x = (columns - left) / (right - left) * 2 - 1
    y = (rows - top) / (bottom - top) * 2 - 1
    grid = torch.stack([x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)], -1)
    inside = (grid.abs() <= 1).all(-1)[:, None]
    return F.grid_sample(crops, grid, padding_mode="border", align_corners=False) * inside
