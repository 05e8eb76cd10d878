"""Putting pictures together: beside, below, and under a line of text. Pictures are uint8 ``(H, W, 3)``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]

GAP = 4
INK, SOFT = (31, 41, 51), (100, 116, 139)


def beside(pictures: Sequence[Pixels], gap: int = GAP) -> Pixels:
    """Pictures of one height next to each other, with white gaps."""
    white = np.full((pictures[0].shape[0], gap, 3), 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, white)][:-1], axis=1)


def below(rows: Sequence[Pixels], gap: int = GAP) -> Pixels:
    """Pictures below each other on white; narrower ones are padded on the right."""
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, gap), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return np.concatenate(padded)[: -gap or None]


def strip(width: int, text: str, size: int = 13, colour: tuple[int, int, int] = INK) -> Pixels:
    """A white line of text as wide as asked for; what does not fit is cut off."""
    image = Image.new("RGB", (width, size + 6), "white")
    ImageDraw.Draw(image).text((2, 1), text, fill=colour, font=_font(size))
    return np.asarray(image)


def labelled(picture: Pixels, text: str, size: int = 13) -> Pixels:
    """The picture under a line of text."""
    return np.concatenate([strip(picture.shape[1], text, size), picture])


def enlarged(frames: Pixels, times: int) -> Pixels:
    """Frames ``(..., H, W, 3)`` with every pixel repeated: nothing is invented by interpolation."""
    return frames.repeat(times, axis=-3).repeat(times, axis=-2)


def closeup(picture: Pixels, where: NDArray[np.uint8]) -> Pixels:
    """The part of a picture around what ``where (H, W)`` marks and a third more, with the picture's aspect and size."""
    height, width = where.shape
    rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
    share = max((rows[-1] - rows[0] + 1) / height, (columns[-1] - columns[0] + 1) / width) * 1.35
    tall, wide = (max(8, round(min(share, 1) * extent)) for extent in (height, width))
    top = int(np.clip((rows[0] + rows[-1] + 1 - tall) // 2, 0, height - tall))
    left = int(np.clip((columns[0] + columns[-1] + 1 - wide) // 2, 0, width - wide))
    part = Image.fromarray(picture[top : top + tall, left : left + wide])
    return np.asarray(part.resize((width, height), Image.Resampling.BICUBIC))


def as_grey(masks: NDArray[np.uint8]) -> Pixels:
    """Masks ``(..., H, W)`` in 0..255 as pictures ``(..., H, W, 3)``."""
    return np.repeat(masks[..., None], 3, axis=-1)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    # Matplotlib brings this font along; Pillow's own lacks Greek letters.
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)
