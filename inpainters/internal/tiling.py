"""Patches of large frames: the grid, its seams, the grid mask set, and where translated masks go (Appendix A.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from videoinpaint.boxes import Box

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Tile:
    """A patch of a frame, and how much it counts where.

    Attributes:
        top, left: of the patch.
        weight: float32 ``(h, w)`` in [0, 1], of the patch's size; the weights of all tiles add up to 1 at every pixel.
    """

    top: int
    left: int
    weight: Array


def tiles(height: int, width: int, patch: tuple[int, int], seam: int) -> Iterator[Tile]:
    """The grid's patches, and further ones centred on its edges, into which they fade (Appendix A.4, "grid-based
    inference").

    Args:
        height, width: of the frame.
        patch: height and width of a patch; patches of a frame that is smaller are as large as the frame.
        seam: pixels on either side of an edge over which the patch on it takes over; at most a quarter of a patch.
    """
    rows = list(_spans(height, min(patch[0], height), seam))
    columns = list(_spans(width, min(patch[1], width), seam))
    for top, down in rows:
        for left, across in columns:
            yield Tile(top, left, down[:, None] * across[None])


def _spans(length: int, side: int, seam: int) -> Iterator[tuple[int, Array]]:
    """Along one axis: where a patch begins, and its weight ``(side,)`` there. The weights add up to 1 everywhere."""
    seam = min(seam, side // 4)
    edges = list(range(side, length, side))
    # Without so much room, the last cell and the edge before it would fade into each other twice.
    if edges and length - edges[-1] < 2 * seam:
        edges.pop()
    at = np.arange(length, dtype=np.float32) + 0.5
    hats = [np.clip(1 - np.abs(at - edge) / seam, 0, 1) if seam else np.zeros(length, np.float32) for edge in edges]
    left_over = 1 - np.sum(hats, axis=0) if hats else np.ones(length, np.float32)
    bounds = [0, *edges, length]
    for low, high in pairwise(bounds):
        own = np.where((at > low) & (at < high), left_over, 0).astype(np.float32)
        for start in _starts(low, high, side, length):
            inside = own[start : start + side].copy()
            own[start : start + side] = 0
            yield start, inside
    for edge, hat in zip(edges if seam else [], hats):
        start = min(max(edge - side // 2, 0), length - side)
        yield start, hat[start : start + side].astype(np.float32)


def _starts(low: int, high: int, side: int, length: int) -> Iterator[int]:
    """Where patches begin that cover a cell: one, unless the last cell took over a narrow rest."""
    start = min(low, length - side)
    yield start
    if start + side < high:
        yield high - side


def grid_masks(masks: NDArray[np.uint8], patch: tuple[int, int], least: int) -> list[NDArray[np.uint8]]:
    """One frame's mask ``(H, W)`` split by the grid: the pieces that have at least ``least`` object pixels."""
    height, width = masks.shape
    tall, wide = min(patch[0], height), min(patch[1], width)
    pieces = []
    for top in range(0, height, tall):
        for left in range(0, width, wide):
            piece = masks[min(top, height - tall) :, min(left, width - wide) :][:tall, :wide]
            if piece.sum() >= least:
                pieces.append(piece)
    return pieces


def draw_centre(
    rng: np.random.Generator,
    box: Box,
    size: tuple[int, int],
    reach: tuple[int, int] = (45, 80),
    odds: float = 5.0,
) -> tuple[int, int]:
    """Where the centre of a moved mask goes: boundary-aware sampling.

    The frame around the mask's boundary, ``reach`` pixels to either side of its bounding box, is ``odds`` times as
    likely as all the rest; within both, every place is as likely as any other.

    Args:
        rng: the draw.
        box: the mask's bounding box, see :mod:`videoinpaint.boxes`.
        size: height and width of the frame.
        reach: rows and columns.
        odds: the paper's 5; 1 is an even chance, not uniform sampling.
    """
    near = rng.random() < odds / (odds + 1)
    point = (0, 0)
    for _ in range(1000):
        point = int(rng.integers(size[0])), int(rng.integers(size[1]))
        if is_near(point, box, reach) == near:
            break
    return point


def is_near(point: tuple[int, int], box: Box, reach: tuple[int, int]) -> bool:
    """Whether a point lies within ``reach`` of the bounding box's boundary, on either side of it."""
    row, column = point
    top, left, bottom, right = box
    within = top - reach[0] <= row < bottom + reach[0] and left - reach[1] <= column < right + reach[1]
    inside = top + reach[0] <= row < bottom - reach[0] and left + reach[1] <= column < right - reach[1]
    return within and not inside
