"""FuseFormer: a transformer over overlapping patches (Liu et al., ICCV 2021, "FuseFormer: Fusing Fine-Grained
Information in Transformers for Video Inpainting").
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videoinpaint.inpainters.published.layers.attention import SelfAttention
from videoinpaint.inpainters.published.layers.encoder import HierarchicalEncoder, decoder
from videoinpaint.inpainters.published.layers.soft_split import (
    FusionFeedForward,
    SoftComposition,
    SoftSplit,
    token_grid,
)

CHANNELS = 128


class PositionEmbedding(nn.Module):
    """A learned vector per place of the token grid, the same for every frame. Key: ``pos_emb``."""

    def __init__(self, tokens: int, dim: int) -> None:
        super().__init__()
        self.pos_emb = nn.Parameter(torch.zeros(1, 1, tokens, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens ``(B, T, rows, columns, dim)``, same shape back."""
        return tokens + self.pos_emb.view(1, 1, *tokens.shape[2:])


class Block(nn.Module):
    """``x + attention(LN(x))`` over the tokens of all frames, then ``x + F3N(LN(x))`` on each frame."""

    def __init__(self, dim: int, hidden: int, num_heads: int) -> None:
        super().__init__()
        self.attention = SelfAttention(dim, num_heads)
        self.ffn = FusionFeedForward(dim, hidden, "relu", ("conv1.0", "conv2.2"))
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens ``(B, T, rows, columns, dim)`` of feature maps of ``size = (h, w)``, same shape back."""
        x = x + self.attention(self.norm1(x).flatten(1, 3)).view_as(x)
        return x + self.ffn(self.norm2(x), size)


class FuseFormer(nn.Module):
    """The generator of FuseFormer, in three stages: ``encode``, ``transform`` and ``decode``.

    Two learned tensors, the position embedding and the composition's bias, have the size of the map: a checkpoint
    serves one frame size, 240 x 432 for the published one.

    Args:
        dim, hidden, depth, num_heads: width of a token and of the feed-forward, blocks, heads; 512, 1960, 8 and 4 in
            the published network.
        size: height and width of the frames in pixels, multiples of 4.
    """

    def __init__(
        self,
        dim: int = 512,
        hidden: int = 1960,
        depth: int = 8,
        num_heads: int = 4,
        size: tuple[int, int] = (240, 432),
    ) -> None:
        super().__init__()
        self.feature_size = size[0] // 4, size[1] // 4
        rows, columns = token_grid(*self.feature_size)
        self.transformer = nn.ModuleList(Block(dim, hidden, num_heads) for _ in range(depth))
        self.ss = SoftSplit(CHANNELS, dim)
        self.add_pos_emb = PositionEmbedding(rows * columns, dim)
        self.sc = SoftComposition(CHANNELS, dim, "map", self.feature_size)
        self.encoder = HierarchicalEncoder()
        self.decoder = decoder(CHANNELS)

    def encode(self, frames: Tensor) -> Tensor:
        """Frames ``(N, 3, H, W)`` in [-1, 1], holes 0, to features ``(N, 128, H / 4, W / 4)``."""
        return self.encoder(frames)

    def embed(self, features: Tensor) -> Tensor:
        """Features ``(B, T, 128, h, w)`` to tokens with their position ``(B, T, rows, columns, dim)``.

        Raises:
            ValueError: h and w are not those that the weights were made for.
        """
        if tuple(features.shape[-2:]) != self.feature_size:
            wanted, given = ([4 * length for length in size] for size in (self.feature_size, features.shape[-2:]))
            raise ValueError(f"these FuseFormer weights serve frames of {wanted}, got {given}")
        return self.add_pos_emb(self.ss(features))

    def attend(self, tokens: Tensor) -> Tensor:
        """The transformer blocks on tokens ``(B, T, rows, columns, dim)``, same shape back."""
        for block in self.transformer:
            tokens = block(tokens, self.feature_size)
        return tokens

    def compose(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Put tokens ``(B, T, rows, columns, dim)`` back into the map and add it to ``features (B, T, 128, h, w)``."""
        return features + self.sc(tokens, self.feature_size)

    def transform(self, features: Tensor) -> Tensor:
        """Features ``(B, T, 128, h, w)`` of whole clips, same shape back.

        Raises:
            ValueError: h and w are not those that the weights were made for.
        """
        return self.compose(features, self.attend(self.embed(features)))

    def decode(self, features: Tensor) -> Tensor:
        """Features ``(N, 128, h, w)`` to frames ``(N, 3, 4h, 4w)`` in [-1, 1]."""
        return self.decoder(features)

    def forward(self, frames: Tensor) -> Tensor:
        """The published call: frames ``(B, T, 3, H, W)`` in [-1, 1], holes 0, to ``(B * T, 3, H, W)``."""
        features = self.encode(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        return self.decode(self.transform(features).flatten(0, 1))
