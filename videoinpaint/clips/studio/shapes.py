"""Random smooth shapes, brush strokes and paths: the raw material of studio scenes and of synthetic holes.

Lengths are in pixels of the picture being drawn; callers scale by ``width / UNIT_WIDTH``, so that a scene looks
the same at every size. Every path is a closed formula of time: frame t does not depend on how many are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

UNIT_WIDTH = 216.0
"""Speeds and sizes are given in pixels of a frame of this width."""

_ANGLES = np.linspace(0, 2 * np.pi, 72, endpoint=False)
_SUBPIXEL_BITS = 4


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
        x = self.x + radius * (np.sin(angle) - np.sin(self.heading))
        y = self.y - radius * (np.cos(angle) - np.cos(self.heading))
        return np.stack([x, y], axis=1)


def random_path(
    rng: np.random.Generator, x: float, y: float, speed: float, towards: tuple[float, float] | None = None
) -> Path:
    """A path from ``(x, y)`` that turns by 0.02 to 0.08 radians a frame; it sets off roughly `towards` a point."""
    heading, size, sign = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.08), rng.choice((-1.0, 1.0))
    if towards is not None:
        heading = np.arctan2(towards[1] - y, towards[0] - x) + 0.3 * (heading - np.pi)
    return Path(x, y, speed, float(heading), float(size * sign))


def fold(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Values reflected at both ends into ``[low, high]``: things that reach the border bounce."""
    span = max(high - low, 1e-6)
    phase = np.mod(values - low, 2 * span)
    return low + np.where(phase > span, 2 * span - phase, phase)


def random_outline(rng: np.random.Generator, roughness: float = 0.45) -> NDArray[np.float64]:
    """A smooth closed outline ``(72, 2)`` around the origin, of mean radius about 1, no point farther than about 2.

    Point k lies at the same angle in every outline, so that two of them can be mixed point by point.
    """
    radius = np.ones_like(_ANGLES)
    for order in range(2, 6):
        size, phase = rng.uniform(0, roughness / order), rng.uniform(0, 2 * np.pi)
        radius += 1.3 * size * np.cos(order * _ANGLES + phase)
    stretch = np.exp(rng.uniform(-0.35, 0.35) * np.cos(2 * (_ANGLES - rng.uniform(0, np.pi))))
    return (radius * stretch)[:, None] * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def rotate(points: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Points ``(N, 2)`` turned about the origin by an angle in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def area_of(outline: NDArray[np.float64]) -> float:
    """The area enclosed by an outline ``(N, 2)`` (shoelace formula)."""
    x, y = outline[:, 0], outline[:, 1]
    return float(0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))


def fill(canvas: NDArray[np.uint8], outline: NDArray[np.float64], value: int = 1) -> None:
    """Draw a filled outline ``(N, 2)`` onto a canvas ``(H, W)`` in place, with sub-pixel corners."""
    points = np.round(outline * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(canvas, [points], (value,), shift=_SUBPIXEL_BITS)


def brush_strokes(rng: np.random.Generator, height: int, width: int, area: float) -> NDArray[np.uint8]:
    """Free-form strokes and blobs ``(H, W)`` in {0, 1} that cover at least `area` (a fraction) of the frame.

    Strokes wander with a smoothly turning heading; the drawing stops with the segment that reaches the area, so that
    the covered fraction exceeds `area` by no more than one dab of the brush.
    """
    canvas = np.zeros((height, width), np.uint8)
    size = float(min(height, width))
    target = min(area, 0.95) * height * width
    while cv2.countNonZero(canvas) < target:
        if rng.random() < 0.25:
            _blob(rng, canvas, 0.5 * target)
        else:
            _stroke(rng, canvas, size, target)
    return canvas


def _blob(rng: np.random.Generator, canvas: NDArray[np.uint8], area: float) -> None:
    height, width = canvas.shape
    outline = random_outline(rng)
    radius = np.sqrt(max(area, 1.0) * rng.uniform(0.4, 1.0) / area_of(outline))
    fill(canvas, outline * radius + rng.uniform((0.0, 0.0), (width, height)))


def _stroke(rng: np.random.Generator, canvas: NDArray[np.uint8], size: float, target: float) -> None:
    height, width = canvas.shape
    thickness = max(1, round(size * rng.uniform(0.06, 0.2)))
    point, heading = rng.uniform((0.0, 0.0), (width, height)), rng.uniform(0, 2 * np.pi)
    bend = rng.uniform(-0.6, 0.6)
    for _ in range(rng.integers(4, 14)):
        heading += bend + rng.normal(0, 0.35)
        ahead = point + size * rng.uniform(0.05, 0.12) * np.array([np.cos(heading), np.sin(heading)])
        ahead = np.clip(ahead, 0, (width, height))
        ends = [(round(float(x)), round(float(y))) for x, y in (point, ahead)]
        cv2.line(canvas, ends[0], ends[1], (1,), thickness)
        point = ahead
        if cv2.countNonZero(canvas) >= target:
            return
