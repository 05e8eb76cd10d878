"""Colours of decoded pictures: to RGB, and from RGB into the picture where something changed; everything is rounded.

A stream that names no matrix is read as players read it: BT.709 where a picture is at least 1280 pixels wide or more
than 576 high, BT.601 where it is smaller.
"""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.files.planes import EXACT, FULL, fitted, is_full, planar, samples

BT709, BT601, BT2020 = 1, 5, 9  # FFmpeg's numbers of matrices
LIMITED = 1

_LUMA = {BT709: (0.2126, 0.0722), BT601: (0.299, 0.114), 7: (0.212, 0.087), BT2020: (0.2627, 0.0593)}
"""Matrix -> the shares of red and blue in luma; 7 is SMPTE 240M."""
_SAME = {4: BT601, 6: BT601, 10: BT2020}
_NONE = (0, 2)  # RGB, unspecified

_BLOCK = 4  # the largest number of pixels, down or across, that share a colour sample


def matrix_of(picture: Any) -> int:
    """The matrix of a picture: the one it names, or the one that its size implies."""
    matrix = _SAME.get(picture.colorspace, picture.colorspace)
    if matrix in _LUMA:
        return int(matrix)
    return BT709 if picture.width >= 1280 or picture.height > 576 else BT601


def is_read_by_another(picture: Any) -> bool:
    """Whether a picture names a matrix that is not known (YCgCo, ICtCp): another one stands for it, both ways."""
    return not picture.format.is_rgb and picture.colorspace not in {*_NONE, *_LUMA, *_SAME}


def to_rgb(picture: Any) -> NDArray[np.uint8]:
    """A decoded picture as uint8 ``(H, W, 3)``, by its matrix and range."""
    if picture.format.is_rgb or picture.format.has_palette:
        return np.asarray(picture.to_ndarray(format="rgb24", interpolation=EXACT, threads=1))
    matrix, codes = matrix_of(picture), FULL if is_full(picture) else LIMITED
    if codes == FULL and picture.format.components[0].bits > 8:  # swscale would be up to a level too bright
        picture = fitted(planar(picture), "yuv444p")
    return np.asarray(
        picture.to_ndarray(
            format="rgb24", src_colorspace=matrix, dst_colorspace=matrix, src_color_range=codes, dst_color_range=FULL,
            interpolation=EXACT, threads=1,
        )
    )  # fmt: skip


def from_rgb(rgb: NDArray[np.uint8]) -> Any:
    """A picture in yuv420p, BT.709, of a frame uint8 ``(H, W, 3)`` of even size."""
    picture = av.VideoFrame(rgb.shape[1], rgb.shape[0], "yuv420p")
    picture.colorspace = picture.color_primaries = picture.color_trc = BT709
    picture.color_range = LIMITED
    paste(picture, rgb, np.ones(rgb.shape[:2], bool))
    return picture


def paste(picture: Any, rgb: NDArray[np.uint8], changed: NDArray[np.bool_], centred: bool = False) -> None:
    """Put colours into a picture where they changed. Every other sample stays; a colour sample is replaced if any pixel
    that shares it changed.

    Args:
        picture: in a planar format, written in place.
        rgb: uint8 ``(H, W, 3)``, of the picture's size.
        changed: ``(H, W)``.
        centred: colour samples lie between two columns of pixels, not on the left one.
    """
    if not changed.any():
        return
    rows, columns = (_span(changed.any(axis=axis)) for axis in (1, 0))
    codes = _codes(rgb[rows, columns], picture)
    where = changed[rows, columns]
    for part, plane, values in zip(picture.format.components, samples(picture), codes):
        if part.is_alpha:
            continue
        down, across = -(-changed.shape[0] // plane.shape[0]), -(-changed.shape[1] // plane.shape[1])
        shared = _shared(_shared(values, down, 0, True), across, 1, centred)
        touched = _blocks(np.asarray(_blocks(where, down, 0).any(axis=1)), across, 1).any(axis=2)
        top, left = rows.start // down, columns.start // across
        here = plane[top : top + touched.shape[0], left : left + touched.shape[1]]
        here[touched] = np.clip(np.rint(shared[touched]), 0, (1 << part.bits) - 1)


def _span(marked: Any) -> slice:
    """From a block before the first marked place to a block behind the last one, in whole blocks."""
    places = np.flatnonzero(marked)
    return slice(max(0, (places[0] // _BLOCK - 1) * _BLOCK), min(len(marked), (places[-1] // _BLOCK + 2) * _BLOCK))


def _codes(rgb: NDArray[np.uint8], picture: Any) -> list[NDArray[np.float32]]:
    """The samples, not yet rounded, that stand for colours: Y, U, V or R, G, B, each ``(H, W)``."""
    bits = picture.format.components[0].bits
    colours = np.moveaxis(rgb.astype(np.float32), 2, 0) / np.float32(255)
    if picture.format.is_rgb:
        return list(colours * np.float32((1 << bits) - 1))
    red, blue = _LUMA[matrix_of(picture)]
    luma = red * colours[0] + (1 - red - blue) * colours[1] + blue * colours[2]
    differences = (colours[2] - luma) / (2 - 2 * blue), (colours[0] - luma) / (2 - 2 * red)
    if is_full(picture):
        black, scale, shift = 0.0, (1 << bits) - 1.0, (1 << bits) - 1.0
    else:
        unit = 1 << (bits - 8)
        black, scale, shift = 16.0 * unit, 219.0 * unit, 224.0 * unit
    return [black + scale * luma, *((1 << (bits - 1)) + shift * part for part in differences)]


def _blocks(array: NDArray[Any], size: int, axis: int) -> NDArray[Any]:
    """An axis split into blocks: ``(n, size)`` in its place; the last block is filled up with its last entry."""
    missing = -array.shape[axis] % size
    padding = [(0, missing if number == axis else 0) for number in range(array.ndim)]
    array = np.pad(array, padding, mode="edge")
    return array.reshape(*array.shape[:axis], -1, size, *array.shape[axis + 1 :])


def _shared(values: NDArray[np.float32], size: int, axis: int, centred: bool) -> NDArray[np.float32]:
    """What pixels that share a sample have in common: their mean or, where the sample lies on the first of two, the
    mean about that one with weights 1, 2, 1."""
    if size == 1:
        return values
    blocks = _blocks(values, size, axis)
    if centred or size != 2:
        return np.asarray(blocks.mean(axis=axis + 1))
    first, second = (np.take(blocks, index, axis=axis + 1) for index in (0, 1))
    before = np.concatenate([np.take(first, [0], axis=axis), np.delete(second, -1, axis=axis)], axis=axis)
    return np.asarray((before + 2 * first + second) / 4)
