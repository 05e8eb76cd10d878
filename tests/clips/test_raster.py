"""The studio's own drawing against slow but plain ways to say the same."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoinpaint.clips.studio import raster, shapes
from videoinpaint.clips.studio.draws import Draws


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_packing_loses_nothing() -> None:
    image = picture(5, 7)
    np.testing.assert_array_equal(raster.unpack(raster.pack(image)), image)


def test_a_look_up_between_pixels_is_bilinear_and_mirrors_the_border() -> None:
    image = picture(6, 9)
    rng = np.random.default_rng(1)
    x, y = rng.integers(-64 * 20, 64 * 30, (2, 4, 5)) / 64
    found = raster.lanes(raster.Places((6, 9), x, y).look_up(raster.pack(image)))
    padded = np.pad(image.astype(float), ((40, 40), (40, 40), (0, 0)), mode="reflect")
    for row, column in np.ndindex(4, 5):
        left, top = math.floor(x[row, column]), math.floor(y[row, column])
        fx, fy = x[row, column] - left, y[row, column] - top
        block = padded[top + 40 : top + 42, left + 40 : left + 42]
        expected = np.einsum("i,j,ijc->c", (1 - fy, fy), (1 - fx, fx), block)
        assert [lane[row, column] / raster.WEIGHT for lane in found] == pytest.approx(expected.tolist(), abs=1e-9)


def test_a_look_up_beyond_the_border_may_go_on_instead() -> None:
    image = np.arange(6, dtype=np.int64).reshape(2, 3)
    x, y = np.array([-9.0, 9.0, 1.0]), np.array([-9.0, 9.0, 0.5])
    found = raster.Places((2, 3), x, y, mirrored=False).look_up(image) / raster.WEIGHT
    assert found.tolist() == [0, 5, 2.5]


@pytest.mark.parametrize(("size", "scale"), [((12, 20), 0.5), ((12, 20), 0.25), ((9, 15), 1 / 3)])
def test_shrinking_is_the_mean_of_the_area(size: tuple[int, int], scale: float) -> None:
    image, step = picture(*size), round(1 / scale)
    expected = image.reshape(size[0] // step, step, size[1] // step, step, 3).mean(axis=(1, 3))
    assert np.abs(raster.unpack(raster.scaled(raster.pack(image), scale)) - expected).max() <= 1.1


SIDES = st.integers(1, 40)


@settings(max_examples=40, deadline=None)
@given(height=SIDES, width=SIDES, scale=st.floats(0.1, 3), level=st.integers(0, 255), seed=st.integers(0, 99))
def test_scaling_keeps_flat_pictures_and_may_be_windowed(
    height: int, width: int, scale: float, level: int, seed: int
) -> None:
    flat = raster.scaled(raster.pack(np.full((height, width, 3), level, np.uint8)), scale)
    assert flat.shape == raster.scaled_size((height, width), scale)
    assert (raster.unpack(flat) == level).all()
    image = raster.pack(picture(height, width, seed))
    whole = raster.scaled(image, scale)
    rows, columns = (max(1, extent // 2) for extent in whole.shape)
    top, left = whole.shape[0] - rows, whole.shape[1] - columns
    np.testing.assert_array_equal(raster.scaled(image, scale, (top, left, rows, columns)), whole[top:, left:])


def test_enlarging_goes_through_a_ramp_and_keeps_a_level() -> None:
    assert raster.enlarged(np.full((4, 5), 3.0), 9, 31) == pytest.approx(3.0)
    ramp = raster.enlarged(np.arange(8.0)[None].repeat(4, 0), 8, 32)
    assert ramp[3, 12:20] == pytest.approx((np.arange(12, 20) + 0.5) / 4 - 0.5)


def test_blurring_is_a_gaussian() -> None:
    point = np.zeros((31, 31))
    point[15, 15] = 1
    soft = raster.blurred(point, 2.0)
    assert soft.sum() == pytest.approx(1)
    assert soft[15, 17] / soft[15, 15] == pytest.approx(math.exp(-0.5))
    np.testing.assert_array_equal(soft, soft[::-1])
    offsets = np.arange(31) - 15
    assert (soft.sum(axis=0) * offsets**2).sum() == pytest.approx(4.0, rel=0.05)
    assert raster.blurred(np.full((3, 4, 3), 7.0), 1.5) == pytest.approx(7.0)


def inside(x: int, y: int, corners: list[tuple[Fraction, Fraction]]) -> bool:
    crossings = 0
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1]):
        if (y1 <= y) != (y2 <= y):
            crossings += x1 + (y - y1) * (x2 - x1) / (y2 - y1) <= x
    return crossings % 2 == 1


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), height=st.integers(1, 24), width=st.integers(1, 30), reach=st.floats(0.3, 20))
def test_outlines_are_filled_by_the_even_odd_rule(seed: int, height: int, width: int, reach: float) -> None:
    outline = np.random.default_rng(seed).uniform(-reach, reach, (7, 2)) + np.array([width / 2, height / 2])
    canvas = np.full((height, width), 5, np.uint8)
    raster.fill(canvas, outline, 9)
    corners = [(Fraction(round(float(x) * 16), 16), Fraction(round(float(y) * 16), 16)) for x, y in outline]
    expected = [[9 if inside(x, y, corners) else 5 for x in range(width)] for y in range(height)]
    np.testing.assert_array_equal(canvas, expected)


def test_an_outline_covers_its_area() -> None:
    for seed in range(5):
        outline = 30 * shapes.random_outline(Draws.seeded(seed))
        canvas = np.zeros((160, 160), np.uint8)
        raster.fill(canvas, outline + 80)
        assert canvas.sum() == pytest.approx(shapes.area_of(outline), rel=0.01)


@settings(max_examples=30, deadline=None)
@given(
    start=st.tuples(st.integers(-3, 17), st.integers(-3, 12)),
    end=st.tuples(st.integers(-3, 17), st.integers(-3, 12)),
    thickness=st.integers(1, 11),
)
def test_a_stroke_is_what_lies_within_half_its_thickness(
    start: tuple[int, int], end: tuple[int, int], thickness: int
) -> None:
    canvas = np.zeros((10, 15), np.uint8)
    raster.segment(canvas, start, end, thickness)
    dx, dy = end[0] - start[0], end[1] - start[1]
    for y, x in np.ndindex(10, 15):
        share = Fraction((x - start[0]) * dx + (y - start[1]) * dy, (dx * dx + dy * dy) or 1)
        share = min(max(share, Fraction(0)), Fraction(1))
        distance = (x - start[0] - share * dx) ** 2 + (y - start[1] - share * dy) ** 2
        assert canvas[y, x] == (4 * distance <= thickness**2)


@pytest.mark.parametrize("radius", [0, 1, 2, 5, 40])
def test_growing_and_shrinking_by_a_disc(radius: int) -> None:
    mask = (np.random.default_rng(radius).random((18, 25)) < 0.03).astype(np.uint8)
    before = mask.copy()
    rows, columns = np.nonzero(mask)
    expected = np.zeros_like(mask)
    for y, x in np.ndindex(mask.shape):
        halves = np.sqrt(np.maximum(0, radius**2 - (rows - y) ** 2)).round()
        expected[y, x] = ((np.abs(rows - y) <= radius) & (np.abs(columns - x) <= halves)).any()
    np.testing.assert_array_equal(raster.dilated(mask, radius), expected)
    np.testing.assert_array_equal(raster.eroded(1 - mask, radius), 1 - expected)
    np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (3, -2), (-5, 4), (30, 0), (0, -30)])
def test_moving_a_mask_lets_nothing_in(x: int, y: int) -> None:
    mask = np.random.default_rng(0).integers(0, 2, (12, 17), np.uint8)
    wide = np.pad(mask, 40)
    np.testing.assert_array_equal(raster.shifted(mask, x, y), wide[40 - y : 52 - y, 40 - x : 57 - x])
