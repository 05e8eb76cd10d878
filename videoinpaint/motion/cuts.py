"""Where a video changes from one scene to another: nothing is carried across a cut."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

CELLS = (18, 32)
"""Rows and columns of the small pictures that are compared."""
SHIFT = (2, 4)
"""Cells by which a moving camera may have shifted them."""
DIFFERS = 30.0
"""Mean difference of colours, 0 to 255, after the best shift."""
RECOLOURED = 0.12
"""And how much of the colours' histograms does not overlap.

On 96 real clips, 1,440 pairs of neighbouring frames hold no cut by this rule, 480 pairs of frames three apart hold 1,
and all 1,500 pairs of frames of different clips are cuts; in the studio, whose scenes share photographs, 0 of 720, 2 of
240 and 489 of 500 (`python -m videoinpaint.benchmarks.repair.cuts`).
"""
ENOUGH = 0.1
"""What a frame must show, of what the last one compared showed: rims of lost frames look alike in many scenes."""
SIDE = 216
"""Frames are thinned out to about this many rows before they are looked at."""
_BINS = 32

Pixels = NDArray[np.uint8]
Hole = NDArray[np.bool_]


def shows_enough(hole: Hole, hole_before: Hole | None) -> bool:
    """Whether a frame with this hole ``(H, W)`` can be told from one of another scene.

    Args:
        hole: of the frame.
        hole_before: of the last one that showed enough; None: there is none.
    """
    known, before = (0 if each is None else each.size - np.count_nonzero(each) for each in (hole, hole_before))
    return bool(known > ENOUGH * before)


def is_cut(before: Pixels, after: Pixels, hole_before: Hole, hole_after: Hole) -> bool:
    """Whether two frames ``(H, W, 3)`` show different scenes; what holes ``(H, W)`` hold is not looked at.

    They are neighbours, or what lies between them is lost. A flash or a burst of smoke may count as a cut; a cut
    between two dark scenes, or between two views of one colour, may not.
    """
    step = max(1, min(before.shape[:2]) // SIDE)
    before, after, known = before[::step, ::step], after[::step, ::step], ~(hole_before | hole_after)[::step, ::step]
    if not known.any():
        return False
    if _recoloured(before[known], after[known]) <= RECOLOURED:
        return False
    return _differ(*(_thumbnail(frame, known) for frame in (before, after))) > DIFFERS


def _recoloured(a: Pixels, b: Pixels) -> float:
    """Half of the summed differences of the histograms, the mean over the colours, of pixels ``(N, 3)``."""
    lost = [
        np.abs(np.subtract(*(np.bincount(pixels[:, c] // (256 // _BINS), minlength=_BINS) for pixels in (a, b)))).sum()
        for c in range(3)
    ]
    return float(sum(lost)) / (6 * len(a))


def _thumbnail(frame: Pixels, known: Hole) -> tuple[NDArray[np.floating], Hole]:
    """Mean colours of the cells' known pixels, and which cells have some."""
    rows, columns = CELLS
    weight = known.astype(np.float32)
    share = cv2.resize(weight, (columns, rows), interpolation=cv2.INTER_AREA)
    total = cv2.resize(frame * weight[..., None], (columns, rows), interpolation=cv2.INTER_AREA)
    return total / np.maximum(share, 1e-6)[..., None], share > 0.25


def _differ(a: tuple[NDArray[np.floating], Hole], b: tuple[NDArray[np.floating], Hole]) -> float:
    """The mean difference of two thumbnails after the best shift; 0 where there is nothing to compare."""
    found = []
    for dy in range(-SHIFT[0], SHIFT[0] + 1):
        for dx in range(-SHIFT[1], SHIFT[1] + 1):
            here = (_moved(dy, CELLS[0]), _moved(dx, CELLS[1]))
            there = (_moved(-dy, CELLS[0]), _moved(-dx, CELLS[1]))
            both = a[1][here] & b[1][there]
            if both.any() and 2 * both.sum() >= a[1].sum():
                found.append(float(np.abs(a[0][here] - b[0][there])[both].mean()))
    return min(found, default=0.0)


def _moved(by: int, length: int) -> slice:
    return slice(max(0, by), length + min(0, by))
