"""The measure of dots on a grid."""

import math

import pytest
import torch

from videoinpaint.metrics.grid import grid_level, inner


def textured(seed=0, shape=(1, 4, 3, 120, 216)):
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    return (0.5 + 0.2 * (torch.nn.functional.avg_pool2d(noise.flatten(0, 1), 5, 1, 2).view(shape) - 0.5)).clamp(0, 1)


def dotted(frames, period, levels):
    dots = torch.zeros_like(frames)
    dots[..., ::period, ::period] = -levels / 255
    return frames + dots


def test_dots_count_and_texture_does_not():
    frames, everywhere = textured(), torch.ones(1, 4, 1, 120, 216)
    plain = grid_level(frames, everywhere)
    assert plain < 0.15
    # One pixel of 64 is darker by 16 levels: a deviation of 16 * sqrt(1/64 * 63/64).
    assert grid_level(dotted(frames, 8, 16), everywhere) == pytest.approx(1.98, abs=0.15)
    assert grid_level(dotted(frames, 7, 16), everywhere) < 0.15
    assert grid_level(dotted(frames, 7, 16), everywhere, period=7) > 1.5


def test_only_the_region_counts():
    region = torch.zeros(1, 4, 1, 120, 216)
    region[..., :, :100] = 1
    frames = textured()
    half = torch.cat([frames[..., :110], dotted(frames, 8, 16)[..., 110:]], -1)
    assert grid_level(half, region) < 0.2
    assert grid_level(half, 1 - region) > 1.5


def test_a_region_that_is_too_small_says_nothing():
    region = torch.zeros(1, 4, 1, 120, 216)
    region[..., :12, :12] = 1
    assert math.isnan(grid_level(textured(), region))


def test_the_inside_of_holes_keeps_away_from_their_edge():
    holes = torch.zeros(1, 1, 1, 40, 40)
    holes[..., 5:30, 5:30] = 1
    expected = torch.zeros_like(holes)
    expected[..., 9:26, 9:26] = 1
    assert torch.equal(inner(holes, 4), expected)


def test_noise_as_strong_as_the_pattern_leaves_its_level():
    generator = torch.Generator().manual_seed(0)
    dots = torch.rand(8, 8, generator=generator).repeat(12, 12).expand(1, 2, 3, 96, 96) * 0.03 + 0.4
    noise = 0.12 * torch.randn(1, 2, 1, 96, 96, generator=generator)
    everywhere = torch.ones(1, 2, 1, 96, 96)
    level = grid_level(dots, everywhere)
    assert grid_level(dots + noise, everywhere) == pytest.approx(level, rel=0.15)
