"""The part of the frames that is worked on: a box around the holes, at a size that memory allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videoinpaint.boxes import Box, box_of, within

MARGINS = (64, 128)
"""Pixels around the holes that are looked at: what a network sees of a place, and a camera's motion is found in. The
wider one is taken where it finds that motion between more frames; docs/cli.md says what that brings to small holes.

Eight real clips of 24 frames are as good with them as whole frames: 0.02 dB worse in still holes, 0.01 better in moving
ones and 0.23 under subtitles (`python -m videoinpaint.benchmarks.repair.videos --settings window default --limit 8`).
"""
GROWTH = 1 / 4
"""Of the frame, by which a box grows further than it must, as all motion is estimated again then."""
WHOLE = 0.7
"""A box that covers so much of the frame is the whole frame."""
MOST_PIXELS = 520_000
"""A larger box is worked on at reduced size, and only its repaired holes are enlarged again."""

Pixels = NDArray[np.uint8]
Holes = NDArray[np.bool_]


@dataclass(frozen=True)
class Cutout:
    """A box of the frames, and the size it is worked on.

    Attributes:
        box: in pixels of the frame.
        size: ``(height, width)``, the box's own or less.
    """

    box: Box
    size: tuple[int, int]

    @property
    def reduced(self) -> bool:
        """Whether it is worked on at less than its own size."""
        top, left, bottom, right = self.box
        return self.size != (bottom - top, right - left)

    def frames(self, frames: Sequence[Pixels]) -> Pixels:
        """Frames ``(H, W, 3)`` cut out and reduced by area averaging, ``(t, h, w, 3)``."""
        top, left, bottom, right = self.box
        return np.stack([self._reduced(frame[top:bottom, left:right]) for frame in frames])

    def holes(self, holes: Sequence[Holes]) -> Holes:
        """Holes ``(H, W)`` likewise, ``(t, h, w)``; a pixel is missing if any of it is."""
        cut = [hole[within(self.box)] for hole in holes]
        return np.stack([self._reduced(hole.astype(np.float32)) > 0 if self.reduced else hole for hole in cut])

    def pasted(self, repaired: Pixels, frames: Pixels, holes: Holes) -> Pixels:
        """Frames ``(t, H, W, 3)`` with their holes ``(t, H, W)`` taken from the repaired cutouts, the rest as it is."""
        top, left, bottom, right = self.box
        if self.reduced:
            size = (right - left, bottom - top)
            repaired = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC) for frame in repaired])
        result = frames.copy()
        inside = result[:, top:bottom, left:right]
        np.copyto(inside, repaired, where=holes[within(self.box)][..., None])
        return result

    def _reduced(self, image: NDArray[Any]) -> NDArray[Any]:
        if not self.reduced:
            return image
        return cv2.resize(np.ascontiguousarray(image), self.size[::-1], interpolation=cv2.INTER_AREA)


def cutout_of(
    holes: Holes,
    before: Cutout | None = None,
    margin: int = MARGINS[0],
    enough: int | None = None,
    least: tuple[int, int] = (1, 1),
) -> Cutout:
    """What to cut out for a hole ``(H, W)``, which is not empty.

    Args:
        holes: missing in any of the frames that are looked at.
        before: what was cut out of the frames before these: kept where it will do, as what is known of the clip's
            motion then stays known, and else only made larger.
        margin: pixels around the holes.
        enough: of them, in what was cut out before; None: half.
        least: height and width that are worked on at least, in a frame that has them.
    """
    height, width = holes.shape
    needed = box_of(holes)
    assert needed is not None
    enough = margin // 2 if enough is None else enough
    if before is not None and _spare(before.box, needed, (height, width)) >= enough:
        return before
    box = _clipped(tuple(edge + way * margin for edge, way in zip(needed, (-1, -1, 1, 1))), height, width)
    if before is not None:
        box = _grown(before.box, box, height, width)
    box = _at_least(box, least, height, width)
    if (box[2] - box[0]) * (box[3] - box[1]) >= WHOLE * height * width:
        box = (0, 0, height, width)
    return Cutout(box, _size(box, least))


def _size(box: Box, least: tuple[int, int]) -> tuple[int, int]:
    sides = box[2] - box[0], box[3] - box[1]
    scale = min(1.0, (MOST_PIXELS / (sides[0] * sides[1])) ** 0.5)
    height, width = (min(side, max(int(side * scale), low)) for side, low in zip(sides, least))
    return height, width


def _at_least(box: Box, least: tuple[int, int], height: int, width: int) -> Box:
    """The box, made larger on both sides alike as far as the frame goes, where it is smaller than what is worked on."""
    top, left, bottom, right = box
    more = [max(0, low - (end - start)) for low, start, end in ((least[0], top, bottom), (least[1], left, right))]
    top, left = (max(0, start - extra // 2) for start, extra in zip((top, left), more))
    bottom, right = min(height, max(bottom, top + least[0])), min(width, max(right, left + least[1]))
    return min(top, max(0, height - least[0])), min(left, max(0, width - least[1])), bottom, right


def _spare(box: Box, needed: Box, size: tuple[int, int]) -> int:
    """The fewest pixels between what is needed and an edge of the box that is no edge of the frame."""
    gaps = (needed[0] - box[0], needed[1] - box[1], box[2] - needed[2], box[3] - needed[3])
    ends = (box[0] == 0, box[1] == 0, box[2] == size[0], box[3] == size[1])
    return min((gap for gap, at_end in zip(gaps, ends) if not at_end or gap < 0), default=max(size))


def _grown(before: Box, box: Box, height: int, width: int) -> Box:
    """Around both, and larger at every edge that moved."""
    more = (round(GROWTH * height), round(GROWTH * width))
    edges = []
    for i, (old, new) in enumerate(zip(before, box)):
        outward = new < old if i < 2 else new > old
        edges.append((new - more[i % 2] if i < 2 else new + more[i % 2]) if outward else old)
    return _clipped(tuple(edges), height, width)


def _clipped(box: tuple[int, ...], height: int, width: int) -> Box:
    top, left, bottom, right = box
    return max(0, top), max(0, left), min(height, bottom), min(width, right)
