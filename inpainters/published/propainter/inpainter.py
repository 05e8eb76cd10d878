"""ProPainter (Zhou et al., ICCV 2023) with RAFT and recurrent flow completion behind the inpainter protocol."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from videoinpaint.inpainters.published.adapter import PublishedInpainter
from videoinpaint.inpainters.published.geometry import Geometry
from videoinpaint.inpainters.published.plan import Window
from videoinpaint.inpainters.published.propainter.attention import WINDOW, touched_by
from videoinpaint.inpainters.published.propainter.completion import FlowCompletion, compose_flows
from videoinpaint.inpainters.published.propainter.network import STRIDE, ProPainter
from videoinpaint.inpainters.published.propainter.raft import ITERATIONS, RAFT, clip_flows
from videoinpaint.inpainters.published.propainter.recurrent_propagation import propagate_images
from videoinpaint.inpainters.published.work import Pass
from videoinpaint.motion.flow import neighbour_flows
from videoinpaint.protocols import State

Pair = tuple[Tensor, Tensor]

PIECE = 80  # flows completed, or frames propagated, together
FLOW_MARGIN, IMAGE_MARGIN = 5, 10  # more of them on either side, whose results are not used


class ProPainterInpainter(PublishedInpainter):
    """ProPainter in the loop, at the frames' size rounded down to multiples of 8.

    Once per episode: RAFT flows in both directions, their completion, and the propagation of known pixels. A later pass
    puts the propagated pixels into what is flagged then, and lets only windows that touch it attend. It honours
    ``heads``, and ``fusion`` between the transformer's output and the propagated features, both by window and place
    too.
    """

    name = "propainter"
    controls = frozenset({"heads", "fusion"})
    regional = controls
    geometry = Geometry(resize=8)
    entries: ClassVar[dict[str, str]] = {
        "main": "propainter",
        "completion": "propainter-flow-completion",
        "raft": "propainter-raft",
    }
    calibration_size = (120, 216)
    flow_iterations: ClassVar[int] = ITERATIONS

    def build(self) -> dict[str, nn.Module]:
        """See :class:`PublishedInpainter`."""
        parts: dict[str, nn.Module] = {"main": ProPainter(self.sizes), "completion": FlowCompletion()}
        return parts if self.sizes.dis else parts | {"raft": RAFT()}

    @property
    def network(self) -> ProPainter:
        """The generator."""
        return cast(ProPainter, self.networks["main"])

    def prepare(self, frames: Tensor, holes: Tensor) -> State:
        """Completed flows, propagated frames, and what they leave unfilled."""
        known = self.flows(frames)
        masked = frames * (1 - holes)

        def complete(start: int, stop: int) -> Pair:
            return self._complete((known[0][:, start:stop], known[1][:, start:stop]), holes[:, start : stop + 1])

        def carry(start: int, stop: int) -> Pair:
            flows = forward[:, start : stop - 1], backward[:, start : stop - 1]
            return propagate_images(masked[:, start:stop], *flows, holes[:, start:stop])

        forward, backward = in_pieces(complete, known[0].shape[1], FLOW_MARGIN)
        carried, unfilled = in_pieces(carry, frames.shape[1], IMAGE_MARGIN)
        return {"flows_forward": forward, "flows_backward": backward, "carried": carried, "unfilled": unfilled}

    @torch.no_grad()
    def flows(self, frames: Tensor) -> Pair:
        """Flows of frames in [-1, 1] in both directions, in pixels, ``(B, T-1, 2, h, w)``."""
        if self.sizes.dis:
            return neighbour_flows((frames + 1) / 2)
        return clip_flows(cast(RAFT, self.networks["raft"]), frames, self.flow_iterations)

    def prepare_local(self, frames: Tensor, holes: Tensor, count: int) -> State:
        """See :class:`PublishedInpainter`: nothing is carried into reference frames."""
        state, rest = self.prepare(frames[:, :count], holes[:, :count]), holes[:, count:]
        carried = torch.cat([state["carried"], frames[:, count:] * (1 - rest)], 1)
        return state | {"carried": carried, "unfilled": torch.cat([state["unfilled"], rest], 1)}

    def _complete(self, known: Pair, holes: Tensor) -> Pair:
        predicted = cast(FlowCompletion, self.networks["completion"]).complete(*known, holes)
        return compose_flows(predicted, known, holes)

    def inputs(self, work: Pass, frames: Sequence[int]) -> Tensor:
        """Frames with propagated pixels in the holes, the holes, and what is left unfilled of them: five channels."""
        holes = work.holes[:, frames]
        updated = work.frames[:, frames] * (1 - holes) + work.state["carried"][:, frames] * holes
        return torch.cat([updated, holes, work.state["unfilled"][:, frames] * holes], 2)

    def encode(self, inputs: Tensor) -> Tensor:
        """See :class:`PublishedInpainter`."""
        return self.network.encoder(inputs)

    def transform(self, work: Pass, features: Tensor, window: Window) -> Tensor:
        """Propagate the local features along the flows, then let all frames attend."""
        number, frames = len(window.local), slice(window.local[0], window.local[-1] + 1)
        pairs = slice(window.local[0], window.local[-1])
        flows = work.state["flows_forward"][:, pairs], work.state["flows_backward"][:, pairs]
        holes = work.holes[:, frames]
        unfilled = work.state["unfilled"][:, frames] * holes
        local = self.network.propagate(features[:, :number], *flows, holes, unfilled)
        together = torch.cat([local, features[:, number:]], 1)
        counts = self.counts(work, WINDOW)
        return self.network.transform(together, holes, work.fusion, idle=work.whole, counts=counts)[:, :number]

    def pattern(self, work: Pass, window: Window) -> list[Hashable]:
        """Which windows of tokens touch the hole, and how many heads they run."""
        frames = slice(window.local[0], window.local[-1] + 1)
        touched = touched_by(work.holes[:, frames, :, ::STRIDE, ::STRIDE]).long()
        counts = self.counts(work, WINDOW)
        told = touched if counts is None else torch.stack([touched, counts], 1)
        return [row.numpy().tobytes() for row in told.cpu()]


def in_pieces(run: Callable[[int, int], Pair], length: int, margin: int, piece: int = PIECE) -> Pair:
    """A pair of results ``(B, length, ...)`` along time, in pieces that see ``margin`` more on either side.

    Args:
        run: the pair for ``start .. stop``.
        length: how long the whole is; up to ``piece`` it is computed at once.
        margin: what a piece sees beyond its ends; results there are dropped.
        piece: how much is kept of each.
    """
    kept: list[Pair] = []
    for start in range(0, length, piece):
        first, last = max(0, start - margin), min(length, start + piece + margin)
        inner = slice(start - first, min(length, start + piece) - first)
        one, other = run(first, last)
        kept.append((one[:, inner], other[:, inner]))
    return torch.cat([one for one, _ in kept], 1), torch.cat([other for _, other in kept], 1)
