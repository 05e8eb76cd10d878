"""Cells of a grid over the frame: maps of controls laid over it smoothly, and which pixels a cell holds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def is_map(controls: Tensor) -> bool:
    """Whether controls are a map ``(B, rows, columns, 5)`` and not one vector a clip ``(B, 5)``."""
    return controls.dim() == 4


def spread(cells: Tensor, height: int, width: int, step: int = 1) -> Tensor:
    """Values between the centres of cells, bilinear; beyond the outermost centres they stay as they are there.

    Args:
        cells: ``(B, rows, columns, k)``; together they cover the frame.
        height, width: of the frame, pixels.
        step: pixels a side of the squares that values are wanted for, from the left top on; the last squares of a row
            or column may reach beyond the frame.

    Returns:
        ``(B, k, ceil(height / step), ceil(width / step))``, at the middle of each square.
    """
    down, across = (
        _shares(count, extent, step, cells) for count, extent in zip(cells.shape[1:3], (height, width), strict=True)
    )
    return torch.einsum("yr,brck,xc->bkyx", down, cells, across)


def _shares(count: int, extent: int, step: int, like: Tensor) -> Tensor:
    """How much of each of ``count`` cells every square takes, ``(squares, count)``; rows add up to 1."""
    squares = -(-extent // step)
    middles = (torch.arange(squares, dtype=like.dtype, device=like.device) + 0.5) * step
    places = (middles / extent * count - 0.5).clamp(0, count - 1)
    cells = torch.arange(count, dtype=like.dtype, device=like.device)
    return (1 - (places[:, None] - cells).abs()).clamp_min(0)


def influence(missing: Tensor, grid: Sequence[int]) -> Tensor:
    """How much each of the nine cells around has to say in what a cell's missing pixels get of :func:`spread`.

    Args:
        missing: how much every pixel counts, ``(B, H, W)``, >= 0.
        grid: rows and columns.

    Returns:
        ``(B, 9, rows, columns)``, from the cell left above to the one right below; they add up to 1, or are all 0 where
        no pixel of a cell counts.
    """
    sides = []
    for count, extent in zip(grid, missing.shape[-2:], strict=True):
        own = F.one_hot(_cells(extent, count), count).to(missing)
        there = F.pad(_shares(count, extent, 1, missing), (1, 1))
        sides.append([own * there[:, step : step + count] for step in range(3)])
    found = torch.stack([torch.einsum("bhw,hr,wc->brc", missing, d, a) for d in sides[0] for a in sides[1]], 1)
    return found / found.sum(1, keepdim=True).clamp_min(torch.finfo(found.dtype).tiny)


def summed(x: Tensor, grid: Sequence[int]) -> Tensor:
    """Sums over cells of ``(..., h, w)``: every pixel belongs to the cell that its centre lies in."""
    rows, columns = (F.one_hot(_cells(size, count), count).to(x) for size, count in zip(x.shape[-2:], grid))
    return torch.einsum("...hw,hr,wc->...rc", x, rows, columns)


def tiled(cells: Tensor, height: int, width: int) -> Tensor:
    """To every pixel the value of the cell that its centre lies in: ``(B, rows, columns)`` to ``(B, 1, 1, h, w)``."""
    rows, columns = (_cells(size, count) for size, count in zip((height, width), cells.shape[1:]))
    return cells[:, rows.to(cells.device)][:, :, columns.to(cells.device)][:, None, None]


def _cells(size: int, count: int) -> Tensor:
    """Which of ``count`` cells each of ``size`` pixels belongs to."""
    return ((torch.arange(size) + 0.5) * count / size).long()
