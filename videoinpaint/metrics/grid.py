"""How much of a picture repeats itself on a square grid: the dots that networks paint where they know nothing."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.motion.neighbourhoods import window_mean


def grid_level(frames: Tensor, region: Tensor, period: int = 8) -> float:
    """How strong a pattern repeats itself every ``period`` pixels in a region, in levels of 255; 0 where none does.

    It is the deviation, over the p x p places on the grid, of the mean of all pixels at one place, taken of what a mean
    over (2p + 1) x (2p + 1) pixels leaves of the brightness. Patterns of other periods average out, this one stays;
    what chance and texture leave there is taken off, as the periods p - 1 and p + 1 show it.

    Args:
        frames: ``(B, T, 3, H, W)`` in [0, 1].
        region: ``(B, T, 1, H, W)``, above 0 where pixels count: the inside of a hole, or what surrounds it.
        period: of the grid, pixels, at least 3.

    Returns:
        the level; NaN where fewer than 16 pixels stand at some place of a grid.
    """
    bright = frames.mean(2, keepdim=True).flatten(0, 1)
    detail = (bright - window_mean(bright, period)) * 255
    inside = region.flatten(0, 1) > 0
    here, *beside = (_energy(detail, inside, p) for p in (period, period - 1, period + 1))
    return math.sqrt(max(here - sum(beside) / 2, 0.0)) if math.isfinite(here) else math.nan


def _energy(detail: Tensor, inside: Tensor, period: int) -> float:
    """Variance of the means at each place of a grid; see :func:`grid_level`."""
    height, width = detail.shape[-2:]
    rows, columns = torch.arange(height) % period, torch.arange(width) % period
    place = (rows[:, None] * period + columns).expand(detail.shape)[inside.cpu()].to(detail.device)
    count = torch.bincount(place, minlength=period**2).double()
    total = torch.bincount(place, weights=detail[inside].double(), minlength=period**2)
    if count.min() < 16:
        return math.nan
    means = total / count
    return float((means - means.mean()).square().mean())


def inner(holes: Tensor, margin: int = 4) -> Tensor:
    """Pixels of holes ``(B, T, 1, H, W)`` that lie more than ``margin`` pixels inside, as float."""
    eroded = -F.max_pool2d(-holes.flatten(0, 1), 2 * margin + 1, stride=1, padding=margin)
    return eroded.view_as(holes)
