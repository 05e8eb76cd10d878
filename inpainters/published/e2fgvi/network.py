"""E2FGVI and E2FGVI-HQ: Li et al., "Towards an End-to-End Framework for Flow-Guided Video Inpainting", CVPR 2022.

Both are one network; they differ in what follows the soft composition: E2FGVI adds a learned map, which ties it to
240x432; E2FGVI-HQ convolves, and takes any size whose token grid consists of whole windows. The names of the weights
are those of the published checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videoinpaint.errors import InputError
from videoinpaint.inpainters.published.e2fgvi.attention import WINDOW
from videoinpaint.inpainters.published.e2fgvi.feature_propagation import FeaturePropagation
from videoinpaint.inpainters.published.e2fgvi.flow import SPyNet, quarter_flows
from videoinpaint.inpainters.published.e2fgvi.transformer import FocalBlock
from videoinpaint.inpainters.published.layers.encoder import HierarchicalEncoder, decoder
from videoinpaint.inpainters.published.layers.soft_split import SoftComposition, SoftSplit, token_grid
from videoinpaint.inpainters.published.sizes import Sizes

CHANNELS = 128
Flows = tuple[Tensor, Tensor]


class E2FGVI(nn.Module):
    """The published inpainting generator, in stages: ``flows``, ``encode``, ``propagate``, ``transform``, ``decode``.

    Frames are ``(B, T, 3, H, W)`` in [-1, 1] with zeros in the holes; masks are not an input. The first ``num_local``
    of them are a run of neighbouring frames; the others are reference frames, which only the transformer sees.

    Args:
        hq: build E2FGVI-HQ.
        sizes: of the transformer, and of the frames where it is not HQ.
    """

    def __init__(self, hq: bool = False, sizes: Sizes | None = None) -> None:
        super().__init__()
        sizes = sizes or Sizes()
        self.hq, self.fixed_size = hq, (sizes.height, sizes.width)
        self.encoder = HierarchicalEncoder()
        self.decoder = decoder(CHANNELS)
        self.feat_prop_module = FeaturePropagation(CHANNELS)
        self.ss = SoftSplit(CHANNELS, sizes.dim)
        tied = (sizes.height // 4, sizes.width // 4)
        self.sc = SoftComposition(CHANNELS, sizes.dim, *(("conv",) if hq else ("map", tied)))
        self.transformer = nn.ModuleList(FocalBlock(sizes.dim, sizes.heads, sizes.hidden) for _ in range(sizes.depth))
        self.update_spynet = SPyNet()

    def check_size(self, height: int, width: int) -> None:
        """Raise `InputError` unless the network can work on frames of ``height`` x ``width``."""
        if not self.hq and (height, width) != self.fixed_size:
            raise InputError(
                f"e2fgvi works at {self.fixed_size[0]}x{self.fixed_size[1]} only, got {height}x{width}: use e2fgvi_hq"
            )
        grid = token_grid(height // 4, width // 4)
        if height % 4 or width % 4 or grid[0] % WINDOW[0] or grid[1] % WINDOW[1]:
            raise InputError(
                f"frames of {height}x{width} give {grid[0]}x{grid[1]} tokens; sizes must be multiples of 4 with whole "
                f"windows of {WINDOW[0]}x{WINDOW[1]} tokens: pad to multiples of 60x108"
            )

    def flows(self, frames: Tensor) -> Flows:
        """Flow of a whole clip at once, t -> t+1 and t+1 -> t, in pixels of the feature map.

        Flow is a matter of two frames: that of a part of a clip is a slice of that of the clip.

        Args:
            frames: ``(B, T, 3, H, W)`` in [-1, 1].

        Returns:
            two ``(B, T-1, 2, H/4, W/4)``.
        """
        return quarter_flows(self.update_spynet, frames)

    def encode(self, frames: Tensor) -> Tensor:
        """``(N, 3, H, W)`` in [-1, 1] to features ``(N, 128, H/4, W/4)``."""
        return self.encoder(frames)

    def propagate(self, features: Tensor, flows: Flows) -> Tensor:
        """Carry the features ``(B, L, 128, h, w)`` of local frames along their ``flows``; same shape back."""
        return self.feat_prop_module(features, *flows)

    def transform(
        self,
        features: Tensor,
        num_local: int | None = None,
        fusion: float | Tensor = 0.5,
        *,
        counts: Tensor | None = None,
    ) -> Tensor:
        """Hallucinate, and fuse: ``f = 2 * (w * transformer + (1 - w) * propagated)``.

        Args:
            features: ``(B, T, 128, h, w)``, propagated for the local frames, encoded for the others.
            num_local: how many of the first frames to return; None for all.
            fusion: w in [0, 1], one number, ``(B,)`` or a map ``(B, 1, h, w)``; 0.5 is the published sum.
            counts: int64 ``(B, N)``: how many heads each window runs; None: those that are active.

        Returns:
            ``(B, num_local, 128, h, w)``.
        """
        tokens = self.tokens(features, counts)
        size = (features.shape[-2], features.shape[-1])
        return self.fuse(self.sc(tokens[:, :num_local], size), features[:, :num_local], fusion)

    def tokens(self, features: Tensor, counts: Tensor | None = None) -> Tensor:
        """Features ``(B, T, 128, h, w)`` to the tokens that leave the transformer, ``(B, T, rows, cols, 512)``."""
        tokens, size = self.ss(features), (features.shape[-2], features.shape[-1])
        for block in self.transformer:
            tokens = block(tokens, size, counts)
        return tokens

    @staticmethod
    def fuse(hallucinated: Tensor, propagated: Tensor, fusion: float | Tensor) -> Tensor:
        """``2 * (w * hallucinated + (1 - w) * propagated)`` for ``(B, ...)`` and one w, one for each item, or maps."""
        if isinstance(fusion, Tensor):
            fusion = fusion.to(hallucinated)
            each = fusion.view(-1, *[1] * (hallucinated.ndim - 1)) if fusion.dim() == 1 else fusion.unsqueeze(1)
            return 2 * (each * hallucinated + (1 - each) * propagated)
        return 2 * (fusion * hallucinated + (1 - fusion) * propagated)

    def decode(self, features: Tensor) -> Tensor:
        """Features ``(N, 128, h, w)`` to frames ``(N, 3, 4h, 4w)`` in [-1, 1]."""
        return self.decoder(features)

    def forward(self, frames: Tensor, num_local: int, fusion: float | Tensor = 0.5) -> tuple[Tensor, Flows]:
        """The published call.

        Args:
            frames: ``(B, T, 3, H, W)`` in [-1, 1], zeros in the holes.
            num_local: how many of the first frames are neighbours of each other.
            fusion: see :meth:`transform`.

        Returns:
            frames ``(B * T, 3, H, W)`` in [-1, 1], and the flows of the local frames.

        Raises:
            InputError: the network cannot work at this size.
        """
        self.check_size(frames.shape[-2], frames.shape[-1])
        flows = self.flows(frames[:, :num_local])
        features = self.encode(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        local = self.propagate(features[:, :num_local], flows)
        fused = self.transform(torch.cat([local, features[:, num_local:]], dim=1), None, fusion)
        return self.decode(fused.flatten(0, 1)), flows
