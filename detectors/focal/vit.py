"""FOCAL's transformer extractor: the image encoder of Segment Anything, ViT-L (Kirillov et al., 2023; Li et al., 2022).

Blocks attend inside windows of 14 x 14 tokens, four of them over the whole map; attention knows relative rows and
columns. Names follow the official checkpoint ``FOCAL_ViT_weights.pth``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.detectors.focal.segment_anything import mask_decoder, prompt_encoder
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.weights import metadata_number

_BIAS_BYTES = 2**28  # attention biases held at a time; all heads of a global block would need 1 GiB


@dataclass(frozen=True)
class ViTConfig:
    """Size of the encoder; the defaults are ViT-L.

    Attributes:
        image_size: side of the (square) input in pixels, a multiple of ``patch``; the position embedding fixes it.
        patch: side of a token in pixels.
        width: channels of a token.
        depth: blocks.
        heads: attention heads of a block.
        mlp_ratio: hidden channels of the feed-forward layer, in units of ``width``.
        window: side of an attention window in tokens.
        global_blocks: blocks that attend over the whole map.
        channels: of the features.
        complete: carry the unused prompt encoder and mask decoder, as the official checkpoint does.
    """

    image_size: int = 1024
    patch: int = 16
    width: int = 1024
    depth: int = 24
    heads: int = 16
    mlp_ratio: int = 4
    window: int = 14
    global_blocks: tuple[int, ...] = (5, 11, 17, 23)
    channels: int = 256
    complete: bool = True

    def as_metadata(self) -> dict[str, str]:
        """As a weight file that was trained here holds it."""
        return {name: str(getattr(self, name)) for name in _STORED}

    @staticmethod
    def from_metadata(metadata: Mapping[str, str]) -> ViTConfig | None:
        """The size that a file names; None for the official one, which names none. Blocks over the whole map follow
        from the depth.

        Raises:
            CorruptWeightsError: it is no size.
        """
        if "image_size" not in metadata:
            return None
        numbers = {name: metadata_number(metadata, name, 1, high) for name, high in _STORED.items()}
        every = max(1, numbers["depth"] // 4)
        whole = tuple(range(every - 1, numbers["depth"], every))
        if numbers["image_size"] % numbers["patch"] or numbers["width"] % numbers["heads"]:
            raise CorruptWeightsError(f"the weights 'focal-vit' describe no network: {numbers}")
        return ViTConfig(**numbers, global_blocks=whole, complete=False)


_STORED = {
    "image_size": 4096, "patch": 64, "width": 4096, "depth": 64, "heads": 64, "mlp_ratio": 16, "window": 64,
    "channels": 4096,
}  # fmt: skip
SMALL = ViTConfig(128, 8, 96, 4, 4, 2, 8, (0, 1, 2, 3), 32, complete=False)
"""A ViT that trains on a laptop."""


class RelativeAttention(nn.Module):
    """Multi-head attention over a square token map with decomposed relative positions.

    The logit of query i and key j is ``q_i k_j / sqrt(d) + q_i Rh[row_i - row_j] + q_i Rw[column_i - column_j]``.

    Args:
        width: channels of a token.
        heads: attention heads.
        side: rows (and columns) of the map.
    """

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.num_heads, self.side = heads, side
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, width // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, width // heads))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, side, side, width)`` to the same shape."""
        count, side = len(x), self.side
        q, k, v = self.qkv(x).view(count, side * side, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        per_head = 4 * count * side**4
        few = max(1, _BIAS_BYTES // per_head)  # heads at a time
        parts = zip(q.split(few, 1), k.split(few, 1), v.split(few, 1))
        attended = [F.scaled_dot_product_attention(a, b, c, attn_mask=self._bias(a)) for a, b, c in parts]
        return self.proj(torch.cat(attended, 1).transpose(1, 2).reshape(x.shape))

    def _bias(self, q: Tensor) -> Tensor:
        """What relative positions add to the logits, ``(N, heads, side**2, side**2)``; q is not scaled here."""
        side = self.side
        steps = torch.arange(side, device=q.device)
        apart = steps[:, None] - steps[None] + side - 1
        grid = q.unflatten(2, (side, side))
        rows = torch.einsum("nhyxd,yzd->nhyxz", grid, self.rel_pos_h[apart])
        columns = torch.einsum("nhyxd,xzd->nhyxz", grid, self.rel_pos_w[apart])
        return (rows[..., :, None] + columns[..., None, :]).reshape(*q.shape[:3], side * side)


class _FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(F.gelu(self.lin1(x)))


class Block(nn.Module):
    """Pre-normalised attention and feed-forward layer.

    Args:
        config: size of the encoder.
        window: side of the attention windows; 0 to attend over the whole map.
    """

    def __init__(self, config: ViTConfig, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(config.width, eps=1e-6)
        self.attn = RelativeAttention(config.width, config.heads, window or config.image_size // config.patch)
        self.norm2 = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp = _FeedForward(config.width, config.mlp_ratio * config.width)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, S, S, width)`` to the same shape."""
        y = self.norm1(x)
        x = x + (self._windowed(y) if self.window else self.attn(y))
        return x + self.mlp(self.norm2(x))

    def _windowed(self, x: Tensor) -> Tensor:
        """Attention inside windows; the zeros that fill the last ones up take part, as in the reference."""
        count, height, width, channels = x.shape
        side = self.window
        x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        rows, columns = x.shape[1] // side, x.shape[2] // side
        x = x.view(count, rows, side, columns, side, channels).transpose(2, 3)
        y = self.attn(x.reshape(-1, side, side, channels)).view(count, rows, columns, side, side, channels)
        return y.transpose(2, 3).reshape(count, rows * side, columns * side, channels)[:, :height, :width]


class _ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of ``(N, C, h, w)`` at every position."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class _Patches(nn.Module):
    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch, config.patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).movedim(1, -1)


class ImageEncoder(nn.Module):
    """Patch embedding, blocks and neck.

    Args:
        config: its size.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        side = config.image_size // config.patch
        self.patch_embed = _Patches(config)
        self.pos_embed = nn.Parameter(torch.zeros(1, side, side, config.width))
        windows = [0 if i in config.global_blocks else config.window for i in range(config.depth)]
        self.blocks = nn.ModuleList(Block(config, window) for window in windows)
        self.neck = nn.Sequential(
            nn.Conv2d(config.width, config.channels, 1, bias=False),
            _ChannelNorm(config.channels, eps=1e-6),
            nn.Conv2d(config.channels, config.channels, 3, padding=1, bias=False),
            _ChannelNorm(config.channels, eps=1e-6),
        )

    def stages(self, images: Tensor) -> dict[str, Tensor]:
        """``patch_embed``, ``block_first`` and ``block_last`` ``(N, S, S, width)``, and ``features``."""
        size = self.config.image_size
        if tuple(images.shape[1:]) != (3, size, size):
            raise InputError(f"the ViT takes images (N, 3, {size}, {size}), got {tuple(images.shape)}")
        kept = {"patch_embed": self.patch_embed(images)}
        x = kept["patch_embed"] + self.pos_embed
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i == 0:
                kept["block_first"] = x
        return kept | {"block_last": x, "features": self.neck(x.movedim(-1, 1))}

    def forward(self, images: Tensor) -> Tensor:
        """Features ``(N, channels, S, S)`` of images ``(N, 3, image_size, image_size)``, S = image_size / patch."""
        return self.stages(images)["features"]


class _SegmentAnything(nn.Module):
    """The encoder and, so that the official file loads strictly, what the reference keeps around it."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.image_encoder = ImageEncoder(config)
        if config.complete:
            self.prompt_encoder, self.mask_decoder = prompt_encoder(config.channels), mask_decoder(config.channels)


class ViTExtractor(nn.Module):
    """The ViT as a feature extractor: 308 M parameters that count and, in the official file, 4 M that do not.

    Args:
        config: its size; the default is the official one.
    """

    def __init__(self, config: ViTConfig | None = None) -> None:
        super().__init__()
        self.config = config or ViTConfig()
        self.channels = self.config.channels
        self.net = _SegmentAnything(self.config)

    def accepted_size(self, height: int, width: int) -> tuple[int, int]:
        """Always the one size that the position embedding allows."""
        return self.config.image_size, self.config.image_size

    def forward(self, images: Tensor) -> Tensor:
        """See :meth:`ImageEncoder.forward`."""
        return self.net.image_encoder(images)
