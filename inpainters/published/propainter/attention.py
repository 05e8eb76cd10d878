"""Mask-guided sparse transformer (ProPainter, Section 3.3).

Windows that touch a hole attend over space and time: to their own tokens, a ring of tokens around them and pooled
tokens of the whole frame, in every second frame. All other windows only see themselves, frame by frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.inpainters.published.layers import heads, windows
from videoinpaint.inpainters.published.layers.soft_split import FusionFeedForward

Size = tuple[int, int]
WINDOW: Size = (5, 9)
EXTENSION: Size = (3, 5)
POOL: Size = (4, 4)
DILATION = 2  # every second frame gives keys; even and odd blocks take turns
GATHERED = 1 << 25  # keys and values copied at once, in numbers: bounds the memory of many windows


class SparseWindowAttention(nn.Module):
    """Multi-head attention of windows, dense in time where a hole is touched.

    Args:
        dim: width of a token.
        num_heads: heads; ``active`` (None for all) names those that run, see :mod:`..layers.heads`.
    """

    def __init__(self, dim: int = 512, num_heads: int = 4) -> None:
        super().__init__()
        self.num_heads, self.head_dim = num_heads, dim // num_heads
        self.active: heads.Active = None
        self.ranked: heads.Active = None
        self.key, self.query, self.value = (nn.Linear(dim, dim) for _ in range(3))
        self.proj = nn.Linear(dim, dim)
        self.pool_layer = nn.Conv2d(dim, dim, POOL, POOL, groups=dim)
        self.valid_ind_rolled: Tensor
        self.register_buffer("valid_ind_rolled", windows.ring_indices(WINDOW, EXTENSION))

    def forward(
        self, x: Tensor, touched: Tensor, frames: slice, idle: bool = True, counts: Tensor | None = None
    ) -> Tensor:
        """Attend.

        Args:
            x: normalised tokens ``(B, T, rows, cols, C)``.
            touched: bool ``(B, N)``: windows that touch a hole, N of the grid padded to whole windows.
            frames: which frames give keys to touched windows.
            idle: whether the other windows attend within themselves, as published; False leaves them out (their
                result is zero).
            counts: int64 ``(B, N)``: how many heads each window runs; None: the active ones in all of them.

        Returns:
            ``(B, T, rows, cols, C)``.
        """
        rows, cols = x.shape[2:4]
        grid = windows.pad_to_windows(x, WINDOW)
        cut = windows.partition(grid, WINDOW)
        result = torch.zeros_like(cut)
        for active, here in heads.by_count(self, counts):
            joint, alone = (where if here is None else where & here for where in (touched, ~touched))
            if joint.any():
                done = self._joint(cut[joint], grid[:, frames], joint, active)
                result[joint] = self._output(done, active).to(result.dtype)
            if idle and alone.any():
                result[alone] = self._output(self._within(cut[alone], active), active).to(result.dtype)
        merged = windows.merge(result, WINDOW, (grid.shape[2], grid.shape[3]))
        return merged[:, :, :rows, :cols]

    def _project(self, x: Tensor, layer: nn.Linear, active: heads.Active) -> Tensor:
        return heads.project(x, layer, active, self.head_dim)

    def _output(self, x: Tensor, active: heads.Active) -> Tensor:
        return heads.merge(x, self.proj, active, self.head_dim)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention of ``(N, L, channels)`` over ``(N, K, channels)``, head by head."""
        q, k, v = (x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for x in (query, key, value))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    def _within(self, tokens: Tensor, active: heads.Active) -> Tensor:
        """Windows ``(M, T, L, C)`` that attend to themselves, each frame for itself."""
        q, k, v = (self._project(tokens, layer, active).flatten(0, 1) for layer in (self.query, self.key, self.value))
        return self._attend(q, k, v).unflatten(0, tokens.shape[:2])

    def _joint(self, tokens: Tensor, grid: Tensor, touched: Tensor, active: heads.Active) -> Tensor:
        """Windows ``(M, T, L, C)`` that attend over the frames of ``grid (B, T', rows, cols, C)``."""
        query = self._project(tokens, self.query, active)
        if not grid.shape[1]:  # a clip of one frame has no odd frames: softmax over nothing adds nothing
            return torch.zeros_like(query)
        item, place = touched.nonzero(as_tuple=True)
        around = self._neighbourhoods(grid)[place]
        # Only what some touched window sees is projected.
        needed, around = around.unique(return_inverse=True)
        near, pooled = grid.flatten(2, 3)[:, :, needed], self._pool(grid)
        sources = [
            (self._project(near, layer, active), self._project(pooled, layer, active))
            for layer in (self.key, self.value)
        ]
        per_window = query.shape[-1] * grid.shape[1] * (around.shape[1] + pooled.shape[2])
        parts = torch.arange(len(item), device=item.device).split(max(1, GATHERED // per_window))
        results = []
        for part in parts:
            key, value = (_gather(*source, item[part], around[part]) for source in sources)
            results.append(self._attend(query[part].flatten(1, 2), key, value))
        return torch.cat(results).view_as(query)

    def _neighbourhoods(self, grid: Tensor) -> Tensor:
        """``(N, 45 + 148)``: places in the flattened grid of every window's own tokens and of its ring."""
        rows, cols = grid.shape[2:4]
        places = torch.arange(rows * cols, device=grid.device).view(1, 1, rows, cols, 1)
        own = windows.partition(places, WINDOW)
        near = windows.ring(places, WINDOW, EXTENSION, self.valid_ind_rolled)
        return torch.cat([own, near], 3)[0, :, 0, :, 0]

    def _pool(self, grid: Tensor) -> Tensor:
        """One token for every 4x4 of the grid: ``(B, T', P, C)``."""
        maps = grid.flatten(0, 1).permute(0, 3, 1, 2)
        return self.pool_layer(maps).flatten(2).transpose(1, 2).unflatten(0, grid.shape[:2])


def _gather(near: Tensor, pooled: Tensor, item: Tensor, around: Tensor) -> Tensor:
    """For M windows: their neighbourhoods ``around (M, K)`` in all frames, and the pooled tokens of their clips.

    ``near (B, T', P, C)`` and ``pooled (B, T', P', C)`` give ``(M, T' * (K + P'), C)``.
    """
    frames = torch.arange(near.shape[1], device=near.device)
    own = near[item[:, None, None], frames[None, :, None], around[:, None, :]]
    return torch.cat([own, pooled[item]], 2).flatten(1, 2)


class SparseBlock(nn.Module):
    """``z = x + attention(LN(x))``, ``x' = z + F3N(LN(z))`` on tokens ``(B, T, rows, cols, C)``."""

    def __init__(self, dim: int, num_heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = SparseWindowAttention(dim, num_heads)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mlp = FusionFeedForward(dim, hidden, "gelu", names=("fc1.0", "fc2.1"))

    def forward(
        self, x: Tensor, touched: Tensor, frames: slice, size: Size, idle: bool = True, counts: Tensor | None = None
    ) -> Tensor:
        """See :class:`SparseWindowAttention`; ``size`` is that of the feature map which the tokens were cut from."""
        x = x + self.attention(self.norm1(x), touched, frames, idle, counts)
        return x + self.mlp(self.norm2(x), size)


class SparseTransformer(nn.Module):
    """A stack of blocks; key: ``transformer``.

    Args:
        depth: blocks.
        dim: width of a token.
        num_heads: heads of each block.
        hidden: width of the feed-forward's patch vectors.
    """

    def __init__(self, depth: int = 8, dim: int = 512, num_heads: int = 4, hidden: int = 1960) -> None:
        super().__init__()
        self.transformer = nn.ModuleList(SparseBlock(dim, num_heads, hidden) for _ in range(depth))

    def forward(
        self, x: Tensor, touched: Tensor, size: Size, idle: bool = True, counts: Tensor | None = None
    ) -> Tensor:
        """Tokens ``(B, T, rows, cols, C)`` to the same shape; see :class:`SparseWindowAttention`."""
        for index, block in enumerate(self.transformer):
            x = block(x, touched, slice(index % DILATION, None, DILATION), size, idle, counts)
        return x


def touched_by(masks: Tensor) -> Tensor:
    """Which windows touch a hole in any frame: masks ``(B, T, 1, h, w)`` at the features' size to bool ``(B, N)``."""
    tokens = F.max_pool2d(masks.flatten(0, 1), 7, stride=3, padding=3).unflatten(0, masks.shape[:2])
    return windows.touched_windows(tokens, WINDOW)
