"""What predicted masks say against themselves: that they shrink, break up, are unsure, or have lost their target."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videoinpaint.errors import warn

GONE = 0.02
"""A mask smaller than this share of the first one shows no target."""
LEAVING = 0.25
"""Beside the frame's border, a mask smaller than this share of the first one is of a target that leaves."""
SHRUNK = 0.6
"""A mask smaller than this share of the largest before it, or of its neighbours, has shrunk. Not beside the border."""
BROKEN = 0.25
"""A mask has broken up whose largest piece holds a share so much smaller than that of the first one's largest."""
SURE = 0.9
"""A mask is unsure whose pixels above one half have a mean below this."""


def tell_doubts(masks: NDArray[Any], given: Iterable[int] = (0,)) -> None:
    """Give one `InputWarning` that names the frames in which masks are doubtful, if there are any; see `doubts`."""
    found = doubts(masks, given)
    if found:
        said = "; ".join(f"{what} in frame{'s' * (len(frames) > 1)} {spans(frames)}" for what, frames in found.items())
        warn(
            f"the mask may miss its target: it {said} (counted from 0); look there, and mark the target in one of them"
        )


def doubts(masks: NDArray[Any], given: Iterable[int] = (0,)) -> dict[str, list[int]]:
    """In which frames masks are doubtful, by what speaks against them.

    The thresholds were measured where the truth is known (docs/models/propagators.md). A mask that keeps its size and
    is wrong cannot be told from a right one, and a target that leaves by the border is no reason for doubt.

    Args:
        masks: how likely each pixel shows the target, ``(T, H, W)`` in [0, 1].
        given: frames whose masks are no predictions; others are compared to the first of them that is not empty.

    Returns:
        the frames, ascending, under "is gone", "shrinks", "breaks up", "is unsure"; only what was found, and each
        frame once.
    """
    known = set(given)
    inside = masks > 0.5
    areas = inside.sum((1, 2)).astype(float)
    usual = next((index for index in sorted(known) if areas[index]), None)
    if usual is None:
        return {}
    whole, bordering = _largest_piece(inside[usual]), [_touches_border(mask) for mask in inside]
    found: dict[str, list[int]] = {}
    seen = usual  # the last frame that showed the target
    for now in range(len(masks)):
        if areas[now] >= GONE * areas[usual]:
            seen = now
        beside = any(bordering[max(0, min(seen, now) - 2) : now + 1])
        if now in known or (beside and areas[now] < LEAVING * areas[usual]):
            continue
        if areas[now] < GONE * areas[usual]:
            what = "is gone"
        elif not beside and areas[now] < SHRUNK * _expected(areas, now):
            what = "shrinks"
        elif _largest_piece(inside[now]) < whole - BROKEN:
            what = "breaks up"
        elif masks[now][inside[now]].mean() < SURE:
            what = "is unsure"
        else:
            continue
        found.setdefault(what, []).append(now)
    return found


def spans(frames: Iterable[int]) -> str:
    """Ascending numbers in words: "3, 5-9"."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], frame]
        else:
            runs.append([frame])
    return ", ".join("-".join(str(frame) for frame in run) for run in runs)


def _expected(areas: NDArray[np.float64], now: int) -> float:
    """The area a mask should have: the largest before it, or that of its neighbours, two on either side."""
    neighbours = np.concatenate([areas[max(0, now - 2) : now], areas[now + 1 : now + 3]])
    return float(max(areas[:now].max(initial=0), np.median(neighbours) if len(neighbours) else 0))


def _largest_piece(mask: NDArray[np.bool_]) -> float:
    """Its share of the mask, 0 of an empty one."""
    sizes = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)[2][1:, cv2.CC_STAT_AREA]
    return float(sizes.max() / sizes.sum()) if len(sizes) else 0.0


def _touches_border(mask: NDArray[np.bool_]) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())
