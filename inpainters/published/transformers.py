"""STTN, DSTT and FuseFormer: networks without motion, which treat local and reference frames alike, at 432x240."""

from __future__ import annotations

from torch import Tensor

from videoinpaint.inpainters.published.adapter import PublishedInpainter
from videoinpaint.inpainters.published.geometry import Geometry
from videoinpaint.inpainters.published.plan import Window
from videoinpaint.inpainters.published.work import Pass


class FrameTransformerInpainter(PublishedInpainter):
    """Base of the three: ``encode`` masked frames, ``transform`` a window's features, ``decode`` them.

    Masks are no input: a hole is zero in [-1, 1], mid-grey.
    """

    geometry = Geometry(fixed=(240, 432))

    def transform(self, work: Pass, features: Tensor, window: Window) -> Tensor:
        """See :class:`PublishedInpainter`."""
        return self.main.transform(features)[:, : len(window.local)]
