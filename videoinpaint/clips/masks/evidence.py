"""What mask pictures look like, counted over all pictures of a sequence in memory that does not grow with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.clips.files.images import deep_grey
from videoinpaint.errors import InputError

Values = NDArray[Any]  # uint8, or uint16 where pictures have more than 8 bits

BLACK = 16
"""Values below it are black to the eye; TV range calls it black."""

LARGEST = 65535
"""The largest value of a picture."""

_BLOCK = 1 << 20  # values counted at a time, which NumPy widens to 8 bytes each


@dataclass(frozen=True)
class Planes:
    """A mask picture, taken apart.

    Attributes:
        brightness: ``(H, W)``, of the brightest channel.
        alpha: uint8 ``(H, W)``, where the picture has transparency.
        index: uint8 ``(H, W)``, where it has a palette.
        colours: uint8 ``(H, W, 3)``, where it has transparency.
        grey: brightness is all that there is: the picture has one channel.
        labels: the palette's colours that occur are colours, not greys.
        first: the brightness of the palette's first colour.
    """

    brightness: Values
    alpha: NDArray[np.uint8] | None = None
    index: NDArray[np.uint8] | None = None
    colours: NDArray[np.uint8] | None = None
    grey: bool = False
    labels: bool = False
    first: int = 0


def planes_of(image: Image.Image, path: Path) -> Planes:
    """A decoded picture taken apart.

    Raises:
        InputError: its mode has no known meaning.
    """
    if image.mode[0] in "IF":
        return Planes(deep_grey(image, path), grey=True)
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        return _with_alpha(image)
    if image.mode == "P":
        return _with_palette(image)
    if image.mode in ("1", "L"):
        return Planes(np.asarray(image.convert("L")), grey=True)
    return Planes(brightness_of(np.asarray(image.convert("RGB"))))


def brightness_of(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The brightest channel of colours ``(..., 3)``; NumPy's own maximum over three values is ten times slower."""
    return np.maximum(np.maximum(colours[..., 0], colours[..., 1]), colours[..., 2])


def _with_alpha(image: Image.Image) -> Planes:
    if image.mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    pixels = np.asarray(image.convert("RGBA"))
    alpha, colours = pixels[..., 3], pixels[..., :3]
    if image.mode == "P" and (alpha == 255).all():
        return _with_palette(image)
    return Planes(brightness_of(colours), alpha, colours=colours)


def _with_palette(image: Image.Image) -> Planes:
    index = np.asarray(image)
    palette = np.zeros((256, 3), np.uint8)
    entries = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette[: len(entries)] = entries
    used = palette[np.bincount(index.ravel(), minlength=256) > 0].astype(int)
    labels = bool((np.ptp(used, axis=1) > BLACK).any())
    return Planes(palette.max(axis=1)[index], index=index, labels=labels, first=int(palette[0].max()))


class Tally:
    """How often each value occurs in the pictures of a sequence, and the extremes of each picture."""

    def __init__(self, watched: int | None) -> None:
        self.counts = np.zeros(LARGEST + 1, np.int64)
        self.watched = watched
        self.lows, self.highs, self.found, self.pixels = list[int](), list[int](), list[int](), 0

    def add(self, values: Values) -> None:
        """Count a picture ``(H, W)``."""
        counts = np.zeros_like(self.counts)
        flat = values.reshape(-1)
        for start in range(0, flat.size, _BLOCK):
            part = np.bincount(flat[start : start + _BLOCK])
            counts[: len(part)] += part
        there = np.flatnonzero(counts)
        self.counts += counts
        self.lows.append(int(there[0]))
        self.highs.append(int(there[-1]))
        self.found.append(0 if self.watched is None else int(counts[self.watched]))
        self.pixels = flat.size

    @property
    def highest(self) -> int:
        """The highest value of all."""
        return max(self.highs, default=0)

    @property
    def varies(self) -> bool:
        """There are values that differ by more than rounding."""
        return bool(self.lows) and min(self.lows) + BLACK < self.highest

    def values(self) -> list[int]:
        """The values that occur."""
        return np.flatnonzero(self.counts).tolist()


@dataclass
class Evidence:
    """What was seen in the pictures of a sequence so far.

    Args:
        watched: a value whose pixels are counted in every single picture, too.
    """

    watched: int | None = None
    pictures: int = 0
    with_alpha: int = 0
    labels: bool = False
    grey: bool = True
    first: int = 0
    depth: str = ""
    low: NDArray[np.int64] = field(default_factory=lambda: np.full(3, 255))
    high: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, np.int64))
    visible: int = 0
    pictorial: int = 0

    def __post_init__(self) -> None:
        self.brightness, self.alpha, self.index = (Tally(self.watched) for _ in range(3))

    def add(self, planes: Planes, name: object) -> None:
        """Look at one more picture.

        Raises:
            InputError: it has another depth than those before.
        """
        depth = str(planes.brightness.dtype)
        if self.depth not in ("", depth):
            raise InputError(f"{name} has {depth[4:]} bits, the masks before it {self.depth[4:]}: save all alike")
        self.depth = depth
        self.pictures += 1
        self.brightness.add(planes.brightness)
        if planes.alpha is not None and planes.colours is not None:
            self.with_alpha += 1
            self.alpha.add(planes.alpha)
            self._look_at(planes.colours, planes.alpha > planes.alpha.max() // 2)
        if planes.index is not None:
            self.index.add(planes.index)
        self.grey &= planes.grey
        self.labels |= planes.labels
        self.first = max(self.first, planes.first)

    def _look_at(self, colours: NDArray[np.uint8], visible: NDArray[np.bool_]) -> None:
        """Colours ``(H, W, 3)`` where they are not transparent."""
        if not visible.any():
            return
        channels = [colours[..., channel][visible] for channel in range(3)]
        self.low = np.minimum(self.low, [channel.min() for channel in channels])
        self.high = np.maximum(self.high, [channel.max() for channel in channels])
        brightest, darkest = np.maximum.reduce(channels), np.minimum.reduce(channels)
        middling = (brightest > 64) & (brightest < 192)
        self.visible += len(brightest)
        self.pictorial += int((middling | (brightest - darkest > 32)).sum())
