"""Enlarging images, with the same bits on any number of threads."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def enlarged(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Images ``(..., H, W)`` at another size, bilinear between the centres of pixels, the border repeated.

    What ``torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`` gives but for rounding. Torch's own
    kernel rounds otherwise where its work is split among threads, so that episodes would differ in their last bits.

    Args:
        x: floating-point.
        size: height and width wanted, no smaller than those of ``x`` (nothing is averaged).
    """
    # Columns first, while there are few rows: to repeat a row is to copy memory, to repeat a column is not.
    for dim, count in ((-1, size[1]), (-2, size[0])):
        if x.shape[dim] == count:
            continue
        # A compiler folds what follows from sizes by itself, and warns of caches.
        find = _neighbours.__wrapped__ if torch.compiler.is_compiling() else _neighbours
        before, after, share = find(x.shape[dim], count, x.device)
        share = share.to(x.dtype).view(-1, *[1] * (-dim - 1))
        x = x.index_select(dim, before).mul_(1 - share).add_(x.index_select(dim, after).mul_(share))
    return x


@lru_cache(maxsize=256)
def _neighbours(count: int, wanted: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of each pixel wanted: the two between which it lies, and how far on the way to the second."""
    places = ((torch.arange(wanted, dtype=torch.float64) + 0.5) * count / wanted - 0.5).clamp(0, count - 1)
    before = places.floor()
    after = (before + 1).clamp(max=count - 1)
    return before.long().to(device), after.long().to(device), (places - before).float().to(device)
