"""Things to paste before a background: sprites, textured outlines, and objects cut out of a clip.

A target is drawn frame by frame around a moving *anchor* ``(x, y)``. Whatever is painted on it is attached to it: it
moves, turns, scales and deforms with the target, so that the object looks the same in all frames.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.studio import exact, raster, shapes
from videoinpaint.clips.studio.draws import Draws
from videoinpaint.clips.studio.layers import cut, look_up
from videoinpaint.clips.types import Clip

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

_FAINT = 0.1  # a cover below this is no cover: the mask of a target is every pixel that it touches
_SOFT = 0.7  # standard deviation of the edge, pixels: from 10 to 90 % cover in about two


class Target(Protocol):
    """A thing that can be drawn around a point of the frame."""

    own: NDArray[np.float64]
    """How far the anchor has come by itself since frame 0, ``(T, 2)`` pixels."""

    def draw(self, index: int, x: float, y: float) -> tuple[Floats, Floats]:
        """Colour ``(H, W, 3)`` in 0..255 and cover ``(H, W)`` in [0, 1] of frame `index` with the anchor there."""
        ...


class Sprite:
    """A smooth random outline cut from a picture, which turns, breathes and bends like jelly.

    Args:
        draws: everything random about it.
        picture: uint8 ``(h, w, 3)``, what it is made of.
        size: (T, H, W) of the clip.
        area: share of the frame that it covers at rest.
    """

    def __init__(self, draws: Draws, picture: Pixels, size: tuple[int, int, int], area: float) -> None:
        count, self.height, self.width = size
        unit = self.width / shapes.UNIT_WIDTH
        outline = shapes.random_outline(draws)
        self.radius = math.sqrt(area * self.height * self.width / shapes.area_of(outline))
        side = max(8, int(4 * self.radius))
        self.tile = tile_of(draws, picture, side, unit)
        cover = np.zeros((side, side), np.uint8)
        raster.fill(cover, outline * self.radius + side / 2)
        self.cover = _quantised(raster.blurred(cover.astype(np.float64), _SOFT))
        self.middle = side / 2
        self.own = np.zeros((count, 2))
        self.spin, self.sway = draws.uniform(-0.02, 0.02), draws.uniform(0, 0.25)
        self.growth, self.breath = draws.uniform(-0.01, 0.01), draws.uniform(0, 0.1)
        self.rates, self.phases = draws.uniforms(0.08, 0.25, 2), draws.uniforms(0, shapes.TURN, 2)
        self.bend = draws.uniforms(0.0, 0.12, 2) * self.radius
        self.bend_phase, self.bend_rate = draws.uniforms(0, shapes.TURN, 2), draws.uniforms(0.1, 0.4, 2)

    def draw(self, index: int, x: float, y: float) -> tuple[Floats, Floats]:
        """Every pixel of the frame looks up the place of the tile that lies there."""
        swings = exact.sin(self.rates * index + self.phases) - exact.sin(self.phases)
        turn = self.spin * index + self.sway * swings[0]
        scale = exact.exp(np.clip(self.growth * index + self.breath * swings[1], -0.5, 0.4))
        cos, sin = exact.cos(turn) / scale, exact.sin(turn) / scale
        across, down = np.arange(self.width) - x, (np.arange(self.height) - y)[:, None]
        along, athwart = cos * across + sin * down, cos * down - sin * across
        waves, phases = shapes.TURN / (4 * self.radius), self.bend_phase + self.bend_rate * index
        map_x = along + self.bend[0] * exact.sin(waves * athwart + phases[0]) + self.middle
        map_y = athwart + self.bend[1] * exact.sin(waves * along + phases[1]) + self.middle
        return np.moveaxis(look_up(self.tile, map_x, map_y), 0, -1), crisp(_cover(self.cover, map_x, map_y))


class Outlined:
    """The outline of a real moving object, filled with a picture that is carried along its middle and its size.

    Args:
        draws: its texture.
        picture: uint8 ``(h, w, 3)``, what it is made of.
        masks: uint8 ``(T, H, W)`` in {0, 1}, not empty in the first frame.
        area: share of the frame that it covers on average.
    """

    def __init__(self, draws: Draws, picture: Pixels, masks: Pixels, area: float) -> None:
        self.masks = masks
        self.scale, self.spots, sizes = _measure(masks, area)
        self.own = self.scale * (self.spots - self.spots[0])
        self.zoom = sizes / sizes[0]
        side = max(16, int(3.5 * self.scale * sizes[0]))
        self.tile = tile_of(draws, picture, side, masks.shape[2] / shapes.UNIT_WIDTH)

    def draw(self, index: int, x: float, y: float) -> tuple[Floats, Floats]:
        """The mask and the texture, each put where the anchor is."""
        map_x, map_y = _undone(self.masks.shape[1:], self.scale, self.spots[index], (x, y))
        cover = _cover(_quantised(_thinned(self.masks[index], self.scale)), map_x, map_y)
        zoom, side = float(self.zoom[index]), self.tile.shape[0]
        height, width = cover.shape
        grid = np.broadcast_arrays(np.arange(width) - x, (np.arange(height) - y)[:, None])
        colour = look_up(self.tile, grid[0] / zoom + side / 2, grid[1] / zoom + side / 2)
        return np.moveaxis(colour, 0, -1), crisp(raster.blurred(cover, _SOFT))


class CutOut:
    """A segmented object with its own pixels, moved and scaled as a whole.

    Args:
        clip: frames, and `objects` that are not empty in the first frame.
        area: share of the frame that it covers on average.
    """

    def __init__(self, clip: Clip, area: float) -> None:
        assert clip.objects is not None
        self.frames, self.masks = clip.frames, clip.objects
        self.scale, self.spots, _ = _measure(self.masks, area)
        self.own = self.scale * (self.spots - self.spots[0])

    def draw(self, index: int, x: float, y: float) -> tuple[Floats, Floats]:
        """The object without its outermost pixels, which hold some of its old background."""
        inner = raster.eroded(self.masks[index], 1)
        map_x, map_y = _undone(inner.shape, self.scale, self.spots[index], (x, y))
        cover = _cover(_quantised(_thinned(inner, self.scale)), map_x, map_y)
        frame = np.rint(_thinned(self.frames[index], self.scale)).astype(np.uint8)
        colour = look_up(raster.pack(frame), map_x, map_y)
        return np.moveaxis(colour, 0, -1), crisp(raster.blurred(cover, _SOFT))


def tile_of(draws: Draws, picture: Pixels, side: int, unit: float) -> raster.Packed:
    """A random square ``(side, side)``, packed, of a picture, which is enlarged where it is too small."""
    return cut(draws, raster.pack(picture), side, max(side / min(picture.shape[:2]), draws.uniform(0.4, 0.9) * unit))


def crisp(cover: Floats) -> Floats:
    """The cover without its faint rim: what is left is everything that a mask has to mark."""
    return np.clip((cover - _FAINT) / (1 - _FAINT), 0, 1)


def _measure(masks: Pixels, area: float) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """The enlargement that gives the masks this mean area, and their middles ``(T, 2)`` and sizes ``(T,)``, smoothed.

    Frames without the object take the last middle and size before them.
    """
    spots, sizes = np.zeros((len(masks), 2)), np.zeros(len(masks))
    for index, mask in enumerate(masks):
        rows, columns = np.nonzero(mask)
        if len(rows):
            spots[index] = int(columns.sum()) / len(rows), int(rows.sum()) / len(rows)
            sizes[index] = math.sqrt(len(rows))
        else:
            spots[index], sizes[index] = spots[index - 1], sizes[index - 1]
    scale = math.sqrt(area * masks[0].size / exact.mean(sizes * sizes))
    return scale, _smooth(spots), _smooth(sizes[:, None])[:, 0]


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(values, ((1, 1), (0, 0)), mode="edge")
    smooth: NDArray[np.float64] = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    return smooth


def _undone(
    size: tuple[int, ...], scale: float, spot: NDArray[np.float64], to: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Where the pixels of a frame come from, when it is scaled about `spot`, which comes to lie at `to`: x and y."""
    x, y = (np.arange(size[1]) - to[0]) / scale + spot[0], (np.arange(size[0]) - to[1]) / scale + spot[1]
    whole_x, whole_y = np.broadcast_arrays(x, y[:, None])
    return whole_x, whole_y


def _thinned(image: Pixels, scale: float) -> Floats:
    """The picture without what would alias when it is scaled down."""
    values = image.astype(np.float64)
    return raster.blurred(values, 0.4 / scale) if scale < 0.7 else values


def _quantised(cover: Floats) -> raster.Packed:
    """A cover in [0, 1] in steps of 1/4096, in one pixel of nothing."""
    return np.pad(np.rint(4096 * cover).astype(np.int64), 1)


def _cover(cover: raster.Packed, x: Floats, y: Floats) -> Floats:
    """A quantised cover between its pixels, in [0, 1]; nothing beyond its border."""
    values = raster.Places(cover.shape, x + 1, y + 1, mirrored=False).look_up(cover).astype(np.float64)
    return values * (1 / (4096 * raster.WEIGHT))
