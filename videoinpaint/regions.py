"""Controls that vary over the frame: maps of cells, laid over it smoothly."""

from __future__ import annotations

import torch
from torch import Tensor


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
