"""Window partition of token grids, and the ring of tokens around each window (focal and sparse window attention).

A token grid is ``(B, T, rows, cols, C)``; its windows are ``(B, N, T, L, C)`` with ``N = (rows / h) * (cols / w)``
windows in row-major order and ``L = h * w`` tokens of a window in row-major order.

References: Yang et al., "Focal Self-attention" (NeurIPS 2021), used by E2FGVI (Li et al., CVPR 2022, Section 3.3) and
ProPainter (Zhou et al., ICCV 2023, Section 3.3).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int]


def pad_to_windows(tokens: Tensor, window: Size) -> Tensor:
    """Zero-pad a grid ``(..., rows, cols, C)`` at the bottom and right to whole windows."""
    rows, cols = tokens.shape[-3:-1]
    below, right = -rows % window[0], -cols % window[1]
    return F.pad(tokens, (0, 0, 0, right, 0, below)) if below or right else tokens


def partition(tokens: Tensor, window: Size) -> Tensor:
    """Cut a grid ``(B, T, rows, cols, C)`` into windows ``(B, N, T, h * w, C)``.

    Raises:
        ValueError: rows or columns are no multiple of the window (see :func:`pad_to_windows`).
    """
    batch, time, rows, cols, channels = tokens.shape
    high, wide = window
    if rows % high or cols % wide:
        raise ValueError(f"a grid of {rows} x {cols} tokens has no whole windows of {high} x {wide}: pad it first")
    cut = tokens.reshape(batch, time, rows // high, high, cols // wide, wide, channels)
    return cut.permute(0, 2, 4, 1, 3, 5, 6).reshape(batch, -1, time, high * wide, channels)


def merge(windows: Tensor, window: Size, grid: Size) -> Tensor:
    """Put windows ``(B, N, T, h * w, C)`` back into the grid ``(B, T, rows, cols, C)``: undoes :func:`partition`."""
    batch, _, time, _, channels = windows.shape
    (high, wide), (rows, cols) = window, grid
    laid = windows.reshape(batch, rows // high, cols // wide, time, high, wide, channels)
    return laid.permute(0, 3, 1, 4, 2, 5, 6).reshape(batch, time, rows, cols, channels)


def ring_indices(window: Size, extension: Size) -> Tensor:
    """Which tokens of the four shifted windows of :func:`ring` lie outside the window itself.

    A window shifted by (-e_y, -e_x), (-e_y, +e_x), (+e_y, -e_x) or (+e_y, +e_x) covers the window itself in one of its
    corners, a block of ``(h - e_y) x (w - e_x)`` tokens; the rest is new. Checkpoints carry the result as the buffer
    ``valid_ind_rolled``.

    Returns:
        int64, increasing indices into the ``4 * h * w`` concatenated tokens.
    """
    (high, wide), (down, right) = window, extension
    covered = torch.zeros(4, high, wide, dtype=torch.bool, device="cpu")  # values, wherever the network is built
    tall, broad = high - down, wide - right
    covered[0, :tall, :broad] = True
    covered[1, :tall, wide - broad :] = True
    covered[2, high - tall :, :broad] = True
    covered[3, high - tall :, wide - broad :] = True
    return (~covered).flatten().nonzero().flatten()


def ring(tokens: Tensor, window: Size, extension: Size, indices: Tensor) -> Tensor:
    """The tokens around every window: four cyclic shifts of the grid, without what the window itself holds.

    Args:
        tokens: ``(B, T, rows, cols, C)``, whole windows.
        window: (h, w).
        extension: (e_y, e_x), how far the ring reaches beyond the window; it wraps around the grid. Beyond half the
            window the shifted windows part, and leave out the ring's middle lines.
        indices: of :func:`ring_indices`.

    Returns:
        ``(B, N, T, len(indices), C)``.
    """
    down, right = extension
    shifts = ((-down, -right), (-down, right), (down, -right), (down, right))
    around = [partition(torch.roll(tokens, shift, (2, 3)), window) for shift in shifts]
    return torch.cat(around, 3)[:, :, :, indices]


def touched_windows(masks: Tensor, window: Size) -> Tensor:
    """Which windows hold a hole token in any frame.

    Args:
        masks: ``(B, T, 1, rows, cols)``, positive in the holes; padded with zeros to whole windows.
        window: (h, w).

    Returns:
        bool ``(B, N)``.
    """
    grid = pad_to_windows(masks.amax(1).permute(0, 2, 3, 1), window)
    return partition(grid.unsqueeze(1), window).amax((2, 3, 4)) > 0


def mean_by_window(values: Tensor, window: Size) -> Tensor:
    """The mean of what the tokens of every window have; beyond the grid the last row and column go on.

    Args:
        values: ``(B, rows, cols)``.
        window: (h, w).

    Returns:
        ``(B, N)``.
    """
    rows, cols = values.shape[-2:]
    grid = F.pad(values[:, None], (0, -cols % window[1], 0, -rows % window[0]), mode="replicate")
    return F.avg_pool2d(grid, window).flatten(1)
