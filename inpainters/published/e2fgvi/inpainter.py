"""E2FGVI and E2FGVI-HQ (Li et al., CVPR 2022) behind the inpainter protocol."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from videoinpaint.inpainters.published.adapter import PublishedInpainter
from videoinpaint.inpainters.published.e2fgvi.attention import WINDOW
from videoinpaint.inpainters.published.e2fgvi.network import E2FGVI
from videoinpaint.inpainters.published.geometry import Geometry
from videoinpaint.inpainters.published.plan import Window
from videoinpaint.inpainters.published.work import Pass
from videoinpaint.protocols import State

PAIRS_AT_ONCE = 16  # frames whose flow is estimated together


class E2FGVIInpainter(PublishedInpainter):
    """E2FGVI in the loop, always at 432x240. Flow is estimated once per episode, on the frames with their holes.

    It honours ``heads``, and ``fusion`` between the transformer's output and the propagated features, both by window
    and place too.
    """

    name = "e2fgvi"
    controls = frozenset({"heads", "fusion"})
    regional = controls
    geometry = Geometry(fixed=(240, 432))
    entries: ClassVar[dict[str, str]] = {"main": "e2fgvi"}

    def build(self) -> dict[str, nn.Module]:
        """See :class:`PublishedInpainter`."""
        return {"main": E2FGVI(sizes=self.sizes)}

    @property
    def network(self) -> E2FGVI:
        """The generator."""
        return cast(E2FGVI, self.networks["main"])

    def prepare(self, frames: Tensor, holes: Tensor) -> State:
        """Flows between neighbouring frames at a quarter of the size, in chunks that share a frame."""
        masked = frames * (1 - holes)
        last = frames.shape[1] - 1
        parts = [
            self.network.flows(masked[:, start : min(start + PAIRS_AT_ONCE, last) + 1])
            for start in range(0, last, PAIRS_AT_ONCE)
        ]
        forward, backward = (torch.cat(flows, 1) for flows in zip(*parts))
        return {"flows_forward": forward, "flows_backward": backward}

    def transform(self, work: Pass, features: Tensor, window: Window) -> Tensor:
        """Propagate the local features along the flows, then let all frames attend."""
        number, pairs = len(window.local), slice(window.local[0], window.local[-1])
        flows = work.state["flows_forward"][:, pairs], work.state["flows_backward"][:, pairs]
        local = self.network.propagate(features[:, :number], flows)
        together = torch.cat([local, features[:, number:]], 1)
        return self.network.transform(together, number, work.fusion, counts=self.counts(work, WINDOW))

    def pattern(self, work: Pass, window: Window) -> list[Hashable]:
        """How many heads the windows run."""
        counts = self.counts(work, WINDOW)
        return super().pattern(work, window) if counts is None else [row.numpy().tobytes() for row in counts.cpu()]


class E2FGVIHQInpainter(E2FGVIInpainter):
    """E2FGVI-HQ in the loop, at the frames' own size, mirrored at the bottom and right to multiples of 60x108."""

    name = "e2fgvi_hq"
    geometry = Geometry(mirror=(60, 108))
    entries: ClassVar[dict[str, str]] = {"main": "e2fgvi_hq"}
    calibration_size = (120, 216)

    def build(self) -> dict[str, nn.Module]:
        """See :class:`PublishedInpainter`."""
        return {"main": E2FGVI(hq=True, sizes=self.sizes)}
