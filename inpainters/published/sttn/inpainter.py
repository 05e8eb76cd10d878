"""STTN (Zeng, Fu and Chao, ECCV 2020) behind the inpainter protocol."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from videoinpaint.inpainters.published.sttn.network import STTN
from videoinpaint.inpainters.published.transformers import FrameTransformerInpainter


class STTNInpainter(FrameTransformerInpainter):
    """STTN in the loop. It honours ``heads`` alone: nothing is carried along the motion that could be fused."""

    name = "sttn"
    entries: ClassVar[dict[str, str]] = {"main": "sttn"}
    feature_channels = 256
    random_gain = 0.85  # without normalisation, 1 lets the residual stream grow until tanh saturates

    def build(self) -> dict[str, nn.Module]:
        """See :class:`PublishedInpainter`."""
        return {"main": STTN(depth=self.sizes.depth)}
