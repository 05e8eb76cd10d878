"""Masks as a propagator gets them wrong: what a one-shot inpainter has to bear (CIRI, Section 3.1)."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.studio import shapes
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
        kind: one of `MASK_ERRORS`: ``eroded`` and ``dilated`` by up to 30 % of the object's size (the root of its area
            in the first frame), ``shifted`` by up to 40 %, ``missing_parts`` (up to three pieces of it, and sometimes
            a whole frame), ``extra`` (up to three pieces that are none of it), ``late`` (by up to four frames). None
            draws one for the clip.
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
    drawn = names[int(rng.integers(len(names)))]
    strength = float(rng.uniform(low, high))
    grown = np.minimum(1.0, np.arange(len(masks)) / float(rng.uniform(1, 4)))
    wrong = _KINDS[kind or drawn](masks, rng, strength * grown, float(np.sqrt(masks[0].sum())))
    wrong[0] = masks[0]
    return wrong


def _eroded(masks: Masks, rng: np.random.Generator, strength: Floats, size: float) -> Masks:
    return np.stack([cv2.erode(mask, _disc(0.3 * s * size / 2)) for mask, s in zip(masks, strength)])


def _dilated(masks: Masks, rng: np.random.Generator, strength: Floats, size: float) -> Masks:
    return np.stack([cv2.dilate(mask, _disc(0.3 * s * size)) for mask, s in zip(masks, strength)])


def _shifted(masks: Masks, rng: np.random.Generator, strength: Floats, size: float) -> Masks:
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.15, len(masks)))
    ways = np.rint(0.4 * strength * size * np.stack([np.cos(angle), np.sin(angle)])).T
    return np.stack([_moved(mask, int(x), int(y)) for mask, (x, y) in zip(masks, ways)])


def _missing_parts(masks: Masks, rng: np.random.Generator, strength: Floats, size: float) -> Masks:
    """Pieces that stay at their place on the object."""
    pieces = _pieces(rng, size)
    spots, (rows, columns) = _middles(masks), np.nonzero(masks[0])
    picks = rng.integers(len(rows), size=len(pieces))
    offsets = np.stack([columns[picks], rows[picks]], axis=1) - spots[0]
    left = masks.copy()
    for index, mask in enumerate(left):
        for piece, offset in zip(pieces, offsets):
            shapes.fill(mask, piece * strength[index] + spots[index] + offset, 0)
        if rng.random() < 0.1 * strength[index]:
            mask[:] = 0
    return left


def _extra(masks: Masks, rng: np.random.Generator, strength: Floats, size: float) -> Masks:
    """Pieces beside the object that go with it for a while, as where a propagator takes something else for it."""
    pieces, spots, extent = _pieces(rng, size), _middles(masks), masks.shape[1:]
    angles, far = rng.uniform(0, 2 * np.pi, len(pieces)), rng.uniform(0.5, 2.0, len(pieces)) * size
    since, until = rng.integers(0, max(1, len(masks) // 2), len(pieces)), rng.integers(2, 12, len(pieces))
    more = masks.copy()
    for index, mask in enumerate(more):
        for piece, angle, way, begin, last in zip(pieces, angles, far, since, until):
            if begin < index <= begin + last:
                spot = spots[index] + way * np.array([np.cos(angle), np.sin(angle)])
                spot = np.clip(spot, 0, (extent[1], extent[0]))
                shapes.fill(mask, piece * strength[index] + spot, 1)
    return more


def _late(masks: Masks, rng: np.random.Generator, strength: Floats, size: float) -> Masks:
    lag = np.ceil(4 * strength).astype(int)
    return masks[np.maximum(0, np.arange(len(masks)) - lag)]


_KINDS: dict[str, Callable[[Masks, np.random.Generator, Floats, float], Masks]] = {
    "eroded": _eroded,
    "dilated": _dilated,
    "shifted": _shifted,
    "missing_parts": _missing_parts,
    "extra": _extra,
    "late": _late,
}
MASK_ERRORS = tuple(_KINDS)
"""The kinds of error that `inaccurate` makes."""


def _disc(radius: float) -> Masks:
    side = 2 * round(radius) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _moved(mask: Masks, x: int, y: int) -> Masks:
    affine = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
    return np.asarray(cv2.warpAffine(mask, affine, mask.shape[::-1], flags=cv2.INTER_NEAREST), np.uint8)


def _pieces(rng: np.random.Generator, size: float) -> list[Floats]:
    """One to three outlines around the origin, of up to a third of the object's size in radius."""
    return [shapes.random_outline(rng) * size * rng.uniform(0.2, 0.35) for _ in range(int(rng.integers(1, 4)))]


def _middles(masks: Masks) -> Floats:
    """The objects' middles ``(T, 2)`` as (x, y); a frame without the object takes the last one before it."""
    spots: list[Floats] = []
    for mask in masks:
        rows, columns = np.nonzero(mask)
        spots.append(np.array([columns.mean(), rows.mean()]) if len(rows) else spots[-1])
    return np.stack(spots)
