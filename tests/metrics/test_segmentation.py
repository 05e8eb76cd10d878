"""J and F on shapes whose overlap and contours are known."""

import numpy as np
import pytest
import torch

from videoinpaint.errors import InputError
from videoinpaint.metrics import contour_accuracy, j_and_f, region_similarity


def square(top, left, side, size=(100, 120)):
    mask = torch.zeros(1, 1, 1, *size)
    mask[..., top : top + side, left : left + side] = 1
    return mask


def test_regions_count_pixels():
    one, other = square(10, 10, 20), square(10, 20, 20)
    assert float(region_similarity(one, other)) == pytest.approx(200 / 600)
    assert float(region_similarity(one, one)) == 1
    assert float(region_similarity(one, torch.zeros_like(one))) == 0
    assert float(region_similarity(torch.zeros_like(one), torch.zeros_like(one))) == 1


def test_contours_match_within_two_pixels_at_this_size():
    one = square(30, 30, 40)
    assert float(contour_accuracy(one, one)) == 1
    assert float(contour_accuracy(one, square(31, 31, 40))) == 1
    far = float(contour_accuracy(one, square(36, 36, 40)))
    assert 0 < far < 0.3
    assert float(contour_accuracy(one, square(30, 30, 20))) == pytest.approx(1 / 3, abs=0.08)  # half of 80, and of 160


def test_contours_of_nothing():
    one, nothing = square(30, 30, 40), square(0, 0, 0)
    assert float(contour_accuracy(nothing, nothing)) == 1
    assert float(contour_accuracy(nothing, one)) == float(contour_accuracy(one, nothing)) == 0


def test_batches_of_frames_and_the_mean():
    rng = np.random.default_rng(0)
    clip = torch.cat([square(*rng.integers(0, 50, 2), 30) for _ in range(6)]).view(2, 3, 1, 100, 120)
    other = clip.roll(3, -1)
    both = j_and_f(clip, other)
    assert both.shape == (2, 3)
    assert torch.allclose(both, (region_similarity(clip, other) + contour_accuracy(clip, other)) / 2)
    alone = j_and_f(clip[1:, 2:], other[1:, 2:])
    assert float(alone) == float(both[1, 2])


def test_shapes_must_agree():
    with pytest.raises(InputError, match="B, T, 1, H, W"):
        j_and_f(torch.zeros(1, 2, 1, 8, 8), torch.zeros(1, 1, 1, 8, 8))


@pytest.mark.parametrize(("apart", "score"), [(8, 1.0), (9, 0.0)])
def test_contours_match_within_eight_pixels_of_a_davis_frame(apart, score):
    """0.008 of the diagonal of 854x480, rounded up."""
    columns = torch.arange(854).expand(1, 1, 1, 480, 854)
    assert contour_accuracy((columns < 400).float(), (columns < 400 + apart).float()).item() == score


def test_contours_are_compared_by_euclidean_distance():
    """The contour of a pixel are the four whose right, lower or lower right neighbour differs, as in DAVIS: of these
    one lies within two pixels of the same four two rows lower and two columns further right."""
    assert float(contour_accuracy(square(30, 30, 1), square(32, 32, 1))) == 0.25
