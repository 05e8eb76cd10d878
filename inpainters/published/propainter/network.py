"""ProPainter's generator (Zhou et al., ICCV 2023, Section 3.2 and 3.3) in stages, and the network's parts together."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videoinpaint.inpainters.published.layers.encoder import HierarchicalEncoder, decoder
from videoinpaint.inpainters.published.layers.soft_split import SoftComposition, SoftSplit
from videoinpaint.inpainters.published.propainter.attention import SparseTransformer, touched_by
from videoinpaint.inpainters.published.propainter.recurrent_propagation import FeaturePropagation, reduce_flows
from videoinpaint.inpainters.published.sizes import Sizes

STRIDE = 4  # of the features
CHANNELS = 128


class ProPainter(nn.Module):
    """The generator. Frames lie in [-1, 1]; a stage can be run alone, once, for as many frames as wanted.

    ``encode`` each frame, ``propagate`` over neighbouring (local) frames, ``transform`` local and reference frames
    together, ``decode`` the local ones.

    Args:
        sizes: of the transformer.
    """

    def __init__(self, sizes: Sizes | None = None) -> None:
        super().__init__()
        sizes = sizes or Sizes()
        self.encoder = HierarchicalEncoder(in_channels=5)
        self.decoder = decoder(CHANNELS)
        self.ss = SoftSplit(CHANNELS, sizes.dim)
        self.sc = SoftComposition(CHANNELS, sizes.dim, "conv")
        self.feat_prop_module = FeaturePropagation(CHANNELS)
        self.transformers = SparseTransformer(sizes.depth, sizes.dim, sizes.heads, sizes.hidden)

    def forward(
        self,
        frames: Tensor,
        forward: Tensor,
        backward: Tensor,
        masks: Tensor,
        updated: Tensor,
        num_local: int,
        fusion: float | Tensor = 0.5,
    ) -> Tensor:
        """The published call.

        Args:
            frames: ``(B, T, 3, H, W)`` after image propagation: local frames, then references. H, W multiples of 4.
            forward: completed flows t -> t+1 of the local frames, ``(B, L-1, 2, H, W)``.
            backward: completed flows t+1 -> t, likewise.
            masks: ``(B, T, 1, H, W)`` in {0, 1}, 1 = hole.
            updated: as ``masks``: what image propagation left unfilled.
            num_local: L, how many of the frames are local.
            fusion: see :meth:`transform`.

        Returns:
            the local frames, ``(B, L, 3, H, W)`` in [-1, 1].

        Raises:
            ValueError: H or W is no multiple of 4.
        """
        batch, time = frames.shape[:2]
        flat = (x.flatten(0, 1) for x in (frames, masks, updated))
        features = self.encode(*flat).unflatten(0, (batch, time))
        local = self.propagate(features[:, :num_local], forward, backward, masks[:, :num_local], updated[:, :num_local])
        features = torch.cat([local, features[:, num_local:]], 1)
        features = self.transform(features, masks[:, :num_local], fusion)
        return self.decode(features[:, :num_local].flatten(0, 1)).unflatten(0, (batch, num_local))

    def encode(self, frames: Tensor, masks: Tensor, updated: Tensor) -> Tensor:
        """Frames ``(N, 3, H, W)`` with masks ``(N, 1, H, W)`` to features ``(N, 128, H / 4, W / 4)``."""
        height, width = frames.shape[-2:]
        if height % STRIDE or width % STRIDE:
            raise ValueError(f"ProPainter needs multiples of {STRIDE}, got {height} x {width}")
        return self.encoder(torch.cat([frames, masks, updated], 1))

    def propagate(self, features: Tensor, forward: Tensor, backward: Tensor, masks: Tensor, updated: Tensor) -> Tensor:
        """Carry features between local frames.

        Args:
            features: ``(B, L, 128, h, w)``.
            forward: flows at full size, in full pixels, ``(B, L-1, 2, H, W)``.
            backward: likewise.
            masks: ``(B, L, 1, H, W)``.
            updated: likewise.

        Returns:
            ``(B, L, 128, h, w)``.
        """
        size = (features.shape[-2], features.shape[-1])
        pair = torch.cat([masks, updated], 2)[..., ::STRIDE, ::STRIDE]
        flows = (reduce_flows(flow, size) for flow in (forward, backward))
        return self.feat_prop_module(features, *flows, pair)

    def transform(
        self,
        features: Tensor,
        masks: Tensor,
        fusion: float | Tensor = 0.5,
        idle: bool = True,
        counts: Tensor | None = None,
    ) -> Tensor:
        """Let tokens of all frames attend, and join the result with what went in.

        Args:
            features: ``(B, T, 128, h, w)``: propagated local features, then those of reference frames.
            masks: ``(B, any, 1, H, W)``, positive where the repair is wanted: windows that touch it in any frame
                attend over time. The published network passes the local frames' masks.
            fusion: w in ``2 * (w * transformer + (1 - w) * propagated)``, one number, ``(B,)`` or a map
                ``(B, 1, h, w)``; 0.5 is the published sum.
            idle: whether windows that touch nothing attend within themselves (as published); without, they are
                left out of all attention, for a pass that repairs a small part again.
            counts: int64 ``(B, N)``: how many heads each window runs; None: those that are active.

        Returns:
            ``(B, T, 128, h, w)``.
        """
        size = (features.shape[-2], features.shape[-1])
        return self.fuse(self.attend(self.ss(features), self.touched(masks), size, idle, counts), features, fusion)

    def touched(self, masks: Tensor) -> Tensor:
        """Windows of the token grid that touch masks ``(B, any, 1, H, W)`` in any frame: bool ``(B, N)``.

        With the shapes, it decides what :meth:`transform` costs.
        """
        return touched_by(masks[..., ::STRIDE, ::STRIDE])

    def attend(
        self, tokens: Tensor, touched: Tensor, size: tuple[int, int], idle: bool = True, counts: Tensor | None = None
    ) -> Tensor:
        """The transformer alone, on tokens ``(B, T, rows, cols, 512)``; see :meth:`transform`."""
        return self.transformers(tokens, touched, size, idle, counts)

    def fuse(self, tokens: Tensor, features: Tensor, fusion: float | Tensor = 0.5) -> Tensor:
        """Soft composition of the transformer's tokens, joined with the features; see :meth:`transform`."""
        weight = torch.as_tensor(fusion, dtype=features.dtype, device=features.device)
        weight = weight.unsqueeze(1) if weight.dim() == 4 else weight.view(-1, 1, 1, 1, 1)
        hallucinated = self.sc(tokens, (features.shape[-2], features.shape[-1]))
        return 2 * (weight * hallucinated + (1 - weight) * features)

    def decode(self, features: Tensor) -> Tensor:
        """Features ``(N, 128, h, w)`` to frames ``(N, 3, 4 h, 4 w)`` in [-1, 1]."""
        return self.decoder(features)
