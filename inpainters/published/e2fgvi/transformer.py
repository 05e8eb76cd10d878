"""The temporal focal transformer of E2FGVI (Section 3.4): focal attention and FuseFormer's feed-forward, residual.

A later pass over a clip that has changed in a few places need not repeat the work everywhere: see :class:`Memory`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from videoinpaint.inpainters.published.e2fgvi.attention import WINDOW, FocalWindowAttention, geometry, window_rows
from videoinpaint.inpainters.published.layers.soft_split import STRIDE, FusionFeedForward
from videoinpaint.inpainters.published.layers.windows import partition

HALO = 2  # patches of 7, three apart, overlap with those of the two next tokens on each side


@dataclass
class Memory:
    """The tokens of a full pass at every depth: what a pass over some windows sees in the others.

    Attributes:
        entering: tokens ``(B, T, rows, cols, dim)`` that enter each block, and, last, those that leave the transformer.
        attended: those between the two halves of each block.
    """

    entering: list[Tensor] = field(default_factory=list)
    attended: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class Chosen:
    """The windows that a partial pass computes.

    Attributes:
        windows: int64 ``(P,)``, numbered ``b * N + n``.
        inside: bool ``(B, 1, rows, cols, 1)``, their tokens.
        box: ``(top, bottom, left, right)`` around them in tokens, the same for the whole batch.
    """

    windows: Tensor
    inside: Tensor
    box: tuple[int, int, int, int]

    @classmethod
    def of(cls, windows: Tensor, rows: int, cols: int) -> Chosen:
        """From bool ``(B, N)`` with at least one window chosen, on a grid of ``rows`` x ``cols`` tokens."""
        high, wide = WINDOW
        coarse = windows.view(len(windows), rows // high, cols // wide)
        inside = coarse.repeat_interleave(high, 1).repeat_interleave(wide, 2)
        across, along = (coarse.any(0).any(axis).nonzero().flatten().tolist() for axis in (1, 0))
        box = (across[0] * high, (across[-1] + 1) * high, along[0] * wide, (along[-1] + 1) * wide)
        return cls(windows.flatten().nonzero().flatten(), inside[:, None, :, :, None], box)


class FocalBlock(nn.Module):
    """``x' = x + MSA(LN(x))``, ``x'' = x' + F3N(LN(x'))`` on tokens ``(B, T, rows, cols, dim)``.

    Args:
        dim: width of a token.
        num_heads: of the attention.
        hidden: width of the feed-forward's patches.
    """

    def __init__(self, dim: int = 512, num_heads: int = 4, hidden: int = 1960) -> None:
        super().__init__()
        self.pool_layers = nn.ModuleList([nn.Linear(WINDOW[0] * WINDOW[1], 1)])
        self.norm1 = nn.LayerNorm(dim)
        self.attn = FocalWindowAttention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = FusionFeedForward(dim, hidden, "gelu", ("conv1.0", "conv2.1"))

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """One block; ``size`` is the height and width of the feature map behind the tokens."""
        return self.feed(self.attend(x), size)

    def attend(self, x: Tensor, chosen: Chosen | None = None) -> Tensor:
        """The first half of the block; tokens of windows that are not chosen stay as they are."""
        length, rows, cols = x.shape[1:4]
        normal = self.norm1(x)
        windows = None if chosen is None else chosen.windows
        attended = self.attn(normal, self.pool(normal), windows)
        if windows is None:
            windows = torch.arange(len(attended), device=x.device)
        target = window_rows(geometry(rows, cols, x.device).own, windows, length, rows * cols).flatten()
        return x.flatten(0, -2).index_add(0, target, attended.flatten(0, -2).to(x.dtype)).view_as(x)

    def feed(self, x: Tensor, size: tuple[int, int], chosen: Chosen | None = None) -> Tensor:
        """The second half; only tokens in the box around the chosen windows change."""
        if chosen is None:
            return x + self.mlp(self.norm2(x), size)
        rows, cols = x.shape[2:4]
        top, bottom, left, right = chosen.box
        up, down = max(top - HALO, 0), min(bottom + HALO, rows)
        west, east = max(left - HALO, 0), min(right + HALO, cols)
        part = (_extent(up, down, rows, size[0]), _extent(west, east, cols, size[1]))
        fed = self.mlp(self.norm2(x[:, :, up:down, west:east]), part)
        x = x.clone()
        x[:, :, top:bottom, left:right] += fed[:, :, top - up : bottom - up, left - west : right - west]
        return x

    def pool(self, x: Tensor) -> Tensor:
        """One token for every window and frame: ``(B, T, rows, cols, dim)`` to ``(B, T, N, dim)``."""
        windows = partition(x, WINDOW).transpose(1, 2)
        return self.pool_layers[0](windows.transpose(-1, -2)).squeeze(-1)


def _extent(first: int, end: int, count: int, size: int) -> int:
    """Pixels of the feature map behind the tokens ``first`` to ``end`` of ``count`` in a line of ``size`` pixels."""
    return (size if end == count else STRIDE * end) - STRIDE * first


def run(blocks: Iterable[FocalBlock], x: Tensor, size: tuple[int, int], memory: Memory | None = None) -> Tensor:
    """All blocks on all tokens; a ``memory`` that is given is filled anew.

    Args:
        blocks: in their order.
        x: ``(B, T, rows, cols, dim)``.
        size: height and width of the feature map behind the tokens.
        memory: what to remember the pass in.
    """
    if memory is None:
        for block in blocks:
            x = block(x, size)
        return x
    memory.entering, memory.attended = [x], []
    for block in blocks:
        memory.attended.append(block.attend(memory.entering[-1]))
        memory.entering.append(block.feed(memory.attended[-1], size))
    return memory.entering[-1]


def rerun(blocks: Iterable[FocalBlock], x: Tensor, size: tuple[int, int], windows: Tensor, memory: Memory) -> Tensor:
    """All blocks on some windows, which see the others as they were at the same depth of the remembered pass.

    Exactly what :func:`run` gives as long as the other windows would come out as remembered.

    Args:
        blocks: in their order.
        x: ``(B, T, rows, cols, dim)``; outside the windows it is not read.
        size: height and width of the feature map behind the tokens.
        windows: bool ``(B, N)``.
        memory: of a full pass over tokens of the same shape; it is left as it is.
    """
    if not windows.any():
        return memory.entering[-1]
    chosen = Chosen.of(windows, *x.shape[2:4])
    x = torch.where(chosen.inside, x, memory.entering[0])
    for depth, block in enumerate(blocks):
        x = torch.where(chosen.inside, block.attend(x, chosen), memory.attended[depth])
        x = torch.where(chosen.inside, block.feed(x, size, chosen), memory.entering[depth + 1])
    return x
