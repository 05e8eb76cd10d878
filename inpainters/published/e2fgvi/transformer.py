"""The temporal focal transformer of E2FGVI (Section 3.4): focal attention and FuseFormer's feed-forward, residual."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videoinpaint.inpainters.published.e2fgvi.attention import WINDOW, FocalWindowAttention, geometry, window_rows
from videoinpaint.inpainters.published.layers.soft_split import FusionFeedForward
from videoinpaint.inpainters.published.layers.windows import partition


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

    def forward(self, x: Tensor, size: tuple[int, int], counts: Tensor | None = None) -> Tensor:
        """One block; ``size`` is the height and width of the feature map behind the tokens.

        ``counts`` as of :class:`FocalWindowAttention`.
        """
        length, rows, cols = x.shape[1:4]
        normal = self.norm1(x)
        attended = self.attn(normal, self.pool(normal), counts)
        windows = torch.arange(len(attended), device=x.device)
        target = window_rows(geometry(rows, cols, x.device).own, windows, length, rows * cols).flatten()
        x = x.flatten(0, -2).index_add(0, target, attended.flatten(0, -2).to(x.dtype)).view_as(x)
        return x + self.mlp(self.norm2(x), size)

    def pool(self, x: Tensor) -> Tensor:
        """One token for every window and frame: ``(B, T, rows, cols, dim)`` to ``(B, T, N, dim)``."""
        windows = partition(x, WINDOW).transpose(1, 2)
        return self.pool_layers[0](windows.transpose(-1, -2)).squeeze(-1)
