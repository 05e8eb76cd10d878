"""Temporal focal attention (E2FGVI, Section 3.4; Yang et al., "Focal Self-attention", NeurIPS 2021).

The token grid is cut into windows of 5x9. The queries of a window, of all T frames together, attend to

    its own tokens (45 a frame), the ring of tokens around it (120 a frame, cyclic at the borders of the grid),
    and the 5x9 neighbourhood of pooled tokens, each of which stands for a whole window.

The reference pads the neighbourhood with zero tokens whose logits get -100 added. They are all the same key, so they
are computed here as one, the *sink*: ``n`` equal logits -100 sum to one logit ``-100 + log n``. On small grids most of
the neighbourhood is padding: 240x432 has 4x4 pooled tokens, where 45 are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.inpainters.published.layers import heads
from videoinpaint.inpainters.published.layers.windows import Size, partition, ring, ring_indices

WINDOW: Size = (5, 9)
EXTENSION: Size = (2, 4)
NEIGHBOURS: Size = (5, 9)
PADDED_LOGIT = -100.0
ELEMENTS_AT_ONCE = 1 << 25  # of the gathered keys: 128 MiB in float32, and as much again for the values


@dataclass(frozen=True)
class Geometry:
    """Where the windows of one token grid find their tokens; N windows in row-major order.

    Attributes:
        own: int64 ``(N, 45)``, positions in the grid, row-major.
        near: int64 ``(N, 165)``, the own positions and those of the ring.
        coarse: int64 ``(N, m)``, windows whose pooled tokens are looked at.
        bias: ``(N, m)``, added to their logits: 0, or -inf for those outside the 5x9 neighbourhood.
        padding: ``(N,)``, how many of the 45 neighbours lie beyond the grid.
    """

    own: Tensor
    near: Tensor
    coarse: Tensor
    bias: Tensor
    padding: Tensor


@lru_cache(maxsize=16)
def geometry(rows: int, cols: int, device: torch.device) -> Geometry:
    """The geometry of a grid of ``rows`` x ``cols`` tokens, whole windows.

    Raises:
        ValueError: the grid has no whole windows.
    """
    with torch.inference_mode(False):
        grid = torch.arange(rows * cols).view(1, 1, rows, cols, 1)
        own = partition(grid, WINDOW)[0, :, 0, :, 0]
        around = ring(grid, WINDOW, EXTENSION, ring_indices(WINDOW, EXTENSION))[0, :, 0, :, 0]
        lines = [_neighbours(n // w, k) for n, w, k in zip((rows, cols), WINDOW, NEIGHBOURS, strict=True)]
        (tall, seen_rows), (wide, seen_cols) = lines
        wanted = (tall[:, None, :, None] * (cols // WINDOW[1]) + wide[None, :, None, :]).flatten(2).flatten(0, 1)
        seen = (seen_rows[:, None, :, None] & seen_cols[None, :, None, :]).flatten(2).flatten(0, 1)
        bias = torch.zeros(seen.shape).masked_fill(~seen, -torch.inf)
        padding = NEIGHBOURS[0] * NEIGHBOURS[1] - seen.sum(1)
        near = torch.cat([own, around], dim=1)
        return Geometry(*(x.to(device) for x in (own, near, wanted, bias, padding.float())))


def _neighbours(count: int, reach: int) -> tuple[Tensor, Tensor]:
    """Of ``count`` places in a line, which ``min(reach, count)`` each looks at, and whether they are neighbours."""
    width = min(reach, count)
    places = torch.arange(count).unsqueeze(1)
    first = (places - reach // 2).clamp(0, count - width)
    wanted = first + torch.arange(width)
    return wanted, (wanted - places).abs() <= reach // 2


def window_rows(positions: Tensor, windows: Tensor, length: int, tokens: int) -> Tensor:
    """Rows of chosen windows' tokens in the flat table ``(B * T * tokens, C)``.

    Args:
        positions: ``(N, L)``, positions in the grid of every window.
        windows: ``(P,)``, chosen windows of a batch, numbered ``b * N + n``.
        length: T.
        tokens: of a frame's grid.

    Returns:
        int64 ``(P, T, L)``.
    """
    clip, window = windows // len(positions), windows % len(positions)
    frames = clip[:, None] * length + torch.arange(length, device=windows.device)
    return frames.unsqueeze(-1) * tokens + positions[window].unsqueeze(1)


class FocalWindowAttention(nn.Module):
    """Multi-head attention of windows to their surroundings, fine and coarse; keys of all frames together.

    ``active`` are the heads that run, None for all (see :mod:`videoinpaint.inpainters.published.layers.heads`).

    Args:
        dim: width of a token.
        num_heads: heads.
    """

    valid_ind_rolled: Tensor

    def __init__(self, dim: int = 512, num_heads: int = 4) -> None:
        super().__init__()
        self.dim, self.num_heads = dim, num_heads
        self.active: heads.Active = None
        self.ranked: heads.Active = None
        with torch.device("cpu"):  # a network without storage ("meta") has its indices nevertheless
            self.register_buffer("valid_ind_rolled", ring_indices(WINDOW, EXTENSION))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, pooled: Tensor, counts: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            tokens: ``(B, T, rows, cols, dim)``, normalised.
            pooled: ``(B, T, N, dim)``, one token a window.
            counts: int64 ``(B, N)``: how many heads each window runs; None: the active ones in all of them.

        Returns:
            ``(B * N, T, 45, dim)``.
        """
        batch, length, rows, cols, _ = tokens.shape
        places = geometry(rows, cols, tokens.device)
        windows = torch.arange(batch * len(places.own), device=tokens.device)
        table, rough = tokens.reshape(-1, self.dim), pooled.reshape(-1, self.dim)
        near = window_rows(places.near, windows, length, rows * cols)
        results = []
        for active, here in heads.by_count(self, counts):
            some = windows if here is None else windows[here.flatten()]
            # Of some windows, only what they see is projected.
            seen, close = (None, near) if here is None else near[some].unique(return_inverse=True)
            fine = [self._part(table if seen is None else table[seen], part, active) for part in (1, 2)]
            results.append((some, self._attended(places, table, some, close, fine, rough, (rows * cols, active))))
        if counts is None:
            return results[0][1].unflatten(1, (length, -1))
        order = torch.cat([some for some, _ in results]).argsort()
        return torch.cat([done for _, done in results])[order].unflatten(1, (length, -1))

    def _attended(
        self, places: Geometry, table: Tensor, windows: Tensor, near: Tensor, fine: list[Tensor], pooled: Tensor,
        running: tuple[int, heads.Active],
    ) -> Tensor:  # fmt: skip
        """What some windows find, ``(P, T * 45, dim)``.

        Args:
            places: of the grid.
            table: all tokens, ``(B * T * rows * cols, dim)``.
            windows: ``(P,)``.
            near: ``(P, T, 165)``, rows of `fine`.
            fine: keys and values of tokens.
            pooled: ``(B * T * N, dim)``.
            running: tokens of a frame, and the heads that run.
        """
        frame, active = running
        length = near.shape[1]
        rough = [self._part(pooled, part, active) for part in (1, 2)]
        each = length * (places.near.shape[1] + places.coarse.shape[1]) * fine[0].shape[1]
        attended = []
        for some, close in zip(*(x.split(max(1, ELEMENTS_AT_ONCE // each)) for x in (windows, near)), strict=True):
            own = window_rows(places.own, some, length, frame)
            far = window_rows(places.coarse, some, length, len(places.own))
            query = self._split(self._part(table[own.flatten()], 0, active).unflatten(0, (len(some), -1)))
            key, value = (self._gather(fine[i], close, rough[i], far) for i in (0, 1))
            result = F.scaled_dot_product_attention(query, key, value, self._bias(places, some, length, query.dtype))
            attended.append(result.transpose(1, 2).flatten(2))
        return heads.merge(torch.cat(attended), self.proj, active, self.dim // self.num_heads)

    def _part(self, tokens: Tensor, part: int, active: heads.Active) -> Tensor:
        """Queries (0), keys (1) or values (2) of some heads."""
        return heads.project(tokens, self.qkv, active, self.dim // self.num_heads, part * self.dim, self.dim)

    def _split(self, x: Tensor) -> Tensor:
        """``(P, L, heads * d)`` to ``(P, heads, L, d)``."""
        return x.unflatten(-1, (-1, self.dim // self.num_heads)).transpose(1, 2)

    def _gather(self, fine: Tensor, near: Tensor, rough: Tensor, far: Tensor) -> Tensor:
        """Rows of fine and coarse tokens, and the sink's zero row, as ``(P, heads, L, d)``."""
        zero = fine.new_zeros(len(near), 1, fine.shape[1])
        parts = [x[rows.flatten()].unflatten(0, (len(rows), -1)) for x, rows in ((fine, near), (rough, far))]
        return self._split(torch.cat([*parts, zero], dim=1))

    def _bias(self, places: Geometry, windows: Tensor, length: int, dtype: torch.dtype) -> Tensor:
        """What is added to the logits of :meth:`_gather`'s keys, ``(P, 1, 1, L)``."""
        window = windows % len(places.own)
        fine = places.bias.new_zeros(len(window), length * places.near.shape[1])
        sink = PADDED_LOGIT + torch.log(length * places.padding[window])
        bias = torch.cat([fine, places.bias[window].repeat(1, length), sink.unsqueeze(1)], dim=1)
        return bias[:, None, None].to(dtype)
