"""Random smooth shapes, brush strokes and paths: the raw material of studio scenes and of synthetic holes.

Lengths are in pixels of the picture being drawn; callers scale by ``width / UNIT_WIDTH``, so that a scene looks
the same at every size. Every path is a closed formula of time: frame t does not depend on how many are asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.studio import exact, raster
from videoinpaint.clips.studio.draws import Draws

UNIT_WIDTH = 216.0
"""Speeds and sizes are given in pixels of a frame of this width."""

TURN = 2 * math.pi

_ANGLES = np.arange(72) * (TURN / 72)


@dataclass(frozen=True)
class Path:
    """Constant speed along a slowly turning line (an arc of a circle), starting at ``(x, y)``.

    Attributes:
        x: horizontal start, pixels.
        y: vertical start, pixels.
        speed: pixels a frame.
        heading: direction at time 0, radians.
        turn: change of direction, radians a frame; not 0.
    """

    x: float
    y: float
    speed: float
    heading: float
    turn: float

    def at(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions ``(T, 2)`` as (x, y)."""
        angle = self.heading + self.turn * times
        radius = self.speed / self.turn
        x = self.x + radius * (exact.sin(angle) - exact.sin(self.heading))
        y = self.y - radius * (exact.cos(angle) - exact.cos(self.heading))
        return np.stack([x, y], axis=1)


def random_path(draws: Draws, x: float, y: float, speed: float, towards: tuple[float, float] | None = None) -> Path:
    """A path from ``(x, y)`` that turns by 0.02 to 0.08 radians a frame; it sets off roughly `towards` a point."""
    heading, size, sign = draws.uniform(0, TURN), draws.uniform(0.02, 0.08), draws.pick((-1.0, 1.0))
    if towards is not None:
        heading = exact.angle_of(towards[0] - x, towards[1] - y) + 0.3 * (heading - math.pi)
    return Path(x, y, speed, heading, size * sign)


def fold(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Values reflected at both ends into ``[low, high]``: things that reach the border bounce."""
    span = max(high - low, 1e-6)
    shifted = values - low
    phase = shifted - 2 * span * np.floor(shifted / (2 * span))
    return low + np.clip(np.where(phase > span, 2 * span - phase, phase), 0, span)


def random_outline(draws: Draws) -> NDArray[np.float64]:
    """A smooth closed outline ``(72, 2)`` around the origin, of mean radius about 1, no point farther than about 2.

    Point k lies at the same angle in every outline, so that two of them can be mixed point by point.
    """
    radius = np.ones_like(_ANGLES)
    for order in range(2, 6):
        size, phase = draws.uniform(0, 0.45 / order), draws.uniform(0, TURN)
        radius += 1.3 * size * exact.cos(order * _ANGLES + phase)
    strength, along = draws.uniform(-0.35, 0.35), draws.uniform(0, math.pi)
    radius *= exact.exp(strength * exact.cos(2 * (_ANGLES - along)))
    return radius[:, None] * np.stack([exact.cos(_ANGLES), exact.sin(_ANGLES)], axis=1)


def rotate(points: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Points ``(N, 2)`` turned about the origin by an angle in radians."""
    cos, sin = exact.cos(angle), exact.sin(angle)
    x, y = points[:, 0], points[:, 1]
    return np.stack([x * cos - y * sin, x * sin + y * cos], axis=1)


def area_of(outline: NDArray[np.float64]) -> float:
    """The area enclosed by an outline ``(N, 2)`` (shoelace formula)."""
    x, y = outline[:, 0], outline[:, 1]
    return 0.5 * abs(math.fsum(x * np.roll(y, 1) - y * np.roll(x, 1)))


def brush_strokes(draws: Draws, height: int, width: int, area: float) -> NDArray[np.uint8]:
    """Free-form strokes and blobs ``(H, W)`` in {0, 1} that cover at least `area` (a fraction) of the frame.

    Strokes wander with a smoothly turning heading; the drawing stops with the segment that reaches the area, so that
    the covered fraction exceeds `area` by no more than one dab of the brush, or one blob: half of `area` at most.
    """
    canvas = np.zeros((height, width), np.uint8)
    size = float(min(height, width))
    target = min(area, 0.95) * height * width
    while np.count_nonzero(canvas) < target:
        if draws.random() < 0.25:
            _blob(draws, canvas, 0.5 * target)
        else:
            _stroke(draws, canvas, size, target)
    return canvas


def _blob(draws: Draws, canvas: NDArray[np.uint8], area: float) -> None:
    outline = random_outline(draws)
    radius = math.sqrt(max(area, 1.0) * draws.uniform(0.4, 1.0) / area_of(outline))
    raster.fill(canvas, outline * radius + _spot(draws, canvas))


def _stroke(draws: Draws, canvas: NDArray[np.uint8], size: float, target: float) -> None:
    height, width = canvas.shape
    thickness = max(1, round(size * draws.uniform(0.06, 0.2)))
    (x, y), heading = _spot(draws, canvas), draws.uniform(0, TURN)
    bend = draws.uniform(-0.6, 0.6)
    for _ in range(draws.whole(4, 14)):
        heading += bend + 0.35 * float(draws.normals(1)[0])
        step = size * draws.uniform(0.05, 0.12)
        ahead_x = min(max(x + step * float(exact.cos(heading)), 0.0), float(width))
        ahead_y = min(max(y + step * float(exact.sin(heading)), 0.0), float(height))
        raster.segment(canvas, (round(x), round(y)), (round(ahead_x), round(ahead_y)), thickness)
        x, y = ahead_x, ahead_y
        if np.count_nonzero(canvas) >= target:
            return


def _spot(draws: Draws, canvas: NDArray[np.uint8]) -> tuple[float, float]:
    """A point (x, y) anywhere on a canvas."""
    return draws.uniform(0, canvas.shape[1]), draws.uniform(0, canvas.shape[0])
