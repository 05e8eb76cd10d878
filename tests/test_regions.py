"""Maps of controls laid over a frame."""

import pytest
import torch

from videoinpaint.regions import is_map, spread


def test_a_map_lies_over_the_whole_frame_smoothly():
    cells = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).view(1, 2, 2, 1)
    laid = spread(cells, 40, 80)
    assert laid.shape == (1, 1, 40, 80)
    corners = [laid[0, 0, y, x].item() for y in (0, -1) for x in (0, -1)]
    assert corners == pytest.approx([0, 1, 2, 3])
    assert laid.diff(dim=-1).abs().max() <= 1 / 40 + 1e-6  # no jumps
    assert laid.diff(dim=-1).min() >= -1e-6


def test_it_is_what_torch_calls_bilinear():
    cells = torch.rand(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(cells.movedim(-1, 1), size=(37, 51), mode="bilinear")
    assert torch.allclose(spread(cells, 37, 51), expected, atol=1e-5)


def test_squares_beyond_the_frame_belong_to_it():
    cells = torch.rand(1, 4, 6, 1, generator=torch.Generator().manual_seed(0))
    tokens = spread(cells, 40, 56, step=8)
    assert tokens.shape == (1, 1, 5, 7)
    pixels = spread(cells, 40, 56)
    assert torch.allclose(tokens[..., :4, :6], torch.nn.functional.avg_pool2d(pixels, 8)[..., :4, :6], atol=0.05)


def test_one_cell_is_the_same_everywhere():
    assert spread(torch.full((1, 1, 1, 2), 0.3), 9, 9).unique().tolist() == pytest.approx([0.3])
    assert is_map(torch.zeros(1, 1, 1, 5))
    assert not is_map(torch.zeros(1, 5))
