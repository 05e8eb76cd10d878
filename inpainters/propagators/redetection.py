"""A target that is lost, looked for again over a whole frame by its look."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

LOST = 0.5
"""A mask is lost that is smaller than this share of the largest before it."""
GONE = 0.03
"""What is left of a lost mask is nothing if it is smaller than this share: a sliver would be handed on for ever."""
LEAST = 0.15
"""A place shows the target again if it is at least this share of the largest mask before."""
RETURNED = 0.4
"""This share of the target's cells, at least, must see their like there."""


def area(label: Tensor) -> float:
    """Of a mask ``(cells,)`` in [0, 1], in cells that it covers mostly."""
    return float(label[label > 0.5].sum())


def pieces(likely: Tensor, grid: tuple[int, int]) -> list[Tensor]:
    """Connected regions of the cells that show the target rather than not, ``(n,)`` cells each, the best first.

    Args:
        likely: ``(cells,)`` in [0, 1].
        grid: ``(h, w)``.
    """
    marked = (likely > 0.5).cpu().numpy().astype(np.uint8).reshape(grid)
    count, regions = cv2.connectedComponents(marked, connectivity=8)
    flat = torch.from_numpy(regions.ravel()).to(likely.device)
    found = [(flat == number).nonzero()[:, 0] for number in range(1, count)]
    return sorted(found, key=lambda cells: -float(likely[cells].sum()))


def gaps(lost: Sequence[bool]) -> list[tuple[int, int]]:
    """Runs of frames in which the target was lost and after which it was found again: first and last of each."""
    found, began = [], None
    for frame, away in enumerate(lost):
        if away and began is None:
            began = frame
        elif not away and began is not None:
            found.append((began, frame - 1))
            began = None
    return found
