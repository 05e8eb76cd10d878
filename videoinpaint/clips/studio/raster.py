"""Pictures drawn by arithmetic that is defined here: whole numbers, or float64 in a fixed order.

No library resamples, blurs or fills anything: OpenCV's results differ between its versions and between processors.
Pixel centres lie at whole coordinates. An RGB picture is *packed*: int64 ``(H, W)`` with a channel in each of three
lanes of 20 bits, so that one gather and one multiplication serve all channels. Lanes hold 8 bits; weights add up to
4096 = 2**12.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.studio import exact

Pixels = NDArray[np.uint8]
Packed = NDArray[np.int64]
Floats = NDArray[np.float64]

LANE = 20
WEIGHT_BITS = 12
WEIGHT = 1 << WEIGHT_BITS
"""What the weights of a look-up add up to: a channel of 255 gives 255 * WEIGHT."""

_SUBPIXEL_BITS = 6  # of a look-up: places are rounded to 1/64 pixel; two such weights make WEIGHT
_CORNER_BITS = 4  # corners of outlines are rounded to 1/16 pixel
_BYTES = 255 | 255 << LANE | 255 << 2 * LANE
_HALVES = (WEIGHT // 2) * (1 | 1 << LANE | 1 << 2 * LANE)


def pack(image: Pixels) -> Packed:
    """uint8 ``(..., 3)`` as one int64 for each pixel."""
    wide = image.astype(np.int64)
    return wide[..., 0] | wide[..., 1] << LANE | wide[..., 2] << 2 * LANE


def lanes(packed: Packed) -> list[Packed]:
    """The three channels of packed pixels."""
    mask = (1 << LANE) - 1
    return [packed & mask, packed >> LANE & mask, packed >> 2 * LANE]


def unpack(packed: Packed) -> Pixels:
    """The inverse of `pack`."""
    return np.stack(lanes(packed), axis=-1).astype(np.uint8)


class Places:
    """Where some points lie between the pixels of a picture of this shape: bilinear look-ups there.

    Args:
        shape: (height, width) of the pictures to look up.
        x, y: coordinates; beyond the border the picture is mirrored without repeating it, or its border continues.
        mirrored: which of the two.
    """

    def __init__(self, shape: tuple[int, ...], x: Floats, y: Floats, mirrored: bool = True) -> None:
        left, right, fx = _neighbours(x, shape[1], mirrored)
        above, below, fy = _neighbours(y, shape[0], mirrored)
        above, below = above * shape[1], below * shape[1]
        both, one = fx * fy, 1 << _SUBPIXEL_BITS
        self._corners = (above + left, above + right, below + left, below + right)
        self._weights = ((one - fy) * one - fx * one + both, fx * one - both, fy * one - both, both)

    def look_up(self, image: Packed) -> Packed:
        """Values times `WEIGHT`: lanes of a packed picture, or a plain picture of less than 2**50."""
        flat = image.reshape(-1)
        total = flat.take(self._corners[0])
        total *= self._weights[0]
        for corner, weight in zip(self._corners[1:], self._weights[1:]):
            part = flat.take(corner)
            part *= weight
            total += part
        return total


def _neighbours(places: Floats, size: int, mirrored: bool) -> tuple[Packed, Packed, Packed]:
    """The pixels before and after each place along an axis, and the share of the second in 1/64."""
    fixed = np.floor(places * (1 << _SUBPIXEL_BITS) + 0.5).astype(np.int64)
    whole = fixed >> _SUBPIXEL_BITS
    low, high = int(whole.min()), int(whole.max())
    table = np.arange(low, high + 2, dtype=np.int64)
    table = reflected(table, size) if mirrored else np.clip(table, 0, size - 1)
    whole -= low
    return table.take(whole), table.take(whole + 1), fixed & ((1 << _SUBPIXEL_BITS) - 1)


def reflected(index: Packed, size: int) -> Packed:
    """Indices mirrored into ``0 .. size - 1``; the border is not repeated."""
    period = max(1, 2 * size - 2)
    index = index % period
    return np.minimum(index, period - index) if size > 1 else index * 0


def scaled_size(shape: tuple[int, ...], scale: float) -> tuple[int, int]:
    """The size of a picture of this shape that is scaled."""
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def scaled(image: Packed, scale: float, window: tuple[int, int, int, int] | None = None) -> Packed:
    """A packed picture scaled: by area averaging where it shrinks, linearly where it grows.

    Args:
        image: packed ``(h, w)``.
        scale: factor.
        window: (top, left, height, width) of the scaled picture that is wanted; by default all of it.
    """
    height, width = scaled_size(image.shape, scale)
    top, left, rows, columns = window or (0, 0, height, width)
    for axis, (size, first, count) in enumerate(((height, top, rows), (width, left, columns))):
        if size != image.shape[axis] or count != size:
            image = _resampled(image, axis, *_taps(image.shape[axis], size, first, count))
    return image


def _taps(old: int, new: int, first: int, count: int) -> tuple[Packed, Packed]:
    """Source pixels and weights ``(K, count)`` of the pixels ``first .. first + count`` of an axis."""
    place = np.arange(first, first + count, dtype=np.int64)
    if new >= old:
        fixed = ((2 * place + 1) * old - new) * WEIGHT // (2 * new)
        whole, share = fixed >> WEIGHT_BITS, fixed & (WEIGHT - 1)
        return np.clip(np.stack([whole, whole + 1]), 0, old - 1), np.stack([WEIGHT - share, share])
    begin, end = place * old, (place + 1) * old  # in units of 1 / new of a source pixel
    index = begin // new + np.arange(-(-old // new) + 1, dtype=np.int64)[:, None]
    edges = [np.clip(edge * new, begin, end) - begin for edge in (index, index + 1)]
    low, high = (edge * WEIGHT // old for edge in edges)
    return np.minimum(index, old - 1), high - low


def _resampled(image: Packed, axis: int, index: Packed, weights: Packed) -> Packed:
    shape = (-1, 1) if axis == 0 else (1, -1)
    total = np.take(image, index[0], axis) * weights[0].reshape(shape)
    for place, weight in zip(index[1:], weights[1:]):
        total += np.take(image, place, axis) * weight.reshape(shape)
    return (total + _HALVES) >> WEIGHT_BITS & _BYTES


def enlarged(values: Floats, height: int, width: int) -> Floats:
    """A float picture ``(h, w)`` enlarged smoothly, by Catmull-Rom splines."""
    for axis, size in enumerate((height, width)):
        old = values.shape[axis]
        place = (np.arange(size) + 0.5) * (old / size) - 0.5
        whole = np.floor(place)
        f = place - whole
        weights = (
            ((2 - f) * f - 1) * f * 0.5,
            ((3 * f - 5) * f * f + 2) * 0.5,
            ((4 - 3 * f) * f + 1) * f * 0.5,
            (f - 1) * f * f * 0.5,
        )
        total: Floats | None = None
        for offset, weight in zip(range(-1, 3), weights):
            index = np.clip(whole.astype(np.int64) + offset, 0, old - 1)
            part = np.take(values, index, axis) * weight.reshape((-1, 1) if axis == 0 else (1, -1))
            total = part if total is None else total + part
        assert total is not None
        values = total
    return values


def blurred(values: Floats, deviation: float) -> Floats:
    """Floats ``(H, W, ...)`` under a Gaussian of this standard deviation in pixels; the border is mirrored."""
    radius = int(np.ceil(3 * deviation))
    bell = [float(exact.exp(-0.5 * (i / deviation) ** 2)) for i in range(radius + 1)]
    whole = bell[0] + 2 * sum(bell[1:])
    for axis in (0, 1):
        size = values.shape[axis]
        padded = np.take(values, reflected(np.arange(-radius, size + radius, dtype=np.int64), size), axis)
        parts = [padded[(slice(None),) * axis + (slice(i, i + size),)] for i in range(2 * radius + 1)]
        total = parts[radius] * (bell[0] / whole)
        for i in range(1, radius + 1):
            total += (parts[radius - i] + parts[radius + i]) * (bell[i] / whole)
        values = total
    return values


def fill(canvas: Pixels, outline: Floats, value: int = 1) -> None:
    """Give the pixels ``(H, W)`` whose centres lie in an outline ``(N, 2)`` of (x, y) a value, in place.

    Corners are rounded to 1/16 pixel. Where an outline crosses itself, the even-odd rule says what lies in it.
    """
    height, width = canvas.shape
    unit = 1 << _CORNER_BITS
    x, y = (np.rint(outline[:, i] * unit).astype(np.int64) for i in (0, 1))
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    top, bottom = max(0, -(-int(y.min()) // unit)), min(height - 1, int(y.max()) // unit)
    if top > bottom:
        return
    rows = np.arange(top, bottom + 1, dtype=np.int64)[:, None] * unit
    row, edge = np.nonzero((y <= rows) != (next_y <= rows))
    rise, run = next_y[edge] - y[edge], next_x[edge] - x[edge]
    rise, run = np.abs(rise), np.where(rise < 0, -run, run)
    # The first pixel right of each crossing, rounded up exactly.
    past = (rows[row, 0] - y[edge]) * run + x[edge] * rise
    column = np.clip(-(-past // (rise * unit)), 0, width)
    turns = np.zeros((bottom + 1 - top, width + 1), np.uint8)
    np.add.at(turns, (row, column), 1)
    inside = np.cumsum(turns, axis=1, dtype=np.uint8)[:, :width] & 1
    canvas[top : bottom + 1][inside == 1] = value


def segment(canvas: Pixels, start: tuple[int, int], end: tuple[int, int], thickness: int) -> None:
    """Set the pixels within half a thickness of a segment between two pixels (x, y) to 1, in place."""
    height, width = canvas.shape
    reach = thickness // 2 + 1
    left, right = max(0, min(start[0], end[0]) - reach), min(width, max(start[0], end[0]) + reach + 1)
    top, bottom = max(0, min(start[1], end[1]) - reach), min(height, max(start[1], end[1]) + reach + 1)
    if top >= bottom or left >= right:
        return
    x = np.arange(left, right, dtype=np.int64) - start[0]
    y = np.arange(top, bottom, dtype=np.int64)[:, None] - start[1]
    dx, dy = end[0] - start[0], end[1] - start[1]
    along, aside, length = x * dx + y * dy, x * dy - y * dx, dx * dx + dy * dy
    across = thickness * thickness
    near = (4 * (x * x + y * y) <= across) | (4 * ((x - dx) ** 2 + (y - dy) ** 2) <= across)
    if length:
        near |= (along >= 0) & (along <= length) & (4 * aside * aside <= across * length)
    canvas[top:bottom, left:right] |= near.view(np.uint8)


def dilated(mask: Pixels, radius: int) -> Pixels:
    """A mask ``(H, W)`` in {0, 1} grown by a disc of a radius in pixels."""
    if radius == 0:
        return mask.copy()
    height, width = mask.shape
    counts = np.zeros((height, width + 1), np.int32)
    np.cumsum(mask, axis=1, dtype=np.int32, out=counts[:, 1:])
    grown = np.zeros(mask.shape, bool)
    columns = np.arange(width)
    for down in range(min(radius, height - 1) + 1):
        half = round(float(np.sqrt(float(radius * radius - down * down))))
        wide = counts[:, np.minimum(columns + half + 1, width)] > counts[:, np.maximum(columns - half, 0)]
        grown[down:] |= wide[: height - down]
        grown[: height - down] |= wide[down:]
    return grown.view(np.uint8)


def eroded(mask: Pixels, radius: int) -> Pixels:
    """A mask ``(H, W)`` in {0, 1} shrunk by a disc of a radius in pixels; beyond the frame it goes on."""
    return 1 - dilated(1 - mask, radius)


def shifted(mask: Pixels, x: int, y: int) -> Pixels:
    """A mask ``(H, W)`` moved by whole pixels; what comes in is 0."""
    height, width = mask.shape
    moved = np.zeros_like(mask)
    if abs(x) < width and abs(y) < height:
        moved[max(0, y) : height + min(0, y), max(0, x) : width + min(0, x)] = mask[
            max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)
        ]
    return moved
