"""DSTT: spatial and temporal attention in turns (Liu et al., 2021, "Decoupled Spatial-Temporal Transformer for Video
Inpainting", arXiv 2104.06637).
"""

from __future__ import annotations

from torch import Tensor, nn

from videoinpaint.inpainters.published.layers.attention import SelfAttention
from videoinpaint.inpainters.published.layers.encoder import HierarchicalEncoder, decoder, stem
from videoinpaint.inpainters.published.layers.soft_split import KERNEL, PADDING, STRIDE, SoftComposition, token_grid

CHANNELS = 128
ZONES = 2  # per axis: temporal attention works in a quarter of the frame


class FeedForward(nn.Module):
    """Linear, ReLU, linear; the checkpoints call the linear layers ``conv.0`` and ``conv.3``."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(inplace=True), nn.Identity(), nn.Linear(hidden, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens ``(..., dim)``, same shape back."""
        return self.conv(x)


class Block(nn.Module):
    """Attention within a frame (spatial) or within a zone over all frames (temporal), then a feed-forward.

    As in the published code, the first skip connection carries the NORMALISED tokens: with y = LN1(x) and
    z = y + attention(y) the block gives z + ffn(LN2(z)), and x itself is not added.

    Args:
        dim, hidden, num_heads: width of a token and of the feed-forward, heads.
        temporal: which of the two attentions.
    """

    def __init__(self, dim: int, hidden: int, num_heads: int, temporal: bool) -> None:
        super().__init__()
        self.temporal = temporal
        self.attention = SelfAttention(dim, num_heads)
        self.ffn = FeedForward(dim, hidden)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens ``(B, T, rows, columns, dim)``, same shape back."""
        y = self.norm1(x)
        z = y + (self._over_time(y) if self.temporal else self._over_space(y))
        return z + self.ffn(self.norm2(z))

    def _over_space(self, x: Tensor) -> Tensor:
        return self.attention(x.reshape(-1, x.shape[2] * x.shape[3], x.shape[4])).view_as(x)

    def _over_time(self, x: Tensor) -> Tensor:
        batch, time, rows, columns, dim = x.shape
        zone = (rows // ZONES, columns // ZONES)
        zones = x.view(batch, time, ZONES, zone[0], ZONES, zone[1], dim).permute(0, 2, 4, 1, 3, 5, 6)
        attended = self.attention(zones.reshape(-1, time * zone[0] * zone[1], dim)).view(zones.shape)
        return attended.permute(0, 3, 1, 4, 2, 5, 6).reshape(x.shape)


class DSTT(nn.Module):
    """The generator of DSTT, in three stages: ``encode``, ``transform`` and ``decode``.

    Published for 240 x 432 only, with fixed zones of 10 x 18 tokens; here a zone is half the token grid per axis (the
    same at 240 x 432), so that any size whose token grid has even sides works, such as multiples of 24.

    Args:
        dim, hidden, depth, num_heads: width of a token and of the feed-forward, blocks, heads; 512, 2048, 8 and 4 in
            the published network. Even blocks are temporal, odd blocks are spatial.
    """

    def __init__(self, dim: int = 512, hidden: int = 2048, depth: int = 8, num_heads: int = 4) -> None:
        super().__init__()
        blocks = (Block(dim, hidden, num_heads, temporal=index % 2 == 0) for index in range(depth))
        self.transformer = nn.Sequential(*blocks)
        self.patch2vec = nn.Conv2d(CHANNELS, dim, KERNEL, STRIDE, PADDING)
        self.vec2patch = SoftComposition(CHANNELS, dim, bias=None)
        self.encoder = stem()
        self.hier_enc = HierarchicalEncoder(256, (256, 256, 256, 256, CHANNELS), with_stem=False)
        self.decoder = decoder(CHANNELS)

    def encode(self, frames: Tensor) -> Tensor:
        """Frames ``(N, 3, H, W)`` in [-1, 1], holes 0, to features ``(N, 128, H / 4, W / 4)``."""
        return self.hier_enc(self.encoder(frames))

    def embed(self, features: Tensor) -> Tensor:
        """Features ``(B, T, 128, h, w)`` to tokens ``(B, T, rows, columns, dim)``.

        Raises:
            ValueError: the token grid has an odd side.
        """
        rows, columns = token_grid(features.shape[-2], features.shape[-1])
        if rows % ZONES or columns % ZONES:
            size = [4 * length for length in features.shape[-2:]]
            raise ValueError(f"DSTT needs frames with an even token grid, such as sides of 24 n pixels, got {size}")
        return self.patch2vec(features.flatten(0, 1)).permute(0, 2, 3, 1).unflatten(0, features.shape[:2])

    def compose(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Put tokens ``(B, T, rows, columns, dim)`` back into the map and add it to ``features (B, T, 128, h, w)``."""
        return features + self.vec2patch(tokens, (features.shape[-2], features.shape[-1]))

    def transform(self, features: Tensor) -> Tensor:
        """Features ``(B, T, 128, h, w)`` of whole clips, same shape back.

        Raises:
            ValueError: the token grid has an odd side.
        """
        return self.compose(features, self.transformer(self.embed(features)))

    def decode(self, features: Tensor) -> Tensor:
        """Features ``(N, 128, h, w)`` to frames ``(N, 3, 4h, 4w)`` in [-1, 1]."""
        return self.decoder(features)

    def forward(self, frames: Tensor) -> Tensor:
        """The published call: frames ``(B, T, 3, H, W)`` in [-1, 1], holes 0, to ``(B * T, 3, H, W)``."""
        features = self.encode(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        return self.decode(self.transform(features).flatten(0, 1))
