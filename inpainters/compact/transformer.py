"""Windowed space-time transformer with nested heads: the first k of 12 heads work alone, and the rest cost nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.device import may_look
from videoinpaint.precision import multiplied

HEADS = 12
POOLED = (4, 6)  # every frame is summed up in 4 x 6 tokens that all windows attend to


class NestedBlock(nn.Module):
    """Pre-norm attention and feed-forward whose channels belong to heads.

    Head ``h`` owns ``dim / 12`` channels of queries, keys and values and ``hidden / 12`` feed-forward units; with
    ``heads = k`` the projections are sliced to the first k heads' share. Where every window has a number of its own,
    all heads run and what the others add is left out: shapes are fixed, and the result is the same but for rounding.

    Args:
        dim: width of the residual stream, a multiple of 12.
        hidden: width of the feed-forward, a multiple of 12.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.dim, self.hidden = dim, hidden
        self.head_dim, self.head_hidden = dim // HEADS, hidden // HEADS
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        self.up = nn.Linear(dim, hidden)
        self.down = nn.Linear(hidden, dim)

    def summary(self, pooled: Tensor, angles: Tensor, heads: int) -> tuple[Tensor, Tensor]:
        """Keys and values ``(B, heads, P, head_dim)`` of the summary tokens of each clip.

        Args:
            pooled: ``(B, P, dim)``.
            angles: rotary, ``(P, head_dim / 2)``.
            heads: how many are wanted.
        """
        key, value = self._keys_values(multiplied(self.norm1(pooled)), heads * self.head_dim)
        return rotate(key, angles), value

    def forward(
        self, x: Tensor, summary: tuple[Tensor, Tensor], item: Tensor, angles: Tensor, heads: int | Tensor
    ) -> Tensor:
        """Tokens of active windows ``(n, N, dim)`` after one block.

        Args:
            x: tokens of the windows.
            summary: from :meth:`summary`, of at least as many heads as run here.
            item: ``(n,)`` the clip each window belongs to.
            angles: rotary angles of window tokens ``(n, N, head_dim / 2)``.
            heads: how many heads run, or ``(n,)``, how many count in each window.
        """
        counts = heads if isinstance(heads, Tensor) else None
        running = heads if isinstance(heads, int) else HEADS
        width, units = running * self.head_dim, running * self.head_hidden
        normed = multiplied(self.norm1(x))
        query = rotate(self._split(F.linear(normed, self.query.weight[:width], self.query.bias[:width])), angles)
        key, value = self._keys_values(normed, width)
        pooled_key, pooled_value = (tensor[:, :running] for tensor in summary)
        key = torch.cat([rotate(key, angles), pooled_key[item]], dim=2)
        value = torch.cat([value, pooled_value[item]], dim=2)
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2)
        if counts is not None:
            attended = attended * _counting(counts, 1).to(attended.dtype)
        x = x + F.linear(attended.flatten(2), self.out.weight[:, :width], self.out.bias)
        inner = F.relu(F.linear(self.norm2(x), self.up.weight[:units], self.up.bias[:units]))
        if counts is not None:
            inner = inner * _counting(counts, self.head_hidden).to(inner.dtype).flatten(2)
        return x + F.linear(inner, self.down.weight[:, :units], self.down.bias)

    def _keys_values(self, normed: Tensor, width: int) -> tuple[Tensor, Tensor]:
        key_weight, value_weight = self.key_value.weight.split(self.dim)
        key_bias, value_bias = self.key_value.bias.split(self.dim)
        key = F.linear(normed, key_weight[:width], key_bias[:width])
        value = F.linear(normed, value_weight[:width], value_bias[:width])
        return self._split(key), self._split(value)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

    def flops(self, tokens: int, pooled: int, heads: int) -> tuple[float, float]:
        """Floating-point operations (a multiply-accumulate is two) for each window, and for each clip besides."""
        width, units = heads * self.head_dim, heads * self.head_hidden
        row = self.dim * (4 * width + 2 * units) + 2 * (tokens + pooled) * width
        return 2.0 * tokens * row, 2.0 * pooled * self.dim * 2 * width


class WindowTransformer(nn.Module):
    """A stack of nested blocks over windows that span all frames; windows without a hole are left as they are.

    Args:
        dim, hidden, depth: sizes of the stack.
        window: height and width of a window in tokens; odd blocks are shifted by half a window.
    """

    def __init__(self, dim: int, hidden: int, depth: int, window: tuple[int, int]) -> None:
        super().__init__()
        self.window, self.head_dim = window, dim // HEADS
        self.blocks = nn.ModuleList(NestedBlock(dim, hidden) for _ in range(depth))
        self.position = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, tokens: Tensor, holes: Tensor, heads: int | Tensor) -> Tensor:
        """Tokens ``(B, T, h, w, C)`` with ``holes (B, T, 1, h, w)`` (any value above 0 marks work), same shape back.

        Args:
            tokens, holes: see above.
            heads: how many run, in all clips, or ``(B,)`` in each, or a map ``(B, 1, h, w)``: every window runs the
                mean of its tokens, rounded; see :class:`NestedBlock`.
        """
        batch, length, height, width, _ = tokens.shape
        tokens = tokens + self.position(_images(tokens)).movedim(1, -1).view_as(tokens)
        pad = (-width % self.window[1], -height % self.window[0])
        tokens = F.pad(tokens, (0, 0, 0, pad[0], 0, pad[1]))
        busy = self._busy(holes)
        step = (height / POOLED[0], width / POOLED[1])
        pooled_angles = self._angles((length, *POOLED), tokens, step)
        for index, block in enumerate(self.blocks):
            shift = tuple(size // 2 if index % 2 else 0 for size in self.window)
            pooled = F.adaptive_avg_pool2d(_images(tokens[:, :, :height, :width]), POOLED)
            pooled = pooled.view(batch, length, pooled.shape[1], -1).transpose(2, 3).flatten(1, 2)
            summarised = (pooled, pooled_angles)
            angles = self._angles((length, *tokens.shape[2:4]), tokens).view(1, length, *tokens.shape[2:4], -1)
            active = self._active(busy, shift)
            look = may_look(active)
            # Where Python may not look, all windows are computed, and those without work left as they were.
            item, row, column = active.nonzero(as_tuple=True) if look else _everywhere(active)
            windows = self._windows(_rolled(tokens, shift, -1))
            turned = self._windows(_rolled(angles, shift, -1))[torch.zeros_like(item), row, column].flatten(1, 3)
            counted = heads
            if isinstance(heads, Tensor):
                counted = heads[item] if heads.dim() == 1 else self._asked(heads, shift)[item, row, column]
            work = self._work(block, windows[item, row, column].flatten(1, 3), summarised, item, turned, counted)
            work = work.view(len(item), *windows.shape[3:]).to(windows.dtype)
            if look:
                windows = windows.index_put((item, row, column), work)
            else:
                windows = torch.where(active[..., None, None, None, None], work.view_as(windows), windows)
            tokens = _rolled(self._merge(windows), shift, 1)
        return tokens[:, :, :height, :width]

    def _work(
        self,
        block: nn.Module,
        x: Tensor,
        pooled: tuple[Tensor, Tensor],
        item: Tensor,
        angles: Tensor,
        heads: int | Tensor,
    ) -> Tensor:
        """One block on active windows; those with the same number of heads together, where that can be known."""
        assert isinstance(block, NestedBlock)
        if not isinstance(heads, Tensor) or not may_look(heads):
            running = heads if isinstance(heads, int) else HEADS
            return cast(Tensor, block(x, block.summary(*pooled, running), item, angles, heads))
        counts = sorted(set(heads.tolist()))
        if not counts:
            return x
        summary, done = block.summary(*pooled, counts[-1]), torch.empty_like(x)
        for count in counts:
            at = (heads == count).nonzero()[:, 0]
            work = block(x[at], summary, item[at], angles[at], count)
            done = done.to(work.dtype).index_put((at,), work)
        return done

    def _asked(self, heads: Tensor, shift: tuple[int, ...]) -> Tensor:
        """How many heads the windows of a block run, ``(B, rows, columns)``, for a map ``(B, 1, h, w)`` of them."""
        pad = (0, -heads.shape[-1] % self.window[1], 0, -heads.shape[-2] % self.window[0])
        moved = torch.roll(F.pad(heads, pad, mode="replicate"), [-s for s in shift], (-2, -1))
        return F.avg_pool2d(moved, self.window).squeeze(1).round().long().clamp(1, HEADS)

    def flops_of_map(self, holes: Tensor, tokens: int, pooled: int, heads: Tensor) -> Tensor:
        """As :meth:`flops`, for a map of heads ``(B, 1, h, w)``: each window costs what it runs.

        A clip's summary is made for as many heads as its busiest window runs.
        """
        total = torch.zeros(len(holes), dtype=torch.float64, device=holes.device)
        busy = self._busy(holes)
        for index, block in enumerate(cast(Sequence[NestedBlock], self.blocks)):
            shift = tuple(size // 2 if index % 2 else 0 for size in self.window)
            prices = torch.tensor([block.flops(tokens, pooled, k) for k in range(HEADS + 1)], dtype=torch.float64)
            window, clip = prices.to(holes.device).unbind(-1)
            asked = torch.where(self._active(busy, shift), self._asked(heads, shift), 0)
            total = total + window[asked].sum((1, 2)) + clip[asked.flatten(1).amax(1)]
        return total

    def flops(self, counts: Tensor, tokens: int, pooled: int, heads: Sequence[int]) -> Tensor:
        """Operations of the stack on each clip, float64 ``(B,)``, where ``counts (B, depth)`` windows are computed.

        Args:
            counts: from :meth:`active_windows`.
            tokens: of a window.
            pooled: summary tokens of a clip.
            heads: how many run in each clip.
        """
        blocks = cast(Sequence[NestedBlock], self.blocks)
        prices = torch.tensor([[b.flops(tokens, pooled, k) for b in blocks] for k in heads], dtype=torch.float64)
        window, clip = prices.to(counts.device).unbind(-1)
        return (counts * window + clip).sum(1)

    def active_windows(self, holes: Tensor) -> Tensor:
        """How many windows each block computes: ``(B, depth)`` for token-level ``holes (B, T, 1, h, w)``."""
        busy = self._busy(holes)
        counts = [
            self._active(busy, tuple(size // 2 if index % 2 else 0 for size in self.window)).sum((1, 2))
            for index in range(len(self.blocks))
        ]
        return torch.stack(counts, dim=1)

    def _busy(self, holes: Tensor) -> Tensor:
        """Where any frame holds work, ``(B, 1, h, w)``, with whole windows."""
        pad = (-holes.shape[-1] % self.window[1], -holes.shape[-2] % self.window[0])
        return F.pad(holes, (0, pad[0], 0, pad[1])).amax(1) > 0

    def _active(self, busy: Tensor, shift: tuple[int, ...]) -> Tensor:
        """Which windows of ``busy (B, 1, h, w)`` hold work, ``(B, rows, columns)``."""
        moved = torch.roll(busy.float(), [-s for s in shift], (-2, -1))
        return F.max_pool2d(moved, self.window).squeeze(1) > 0

    def _windows(self, x: Tensor) -> Tensor:
        """``(B, T, h, w, C)`` seen as ``(B, rows, columns, T, window height, window width, C)``, without a copy."""
        batch, length, height, width, channels = x.shape
        rows, columns = height // self.window[0], width // self.window[1]
        x = x.view(batch, length, rows, self.window[0], columns, self.window[1], channels)
        return x.permute(0, 2, 4, 1, 3, 5, 6)

    def _merge(self, windows: Tensor) -> Tensor:
        """The inverse of `_windows`."""
        batch, rows, columns, length, height, width, channels = windows.shape
        return windows.permute(0, 3, 1, 4, 2, 5, 6).reshape(batch, length, rows * height, columns * width, channels)

    def _angles(self, size: tuple[int, int, int], like: Tensor, scale: tuple[float, float] = (1, 1)) -> Tensor:
        """Rotary angles ``(T * h * w, head_dim / 2)``: a share of the pairs turns with time, rows and columns each."""
        pairs = self.head_dim // 2
        shares = (pairs - 2 * (pairs * 3 // 8), pairs * 3 // 8, pairs * 3 // 8)
        axes = (
            torch.arange(size[0], device=like.device, dtype=like.dtype),
            (torch.arange(size[1], device=like.device, dtype=like.dtype) + 0.5) * scale[0],
            (torch.arange(size[2], device=like.device, dtype=like.dtype) + 0.5) * scale[1],
        )
        grids = torch.meshgrid(*axes, indexing="ij")
        turned = []
        for grid, share in zip(grids, shares):
            speeds = math.pi / 2 ** (1 + torch.arange(share, device=like.device, dtype=like.dtype) * 4 / max(share, 1))
            turned.append(grid.reshape(-1, 1) * speeds)
        return torch.cat(turned, dim=1)


def _everywhere(x: Tensor) -> tuple[Tensor, ...]:
    """The indices of all elements of ``x``, as `nonzero` would give them if none were zero."""
    axes = [torch.arange(size, device=x.device) for size in x.shape]
    return tuple(grid.flatten() for grid in torch.meshgrid(*axes, indexing="ij"))


def _counting(heads: Tensor, share: int) -> Tensor:
    """Which heads ``(n, 1, 12, share)`` count where windows ask for ``heads (n,)`` of them."""
    return (torch.arange(HEADS, device=heads.device) < heads[:, None]).view(-1, 1, HEADS, 1).expand(-1, 1, -1, share)


def _images(tokens: Tensor) -> Tensor:
    """Tokens ``(B, T, h, w, C)`` as images ``(B * T, C, h, w)``."""
    return tokens.flatten(0, 1).movedim(-1, 1)


def _rolled(x: Tensor, shift: tuple[int, ...], sign: int) -> Tensor:
    return torch.roll(x, [sign * s for s in shift], (2, 3)) if any(shift) else x


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn channel pairs of ``x (n, heads, N, d)`` by angles ``(N, d / 2)`` or ``(n, N, d / 2)`` (Su et al., 2021)."""
    if angles.dim() == 3:
        angles = angles.unsqueeze(1)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
