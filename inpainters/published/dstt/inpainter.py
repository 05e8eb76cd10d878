"""DSTT (Liu et al., 2021) behind the inpainter protocol."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from videoinpaint.inpainters.published.dstt.network import DSTT
from videoinpaint.inpainters.published.sizes import Sizes
from videoinpaint.inpainters.published.transformers import FrameTransformerInpainter


class DSTTInpainter(FrameTransformerInpainter):
    """DSTT in the loop. It honours ``heads`` alone: nothing is carried along the motion that could be fused."""

    name = "dstt"
    published: ClassVar[Sizes] = Sizes(hidden=2048)
    entries: ClassVar[dict[str, str]] = {"main": "dstt"}

    def build(self) -> dict[str, nn.Module]:
        """See :class:`PublishedInpainter`."""
        return {"main": DSTT(self.sizes.dim, self.sizes.hidden, self.sizes.depth, self.sizes.heads)}
