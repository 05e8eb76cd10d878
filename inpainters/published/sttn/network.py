"""STTN: joint attention over space-time patches of four sizes (Zeng et al., ECCV 2020, "Learning Joint
Spatial-Temporal Transformations for Video Inpainting").
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from videoinpaint.inpainters.published.layers.encoder import SLOPE, decoder, stem
from videoinpaint.inpainters.published.layers.heads import Active, merge_map, project_map

# Patches per axis at each scale. On the published 60 x 108 map they measure 60x108, 20x36, 10x18 and 5x9 pixels.
GRIDS = (1, 3, 6, 12)


def cut(maps: Tensor, grid: int) -> Tensor:
    """Maps ``(B, T, C, h, w)`` to one token per patch: ``(B, T * grid * grid, C * h / grid * w / grid)``."""
    batch, time, channels, height, width = maps.shape
    patches = maps.view(batch, time, channels, grid, height // grid, grid, width // grid)
    return patches.permute(0, 1, 3, 5, 2, 4, 6).reshape(batch, time * grid * grid, -1)


def join(tokens: Tensor, grid: int, shape: torch.Size) -> Tensor:
    """Undo :func:`cut`: tokens back to maps of ``shape = (B, T, C, h, w)``."""
    batch, time, channels, height, width = shape
    patches = tokens.view(batch, time, grid, grid, channels, height // grid, width // grid)
    return patches.permute(0, 1, 4, 2, 5, 3, 6).reshape(shape)


class PatchAttention(nn.Module):
    """Multi-scale patch attention (the paper's "multi-head": each head works on patches of another size).

    Head i owns the i-th quarter of the channels. Its maps are cut into ``GRIDS[i]`` patches per axis and frame; every
    patch of every frame is a token, and all of them attend to each other, softmax(Q K^T / sqrt(r1 r2 C_i)) V.
    ``num_heads`` and ``active`` make these four scales the heads of the head gate (``layers.heads``).

    The published network computes which patches are mostly hole but then drops that mask, so holes are attended to like
    everything else; its weights were trained that way, and no mask is asked for here.

    Args:
        channels: of the maps, a multiple of 4.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim = len(GRIDS), channels // len(GRIDS)
        self.active: Active = None
        self.query_embedding = nn.Conv2d(channels, channels, 1)
        self.value_embedding = nn.Conv2d(channels, channels, 1)
        self.key_embedding = nn.Conv2d(channels, channels, 1)
        self.output_linear = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(SLOPE))

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, T, C, h, w)``, h and w multiples of 12; same shape back."""
        maps = x.flatten(0, 1)
        query, key, value = (
            project_map(maps, layer, self.active, self.head_dim).unflatten(0, x.shape[:2]).split(self.head_dim, 2)
            for layer in (self.query_embedding, self.key_embedding, self.value_embedding)
        )
        scales = range(self.num_heads) if self.active is None else self.active
        attended = [_attend(q, k, v, GRIDS[scale]) for scale, q, k, v in zip(scales, query, key, value)]
        convolution = cast(nn.Conv2d, self.output_linear[0])
        merged = merge_map(torch.cat(attended, 2).flatten(0, 1), convolution, self.active, self.head_dim)
        return self.output_linear[1](merged).unflatten(0, x.shape[:2])


def _attend(query: Tensor, key: Tensor, value: Tensor, grid: int) -> Tensor:
    # Plain products: fused attention kernels are made for short tokens, these have up to 64 * 60 * 108 values.
    queries, keys, values = (cut(maps, grid) for maps in (query, key, value))
    weights = torch.softmax(queries @ keys.mT / queries.shape[-1] ** 0.5, dim=-1)
    return join(weights @ values, grid, value.shape)


class FeedForward(nn.Module):
    """Two 3x3 convolutions, the first dilated by 2, with leaky ReLUs behind them, on each frame alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, T, C, h, w)``, same shape back."""
        return self.conv(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Block(nn.Module):
    """``x + attention(x)``, then ``x + feed_forward(x)``; there is no normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = PatchAttention(channels)
        self.feed_forward = FeedForward(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, T, C, h, w)``, same shape back."""
        x = x + self.attention(x)
        return x + self.feed_forward(x)


class STTN(nn.Module):
    """The generator of STTN, in three stages: ``encode``, ``transform`` and ``decode``.

    Published for 240 x 432 only, because patch sizes were fixed numbers; here they are fixed shares of the map (the
    same numbers at 240 x 432), so that any height and width that are multiples of 48 work.

    Args:
        channels: of the features, 256 in the published network.
        depth: how many transformer blocks, 8 in the published network.
    """

    def __init__(self, channels: int = 256, depth: int = 8) -> None:
        super().__init__()
        self.transformer = nn.Sequential(*(Block(channels) for _ in range(depth)))
        self.encoder = stem()
        self.decoder = decoder(channels)

    def encode(self, frames: Tensor) -> Tensor:
        """Frames ``(N, 3, H, W)`` in [-1, 1], holes 0, to features ``(N, C, H / 4, W / 4)``."""
        return self.encoder(frames)

    def transform(self, features: Tensor) -> Tensor:
        """Features ``(B, T, C, h, w)`` of whole clips, same shape back.

        Raises:
            ValueError: h or w is no multiple of 12.
        """
        height, width = features.shape[-2:]
        if height % GRIDS[-1] or width % GRIDS[-1]:
            raise ValueError(f"STTN needs frames whose sides are multiples of 48, got {4 * height} x {4 * width}")
        return self.transformer(features)

    def decode(self, features: Tensor) -> Tensor:
        """Features ``(N, C, h, w)`` to frames ``(N, 3, 4h, 4w)`` in [-1, 1]."""
        return self.decoder(features)

    def forward(self, frames: Tensor, masks: Tensor | None = None) -> Tensor:
        """The published call.

        Args:
            frames: ``(B, T, 3, H, W)`` in [-1, 1], holes 0.
            masks: as published, without effect.

        Returns:
            ``(B * T, 3, H, W)`` in [-1, 1].
        """
        features = self.encode(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        return self.decode(self.transform(features).flatten(0, 1))
