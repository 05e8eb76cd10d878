"""STTN, DSTT and FuseFormer: networks without motion, which treat local and reference frames alike, at 432x240."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from videoinpaint.inpainters.published.adapter import Pass, PublishedInpainter
from videoinpaint.inpainters.published.geometry import Geometry
from videoinpaint.inpainters.published.plan import Window


class FrameTransformerInpainter(PublishedInpainter):
    """Base of the three: ``encode`` masked frames, ``transform`` a window's features, ``decode`` them.

    Masks are no input: a hole is zero in [-1, 1], mid-grey.
    """

    geometry: ClassVar[Geometry] = Geometry(fixed=(240, 432))

    def encode(self, work: Pass, frames: Sequence[int]) -> Tensor:
        """See :class:`PublishedInpainter`."""
        masked = work.frames[:, frames] * (1 - work.holes[:, frames])
        return self.networks["main"].encode(masked.flatten(0, 1)).unflatten(0, masked.shape[:2])  # type: ignore[operator]

    def transform(self, work: Pass, features: Tensor, window: Window) -> Tensor:
        """See :class:`PublishedInpainter`."""
        return self.networks["main"].transform(features)[:, : len(window.local)]  # type: ignore[operator]
