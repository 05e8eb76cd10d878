"""Masks as a propagator gets them wrong: what a one-shot inpainter has to bear (CIRI, Section 3.1)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.studio import exact, raster, shapes
from videoinpaint.clips.studio.draws import Draws
from videoinpaint.errors import InputError, UnknownNameError

Masks = NDArray[np.uint8]
Floats = NDArray[np.float64]


def inaccurate(
    masks: Masks, rng: np.random.Generator, kind: str | None = None, severity: float | tuple[float, float] = (0.2, 1.0)
) -> Masks:
    """The masks with the errors of one kind; they grow over the first frames, and the first frame stays as it is.

    Args:
        masks: uint8 ``(T, H, W)`` in {0, 1}, not empty in the first frame.
        rng: draws the kind, the severity and the errors.
        kind: one of `MASK_ERRORS`: ``eroded`` by up to 15 % of the object's size (the root of its area in the first
            frame), ``dilated`` by up to 30 %, ``shifted`` by up to 40 %, ``missing_parts`` (up to three pieces of it,
            and sometimes a whole frame), ``extra`` (up to three pieces that are none of it), ``late`` (by up to four
            frames). None draws one for the clip.
        severity: above 0 and at most 1, where errors have the sizes above; or a range to draw it from.

    Returns:
        new masks; never empty everywhere, as the first frame is exact.

    Raises:
        UnknownNameError: no such kind.
        InputError: the first mask is empty, or the severity out of range.
    """
    names = list(_KINDS)
    if kind is not None and kind not in _KINDS:
        raise UnknownNameError(f"unknown kind of inaccurate mask {kind!r}: use one of {', '.join(names)}")
    low, high = severity if isinstance(severity, tuple) else (severity, severity)
    if not 0 < low <= high <= 1:
        raise InputError(f"severity must lie above 0 and at most at 1, got {severity}")
    if masks.ndim != 3 or not masks[0].any():
        raise InputError("masks must have shape (T, H, W) and mark the object in the first frame")
    draws = Draws(rng)
    drawn, strength = draws.pick(names), draws.uniform(low, high)
    grown = np.minimum(1.0, np.arange(len(masks)) / draws.uniform(1, 4))
    wrong = _KINDS[kind or drawn](masks, draws, strength * grown, math.sqrt(np.count_nonzero(masks[0])))
    wrong[0] = masks[0]
    return wrong


def _eroded(masks: Masks, draws: Draws, strength: Floats, size: float) -> Masks:
    return np.stack([raster.eroded(mask, round(0.15 * float(s) * size)) for mask, s in zip(masks, strength)])


def _dilated(masks: Masks, draws: Draws, strength: Floats, size: float) -> Masks:
    return np.stack([raster.dilated(mask, round(0.3 * float(s) * size)) for mask, s in zip(masks, strength)])


def _shifted(masks: Masks, draws: Draws, strength: Floats, size: float) -> Masks:
    angle, turns = draws.uniform(0, shapes.TURN), 0.15 * draws.normals(len(masks))
    moved = []
    for mask, s, turn in zip(masks, strength, turns):
        angle += float(turn)
        way = 0.4 * float(s) * size
        moved.append(raster.shifted(mask, round(way * float(exact.cos(angle))), round(way * float(exact.sin(angle)))))
    return np.stack(moved)


def _missing_parts(masks: Masks, draws: Draws, strength: Floats, size: float) -> Masks:
    """Pieces that stay at their place on the object."""
    pieces = _pieces(draws, size)
    spots, (rows, columns) = _middles(masks), np.nonzero(masks[0])
    picks = [draws.below(len(rows)) for _ in pieces]
    offsets = np.stack([columns[picks], rows[picks]], axis=1) - spots[0]
    left = masks.copy()
    for index, mask in enumerate(left):
        for piece, offset in zip(pieces, offsets):
            raster.fill(mask, piece * strength[index] + spots[index] + offset, 0)
        if draws.random() < 0.1 * strength[index]:
            mask[:] = 0
    return left


def _extra(masks: Masks, draws: Draws, strength: Floats, size: float) -> Masks:
    """Pieces beside the object that go with it for a while, as where a propagator takes something else for it."""
    pieces, spots, extent = _pieces(draws, size), _middles(masks), masks.shape[1:]
    angles, far = draws.uniforms(0, shapes.TURN, len(pieces)), draws.uniforms(0.5, 2.0, len(pieces)) * size
    ways = far[:, None] * np.stack([exact.cos(angles), exact.sin(angles)], axis=1)
    since = [draws.below(max(1, len(masks) // 2)) for _ in pieces]
    until = [draws.whole(2, 12) for _ in pieces]
    more = masks.copy()
    for index, mask in enumerate(more):
        for piece, way, begin, last in zip(pieces, ways, since, until):
            if begin < index <= begin + last:
                spot = np.clip(spots[index] + way, 0, (extent[1], extent[0]))
                raster.fill(mask, piece * strength[index] + spot, 1)
    return more


def _late(masks: Masks, draws: Draws, strength: Floats, size: float) -> Masks:
    lag = np.ceil(4 * strength).astype(int)
    return masks[np.maximum(0, np.arange(len(masks)) - lag)]


_KINDS: dict[str, Callable[[Masks, Draws, Floats, float], Masks]] = {
    "eroded": _eroded,
    "dilated": _dilated,
    "shifted": _shifted,
    "missing_parts": _missing_parts,
    "extra": _extra,
    "late": _late,
}
MASK_ERRORS = tuple(_KINDS)
"""The kinds of error that `inaccurate` makes."""


def _pieces(draws: Draws, size: float) -> list[Floats]:
    """One to three outlines around the origin, of up to a third of the object's size in radius."""
    return [shapes.random_outline(draws) * size * draws.uniform(0.2, 0.35) for _ in range(draws.whole(1, 4))]


def _middles(masks: Masks) -> Floats:
    """The objects' middles ``(T, 2)`` as (x, y); a frame without the object takes the last one before it."""
    spots: list[Floats] = []
    for mask in masks:
        rows, columns = np.nonzero(mask)
        if len(rows):
            spots.append(np.array([int(columns.sum()), int(rows.sum())]) / len(rows))
        else:
            spots.append(spots[-1])
    return np.stack(spots)
