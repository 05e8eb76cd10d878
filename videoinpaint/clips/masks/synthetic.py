"""Holes: stationary, square, moving object, from a file, first frame only, or a mixture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoinpaint.checks import MAX_SIDE, whole_number
from videoinpaint.clips.asking import draw_holes
from videoinpaint.clips.studio import exact, raster, shapes
from videoinpaint.clips.studio.config import Range, StudioConfig
from videoinpaint.clips.studio.draws import Draws
from videoinpaint.clips.studio.scenes import seed_of, suite_config
from videoinpaint.clips.types import Clip, MaskSource
from videoinpaint.errors import InputError

Masks = NDArray[np.uint8]


def keep_partial(masks: Masks) -> Masks:
    """The masks ``(T, H, W)`` without all-empty and all-full frames: those take the mask of the nearest partial frame.

    Where no frame is partial, an empty frame gets a small centred hole, a full one a small centred known patch.
    """
    height, width = masks.shape[1:]
    partial = np.flatnonzero(masks.any(axis=(1, 2)) & ~masks.all(axis=(1, 2)))
    if len(partial) == len(masks):
        return masks
    if len(partial):
        nearest = np.abs(np.arange(len(masks))[:, None] - partial).argmin(axis=1)
        return masks[partial[nearest]]
    masks = masks.copy()
    rows, columns = _middle(height, 0.25), _middle(width, 0.25)
    masks[:, rows, columns] = 1 - masks[:, :1, :1]
    return masks


def dilated(masks: Masks, radius: int) -> Masks:
    """The masks ``(T, H, W)`` grown by a disc of `radius` pixels."""
    if radius == 0:
        return masks
    return np.stack([raster.dilated(mask, radius) for mask in masks])


class StationaryMasks:
    """Free-form brush strokes and blobs, the same in all frames.

    Args:
        area: fraction of the frame that is missing at least, drawn uniformly from this range for each clip; the last
            stroke or blob goes beyond it, by up to a half.
        dilate: pixels by which the hole grows afterwards.
    """

    name = "stationary"

    def __init__(self, area: Range = (0.08, 0.18), dilate: int = 0) -> None:
        self.area, self.dilate = _checked_area(area), checked_dilate(dilate)

    def sample(self, rng: np.random.Generator, clip: Clip) -> Masks:
        """One drawing ``(H, W)`` repeated for all T frames."""
        count, height, width = clip.frames.shape[:3]
        draws = Draws(rng)
        hole = shapes.brush_strokes(draws, height, width, draws.uniform(*self.area))
        return keep_partial(np.repeat(dilated(hole[None], self.dilate), count, axis=0))


class SquareMasks:
    """A centred rectangle of a fixed share of each side, the same in all frames.

    Args:
        side: share of the height and of the width, 0.25 by default.
        dilate: pixels by which the hole grows afterwards.
    """

    name = "square"

    def __init__(self, side: float = 0.25, dilate: int = 0) -> None:
        if not 0 < side < 1:
            raise InputError(f"side must lie between 0 and 1, got {side}")
        self.side, self.dilate = side, checked_dilate(dilate)

    def sample(self, rng: np.random.Generator, clip: Clip) -> Masks:
        """The rectangle; nothing is drawn from the generator."""
        masks = np.zeros(clip.frames.shape[:3], np.uint8)
        rows, columns = (_middle(extent, self.side) for extent in clip.frames.shape[1:3])
        masks[:, rows, columns] = 1
        return keep_partial(dilated(masks, self.dilate))


class ObjectMasks:
    """The outline of a moving object: a smooth shape that travels, turns and deforms.

    Args:
        area: fraction of the frame that the whole shape has, drawn uniformly for each clip.
        speed: pixels a frame at width 216, drawn uniformly for each clip.
        dilate: pixels by which the hole grows afterwards.
    """

    name = "object"

    def __init__(self, area: Range = (0.06, 0.16), speed: Range = (0.5, 5.0), dilate: int = 0) -> None:
        self.area, self.speed, self.dilate = _checked_area(area), speed, checked_dilate(dilate)

    def sample(self, rng: np.random.Generator, clip: Clip) -> Masks:
        """One shape on one path; the path bounces so that the shape's middle stays within the frame.

        The clip's window is respected: windows of one clip, under the same draws, see one and the same moving hole.
        """
        masks = np.zeros(clip.frames.shape[:3], np.uint8)
        count, height, width = clip.frames.shape[:3]
        draws = Draws(rng)
        first, last = shapes.random_outline(draws), shapes.random_outline(draws)
        target = draws.uniform(*self.area) * height * width
        speed = draws.uniform(*self.speed) * width / shapes.UNIT_WIDTH
        radius = math.sqrt(target / _area_mean(first, last))
        times = np.arange(clip.start, clip.start + count, dtype=np.float64)
        x0, y0 = draws.uniform(0.2 * width, 0.8 * width), draws.uniform(0.2 * height, 0.8 * height)
        spots = shapes.random_path(draws, x0, y0, speed).at(times)
        margin_x, margin_y = min(0.8 * radius, 0.45 * width), min(0.8 * radius, 0.45 * height)
        x = shapes.fold(spots[:, 0], margin_x, width - margin_x)
        y = shapes.fold(spots[:, 1], margin_y, height - margin_y)
        spin, phase, rate = draws.uniform(-0.03, 0.03), draws.uniform(0, shapes.TURN), draws.uniform(0.1, 0.3)
        for index, time in enumerate(times):
            share = 0.5 + 0.5 * exact.sin(rate * time + phase)
            outline = shapes.rotate((1 - share) * first + share * last, spin * time)
            raster.fill(masks[index], outline * radius + (x[index], y[index]))
        return keep_partial(dilated(masks, self.dilate))


def _middle(extent: int, share: float) -> slice:
    span = max(1, round(share * extent))
    return slice((extent - span) // 2, (extent - span) // 2 + span)


def _area_mean(first: NDArray[np.float64], last: NDArray[np.float64]) -> float:
    """The area of the outline half-way between two outlines."""
    return shapes.area_of(0.5 * (first + last))


class MixedMasks:
    """One of several kinds, drawn for each clip.

    Args:
        kinds: the mask sources to choose from; by default stationary, square and object.
    """

    name = "mixed"

    def __init__(self, kinds: Sequence[MaskSource] | None = None) -> None:
        self.kinds = tuple(kinds) if kinds is not None else (StationaryMasks(), SquareMasks(), ObjectMasks())
        if not self.kinds:
            raise InputError("a mixture of masks needs at least one kind")

    def sample(self, rng: np.random.Generator, clip: Clip) -> Masks:
        """A mask of a random kind."""
        return draw_holes(Draws(rng).pick(self.kinds), rng, clip)


class StudioMasks:
    """The holes that belong to a studio suite: their size and motion are the configuration's.

    For a studio clip the mask is a function of the clip's seed alone, so that a suite is a fixed set of pairs; for any
    other clip it comes from the generator.
    """

    def __init__(self, config: str | StudioConfig = "mixed", dilate: int = 0) -> None:
        self.name = f"studio:{config if isinstance(config, str) else 'custom'}"
        self.config = suite_config(config) if isinstance(config, str) else config
        self.dilate = checked_dilate(dilate)

    def sample(self, rng: np.random.Generator, clip: Clip) -> Masks:
        """A stationary or a moving hole, as the configuration says."""
        seed = seed_of(clip.name)
        draws = Draws(rng) if seed is None else Draws.seeded(seed, 0x40135)
        kind: MaskSource
        if draws.random() < self.config.moving_holes:
            kind = ObjectMasks(self.config.hole_area, self.config.hole_speed, self.dilate)
        else:
            kind = StationaryMasks(self.config.hole_area, self.dilate)
        return kind.sample(draws.generator, clip)


def _checked_area(area: Range) -> Range:
    if not 0 < area[0] <= area[1] <= 0.6:
        raise InputError(f"area must be (low, high) with 0 < low <= high <= 0.6 of the frame, got {area}")
    return area


def checked_dilate(dilate: Any) -> int:
    """The number of pixels itself.

    Raises:
        InputError: it is negative, no whole number, or more than a frame may have.
    """
    return whole_number(dilate, "dilate", 0, MAX_SIDE)
