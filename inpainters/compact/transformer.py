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

    def summary(self, pooled: Tensor, turns: Tensor, heads: int) -> tuple[Tensor, Tensor]:
        """Keys and values ``(B, heads, P, head_dim)`` of the summary tokens of each clip.

        Args:
            pooled: ``(B, P, dim)``.
            turns: rotary, ``(P, head_dim)``, see :func:`rotate`.
            heads: how many are wanted.
        """
        key, value = self._keys_values(multiplied(self.norm1(pooled)), heads * self.head_dim)
        return rotate(key, turns), value

    def forward(
        self, x: Tensor, summary: tuple[Tensor, Tensor], item: Tensor, turns: Tensor, heads: int | Tensor
    ) -> Tensor:
        """Tokens of active windows ``(n, N, dim)`` after one block.

        Args:
            x: tokens of the windows.
            summary: from :meth:`summary`, of at least as many heads as run here.
            item: ``(n,)`` the clip each window belongs to.
            turns: rotary, of window tokens ``(n, 1, N, head_dim)``, see :func:`rotate`.
            heads: how many heads run, or ``(n,)``, how many count in each window.
        """
        counts = heads if isinstance(heads, Tensor) else None
        running = heads if isinstance(heads, int) else HEADS
        width, units = running * self.head_dim, running * self.head_hidden
        normed = multiplied(self.norm1(x))
        query = rotate(self._split(F.linear(normed, self.query.weight[:width], self.query.bias[:width])), turns)
        key, value = self._keys_values(normed, width)
        pooled_key, pooled_value = (tensor[:, :running] for tensor in summary)
        key = torch.cat([rotate(key, turns), pooled_key[item]], dim=2)
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
        batch, length, height, width, channels = tokens.shape
        tokens = tokens + self.position(_images(tokens)).movedim(1, -1).view_as(tokens)
        tokens = F.pad(tokens, (0, 0, 0, -width % self.window[1], 0, -height % self.window[0]))
        size = (length, *tokens.shape[2:4])
        busy, turns = self._busy(holes), self._turns(size, tokens)
        pooled_turns = self._turns((length, *POOLED), tokens, (height / POOLED[0], width / POOLED[1]))
        for index, block in enumerate(self.blocks):
            shift = self._shift(index)
            pooled = F.adaptive_avg_pool2d(_images(tokens[:, :, :height, :width]), POOLED)
            pooled = pooled.view(batch, length, channels, -1).transpose(2, 3).flatten(1, 2)
            active = self._active(busy, shift)
            look = may_look(active)
            # Where Python may not look, all windows are computed, and those without work left as they were.
            item, row, column = active.nonzero(as_tuple=True) if look else _everywhere(active)
            places = self._places(size, shift, active.device)[row, column]
            at = (places + item[:, None] * math.prod(size)).flatten()
            flat = tokens.view(-1, channels)
            seen = flat.index_select(0, at).view(*places.shape, channels)
            turned = turns.index_select(0, places.flatten()).view(len(places), 1, places.shape[1], self.head_dim)
            counted = heads
            if isinstance(heads, Tensor):
                counted = heads[item] if heads.dim() == 1 else self._asked(heads, shift)[item, row, column]
            work = self._work(block, seen, (pooled, pooled_turns), item, turned, counted).to(seen.dtype)
            if not look:
                work = torch.where(active[item, row, column][:, None, None], work, seen)
            # In place where nothing has to be differentiated: these tokens are this call's own.
            copied = flat.index_copy if torch.is_grad_enabled() else flat.index_copy_
            tokens = copied(0, at, work.flatten(0, 1)).view_as(tokens)
        return tokens[:, :, :height, :width]

    def _work(
        self,
        block: nn.Module,
        x: Tensor,
        pooled: tuple[Tensor, Tensor],
        item: Tensor,
        turns: Tensor,
        heads: int | Tensor,
    ) -> Tensor:
        """One block on active windows; those with the same number of heads together, where that can be known."""
        assert isinstance(block, NestedBlock)
        if not isinstance(heads, Tensor) or not may_look(heads):
            running = heads if isinstance(heads, int) else HEADS
            return cast(Tensor, block(x, block.summary(*pooled, running), item, turns, heads))
        counts = sorted(set(heads.tolist()))
        if not counts:
            return x
        summary, done = block.summary(*pooled, counts[-1]), torch.empty_like(x)
        for count in counts:
            at = (heads == count).nonzero()[:, 0]
            work = block(x[at], summary, item[at], turns[at], count)
            done = done.to(work.dtype).index_put((at,), work)
        return done

    def _asked(self, heads: Tensor, shift: tuple[int, ...]) -> Tensor:
        """How many heads the windows of a block run, ``(B, rows, columns)``, for a map ``(B, 1, h, w)`` of them."""
        return self._mean_asked(heads, shift).round().long().clamp(1, HEADS)

    def _mean_asked(self, heads: Tensor, shift: tuple[int, ...]) -> Tensor:
        """The same before it is rounded."""
        pad = (0, -heads.shape[-1] % self.window[1], 0, -heads.shape[-2] % self.window[0])
        moved = torch.roll(F.pad(heads, pad, mode="replicate"), [-s for s in shift], (-2, -1))
        return F.avg_pool2d(moved, self.window).squeeze(1)

    def heads_asked(self, holes: Tensor, heads: Tensor) -> Tensor:
        """Of all windows that are computed, the sum of heads that a map ``(B, 1, h, w)`` asks for, not rounded."""
        busy = self._busy(holes)
        shifts = [self._shift(index) for index in range(len(self.blocks))]
        return torch.stack(
            [(self._mean_asked(heads, shift) * self._active(busy, shift)).sum() for shift in shifts]
        ).sum()

    def flops_of_map(self, holes: Tensor, tokens: int, pooled: int, heads: Tensor) -> Tensor:
        """As :meth:`flops`, for a map of heads ``(B, 1, h, w)``: each window costs what it runs.

        A clip's summary is made for as many heads as its busiest window runs.
        """
        total = torch.zeros(len(holes), dtype=torch.float64, device=holes.device)
        busy = self._busy(holes)
        for index, block in enumerate(cast(Sequence[NestedBlock], self.blocks)):
            shift = self._shift(index)
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
        counts = [self._active(busy, self._shift(index)).sum((1, 2)) for index in range(len(self.blocks))]
        return torch.stack(counts, dim=1)

    def _busy(self, holes: Tensor) -> Tensor:
        """Where any frame holds work, ``(B, 1, h, w)``, with whole windows."""
        pad = (-holes.shape[-1] % self.window[1], -holes.shape[-2] % self.window[0])
        return F.pad(holes, (0, pad[0], 0, pad[1])).amax(1) > 0

    def _active(self, busy: Tensor, shift: tuple[int, ...]) -> Tensor:
        """Which windows of ``busy (B, 1, h, w)`` hold work, ``(B, rows, columns)``."""
        moved = torch.roll(busy.float(), [-s for s in shift], (-2, -1))
        return F.max_pool2d(moved, self.window).squeeze(1) > 0

    def _shift(self, index: int) -> tuple[int, int]:
        """By how many tokens the windows of a block are shifted."""
        return (self.window[0] // 2, self.window[1] // 2) if index % 2 else (0, 0)

    def _places(self, size: tuple[int, int, int], shift: tuple[int, int], device: torch.device) -> Tensor:
        """Where the tokens of every window stand among a clip's ``T * h * w``: ``(rows, columns, N)``."""
        length, height, width = size
        numbers = torch.arange(math.prod(size), device=device).view(size)
        moved = torch.roll(numbers, [-s for s in shift], (1, 2))
        rows, columns = height // self.window[0], width // self.window[1]
        windows = moved.view(length, rows, self.window[0], columns, self.window[1])
        return windows.permute(1, 3, 0, 2, 4).flatten(2)

    def _turns(self, size: tuple[int, int, int], like: Tensor, scale: tuple[float, float] = (1, 1)) -> Tensor:
        """For :func:`rotate`, ``(T * h * w, head_dim)``: pairs turn with time, rows and columns, a share each."""
        pairs = self.head_dim // 2
        shares = (pairs - 2 * (pairs * 3 // 8), pairs * 3 // 8, pairs * 3 // 8)
        axes = (
            torch.arange(size[0], device=like.device, dtype=like.dtype),
            (torch.arange(size[1], device=like.device, dtype=like.dtype) + 0.5) * scale[0],
            (torch.arange(size[2], device=like.device, dtype=like.dtype) + 0.5) * scale[1],
        )
        grids = torch.meshgrid(*axes, indexing="ij")
        angles = []
        for grid, share in zip(grids, shares):
            speeds = math.pi / 2 ** (1 + torch.arange(share, device=like.device, dtype=like.dtype) * 4 / max(share, 1))
            angles.append(grid.reshape(-1, 1) * speeds)
        turned = torch.cat(angles, dim=1)
        return torch.cat([turned.cos(), turned.sin()], dim=1)


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


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Turn channel pairs of ``x (n, heads, N, d)`` by angles (Su et al., 2021).

    Args:
        x: its first and its second half hold the pairs.
        turns: cosines and sines ``(..., N, d)`` of the angles, one half each.
    """
    cos, sin = turns.to(x.dtype).chunk(2, dim=-1)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
