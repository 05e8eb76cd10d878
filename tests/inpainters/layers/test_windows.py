"""Windows of token grids: cut, put back, surrounded and flagged as the papers say."""

import pytest
import torch

from videoinpaint.inpainters.published.layers.windows import (
    merge,
    pad_to_windows,
    partition,
    ring,
    ring_indices,
    touched_windows,
)

WINDOW = (5, 9)


def _numbered(rows: int, cols: int, time: int = 2) -> torch.Tensor:
    return torch.arange(2 * time * rows * cols * 3).float().view(2, time, rows, cols, 3)


def test_merge_undoes_partition() -> None:
    grid = _numbered(10, 27)
    windows = partition(grid, WINDOW)
    assert windows.shape == (2, 6, 2, 45, 3)
    assert torch.equal(merge(windows, WINDOW, (10, 27)), grid)


def test_windows_are_in_row_major_order() -> None:
    grid = _numbered(10, 18)
    assert torch.equal(partition(grid, WINDOW)[1, 2, 1].view(5, 9, 3), grid[1, 1, 5:10, :9])


def test_padding_is_below_and_to_the_right() -> None:
    grid = _numbered(6, 16) + 1
    padded = pad_to_windows(grid, WINDOW)
    assert padded.shape[2:4] == (10, 18)
    assert torch.equal(padded[:, :, :6, :16], grid)
    assert not padded[:, :, 6:].any()
    assert not padded[:, :, :, 16:].any()


def test_a_grid_without_whole_windows_is_refused() -> None:
    with pytest.raises(ValueError, match="pad it first"):
        partition(_numbered(6, 9), WINDOW)


@pytest.mark.parametrize(("extension", "count"), [((3, 5), 148), ((2, 4), 120)])
def test_ring_holds_what_the_four_shifted_windows_see_beyond_the_window(extension: tuple[int, int], count: int) -> None:
    """In a grid wide enough not to wrap: tokens of the windows moved diagonally, without the window's own."""
    places = torch.arange(15 * 27).view(15, 27)
    indices = ring_indices(WINDOW, extension)
    assert len(indices) == count
    middle = ring(places.view(1, 1, 15, 27, 1), WINDOW, extension, indices)[0, 4, 0, :, 0].tolist()
    down, right = extension
    moved = [places[5 + y : 10 + y, 9 + x : 18 + x] for y in (-down, down) for x in (-right, right)]
    seen = {int(place) for block in moved for place in block.flatten()}
    assert set(middle) == seen - set(places[5:10, 9:18].flatten().tolist())


def test_ring_wraps_around_the_grid() -> None:
    places = torch.arange(10 * 18).view(1, 1, 10, 18, 1)
    first = ring(places, WINDOW, (3, 5), ring_indices(WINDOW, (3, 5)))[0, 0, 0, :, 0]
    assert 10 * 18 - 1 in first


def test_touched_windows_follow_each_item_over_all_frames() -> None:
    masks = torch.zeros(2, 3, 1, 6, 16)
    masks[0, 1, 0, 5, 2] = 1  # the lower left window, in one frame only
    masks[1, 0, 0, 0, 9] = 0.2  # the upper right window
    assert touched_windows(masks, WINDOW).tolist() == [[False, False, True, False], [False, True, False, False]]
