"""FuseFormer (Liu et al., ICCV 2021) behind the inpainter protocol."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from videoinpaint.inpainters.published.fuseformer.network import FuseFormer
from videoinpaint.inpainters.published.transformers import FrameTransformerInpainter


class FuseFormerInpainter(FrameTransformerInpainter):
    """FuseFormer in the loop. It honours ``heads`` alone: nothing is carried along the motion that could be fused."""

    name = "fuseformer"
    entries: ClassVar[dict[str, str]] = {"main": "fuseformer"}

    def build(self) -> dict[str, nn.Module]:
        """See :class:`PublishedInpainter`."""
        sizes = self.sizes
        frame = (sizes.height, sizes.width)
        return {"main": FuseFormer(sizes.dim, sizes.hidden, sizes.depth, sizes.heads, frame)}
