"""Things to paste before a background: sprites, textured outlines, and objects cut out of a clip.

A target is drawn frame by frame around a moving *anchor* ``(x, y)``. Whatever is painted on it is attached to it: it
moves, turns, scales and deforms with the target, so that the object looks the same in all frames.
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.studio import shapes
from videoinpaint.clips.studio.scenes import look_up, scaled
from videoinpaint.clips.types import Clip

Floats = NDArray[np.float32]
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
        rng: draws everything about it.
        picture: uint8 ``(h, w, 3)``, what it is made of.
        size: (T, H, W) of the clip.
        area: share of the frame that it covers at rest.
    """

    def __init__(self, rng: np.random.Generator, picture: Pixels, size: tuple[int, int, int], area: float) -> None:
        count, self.height, self.width = size
        unit = self.width / shapes.UNIT_WIDTH
        outline = shapes.random_outline(rng)
        self.radius = float(np.sqrt(area * self.height * self.width / shapes.area_of(outline)))
        side = max(8, int(4 * self.radius))
        self.tile = tile_of(rng, picture, side, unit)
        cover = np.zeros((side, side), np.uint8)
        shapes.fill(cover, outline * self.radius + side / 2, 255)
        self.cover = cv2.GaussianBlur(cover, (0, 0), _SOFT).astype(np.float32) / 255
        self.middle = side / 2
        self.own = np.zeros((count, 2))
        self.spin, self.sway = rng.uniform(-0.02, 0.02), rng.uniform(0, 0.25)
        self.growth, self.breath = rng.uniform(-0.01, 0.01), rng.uniform(0, 0.1)
        self.rates, self.phases = rng.uniform(0.08, 0.25, 2), rng.uniform(0, 2 * np.pi, 2)
        self.bend = rng.uniform(0.0, 0.12, 2) * self.radius
        self.bend_phase, self.bend_rate = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.1, 0.4, 2)
        rows, columns = np.mgrid[: self.height, : self.width].astype(np.float32)
        self.grid = (columns, rows)

    def draw(self, index: int, x: float, y: float) -> tuple[Floats, Floats]:
        """Every pixel of the frame looks up the place of the tile that lies there."""
        turn = self.spin * index + self.sway * (np.sin(self.rates[0] * index + self.phases[0]) - np.sin(self.phases[0]))
        swell = self.breath * (np.sin(self.rates[1] * index + self.phases[1]) - np.sin(self.phases[1]))
        scale = np.exp(np.clip(self.growth * index + swell, -0.5, 0.4))
        cos, sin = np.float32(np.cos(turn) / scale), np.float32(np.sin(turn) / scale)
        across, down = self.grid[0] - np.float32(x), self.grid[1] - np.float32(y)
        along, athwart = cos * across + sin * down, cos * down - sin * across
        waves = np.float32(2 * np.pi / (4 * self.radius))
        phases = (self.bend_phase + self.bend_rate * index).astype(np.float32)
        map_x = along + np.float32(self.bend[0]) * np.sin(waves * athwart + phases[0]) + np.float32(self.middle)
        map_y = athwart + np.float32(self.bend[1]) * np.sin(waves * along + phases[1]) + np.float32(self.middle)
        colour = look_up(self.tile, map_x, map_y).astype(np.float32)
        cover = cv2.remap(self.cover, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return colour, crisp(np.asarray(cover, np.float32))


class Outlined:
    """The outline of a real moving object, filled with a picture that is carried along its middle and its size.

    Args:
        rng: draws its texture and whether it is mirrored.
        picture: uint8 ``(h, w, 3)``, what it is made of.
        masks: uint8 ``(T, H, W)`` in {0, 1}, not empty in the first frame.
        area: share of the frame that it covers on average.
    """

    def __init__(self, rng: np.random.Generator, picture: Pixels, masks: Pixels, area: float) -> None:
        self.masks = masks
        self.scale, self.spots, sizes = _measure(masks, area)
        self.own = self.scale * (self.spots - self.spots[0])
        self.zoom = sizes / sizes[0]
        side = max(16, int(3.5 * self.scale * sizes[0]))
        self.tile = tile_of(rng, picture, side, masks.shape[2] / shapes.UNIT_WIDTH)

    def draw(self, index: int, x: float, y: float) -> tuple[Floats, Floats]:
        """The mask and the texture, each put where the anchor is."""
        cover = _put(self.masks[index].astype(np.float32), self.scale, self.spots[index], (x, y))
        zoom, side = float(self.zoom[index]), self.tile.shape[0]
        affine = np.array([[zoom, 0, x - zoom * side / 2], [0, zoom, y - zoom * side / 2]])
        colour = cv2.warpAffine(self.tile, affine, cover.shape[::-1], borderMode=cv2.BORDER_REFLECT_101)
        return colour.astype(np.float32), crisp(np.asarray(cv2.GaussianBlur(cover, (0, 0), _SOFT), np.float32))


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
        inner = cv2.erode(self.masks[index], np.ones((3, 3), np.uint8)).astype(np.float32)
        place = (self.scale, self.spots[index], (x, y))
        cover = cv2.GaussianBlur(_put(inner, *place), (0, 0), _SOFT)
        return _put(self.frames[index].astype(np.float32), *place), crisp(np.asarray(cover, np.float32))


def tile_of(rng: np.random.Generator, picture: Pixels, side: int, unit: float) -> Pixels:
    """A random square ``(side, side, 3)`` of a picture, which is enlarged where it is too small."""
    picture = scaled(picture, max(side / min(picture.shape[:2]) + 1e-3, rng.uniform(0.4, 0.9) * unit))
    top, left = (int(rng.integers(0, extent - side + 1)) for extent in picture.shape[:2])
    return np.ascontiguousarray(picture[top : top + side, left : left + side])


def crisp(cover: Floats) -> Floats:
    """The cover without its faint rim: what is left is everything that a mask has to mark."""
    return np.clip((cover - np.float32(_FAINT)) / np.float32(1 - _FAINT), 0, 1)


def _measure(masks: Pixels, area: float) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """The enlargement that gives the masks this mean area, and their middles ``(T, 2)`` and sizes ``(T,)``, smoothed.

    Frames without the object take the last middle and size before them.
    """
    rows, columns = np.mgrid[: masks.shape[1], : masks.shape[2]]
    spots, sizes = np.zeros((len(masks), 2)), np.zeros(len(masks))
    for index, mask in enumerate(masks):
        marked = mask > 0
        if marked.any():
            spots[index] = columns[marked].mean(), rows[marked].mean()
            sizes[index] = np.sqrt(marked.sum())
        else:
            spots[index], sizes[index] = spots[index - 1], sizes[index - 1]
    scale = float(np.sqrt(area * masks[0].size / np.mean(sizes**2)))
    return scale, _smooth(spots), _smooth(sizes[:, None])[:, 0]


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(values, ((1, 1), (0, 0)), mode="edge")
    return 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]


def _put(image: Floats, scale: float, spot: NDArray[np.float64], to: tuple[float, float]) -> Floats:
    """The picture scaled about `spot`, which comes to lie at `to`; black (nothing) beyond its border."""
    affine = np.array([[scale, 0, to[0] - scale * spot[0]], [0, scale, to[1] - scale * spot[1]]])
    if scale < 0.7:  # without it, warping a large picture down would alias
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.4 / scale), np.float32)
    return np.asarray(cv2.warpAffine(image, affine, image.shape[1::-1], flags=cv2.INTER_LINEAR), np.float32)
