"""A published network in the closed loop: pass 1 is its published inference, later passes redo what is flagged.

What the six networks share is here, in `work` and in `painting`; what distinguishes them is a handful of hooks,
:class:`videoinpaint.inpainters.published.painting.Hooks`, and what is prepared for an episode.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.boxes import Box
from videoinpaint.controls import DEFAULT, FUSION, HEADS
from videoinpaint.inpainters.published import plan
from videoinpaint.inpainters.published.calibration import calibration_clip
from videoinpaint.inpainters.published.cost import Meter
from videoinpaint.inpainters.published.feature_cache import Features
from videoinpaint.inpainters.published.geometry import FLAGGED, Geometry
from videoinpaint.inpainters.published.layers.heads import (
    MAX_HEADS,
    HeadOrder,
    active_heads,
    count_heads,
    heads_of,
    measure_order,
)
from videoinpaint.inpainters.published.layers.regions import decode_box
from videoinpaint.inpainters.published.layers.windows import mean_by_window
from videoinpaint.inpainters.published.loading import load_networks, load_trained, randomise
from videoinpaint.inpainters.published.painting import encode, paint
from videoinpaint.inpainters.published.sizes import Sizes, stored_sizes
from videoinpaint.inpainters.published.work import FEATURE, TOKEN, Pass, alike, flagged_frames, frames_of, jobs_of
from videoinpaint.protocols import Refinement, State
from videoinpaint.regions import is_map, spread
from videoinpaint.weights import terms_of

RANDOM = "random"


class PublishedInpainter(ABC):
    """Base of the adapters. Frames are resized or padded as the network's own script does, masks are dilated.

    Features of frames are kept from pass to pass: only boxes around what has changed are encoded again. A pass
    computes the temporal windows that touch the flagged region, and decodes flagged frames in a box around their holes.
    A pass whose mask is the episode's hole (the first one) computes the published windows and blends them as
    published. A later pass computes as few of these windows as predict every flagged frame once, each no longer than
    its flagged frames and two on either side, with its reference frames. The published scripts cut predictions to uint8
    before they blend; here they stay float.

    ``heads`` runs ``round(heads * num_heads / 12)`` heads of every attention module, at least one, the most important
    first: importance is measured once, on a studio clip, as the energy of each head's projected output. An adapter that
    is ``regional`` takes maps of controls, too: every window of attention then runs the mean of its tokens' heads.

    Args:
        device: where it computes.
        weights: a weight file (a folder with the official file names where there are several), official or trained
            here (`videoinpaint.inpainters.published.pretraining`), which brings its own sizes; ``"random"`` for
            untrained networks (seed 0); None for the official files from the cache.
        sizes: of a network that is yet to be trained, with PyTorch's own initialisation; `weights` is then left out.
        windows: ``"cover"``, as described; ``"published"`` computes every published window that touches the flagged
            region in later passes, too.

    Attributes:
        random_weights: whether the weights are random: then only cost means anything.
        terms: of the licences under which the weights come, and whatever is trained from them; "" asks for nothing.

    Raises:
        MissingWeightsError, CorruptWeightsError.
    """

    name: str
    controls: frozenset[str] = frozenset({"heads"})
    regional: frozenset[str] = frozenset()
    min_size: tuple[int, int] = (16, 16)
    geometry: Geometry
    published: ClassVar[Sizes] = Sizes()
    """The sizes of the official network."""
    entries: ClassVar[dict[str, str]]
    """Part of the network -> name in the weights registry; "main" is the one a single file is for."""
    own_fusion: ClassVar[float] = 0.5
    """The fusion of the published network, for where the control means something else."""
    random_gain: ClassVar[float] = 1.0
    feature_channels: ClassVar[int] = 128
    calibration_size: tuple[int, int] = (240, 432)
    stream: ClassVar[tuple[int, int]] = (40, 10)
    """Frames of a long video that are repaired together, and how many of them the next chunk repairs again: chunks
    begin 30 frames apart, so that windows and references stand where they stand in the whole video."""

    def __init__(
        self,
        device: str | torch.device = "cpu",
        weights: str | Path | None = None,
        *,
        windows: Literal["cover", "published"] = "cover",
        sizes: Sizes | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.windows = windows
        self.random_weights = weights == RANDOM or sizes is not None
        trained = None if self.random_weights else stored_sizes(self.entries["main"], weights)
        self.terms: tuple[str, ...] = ()
        self.sizes = sizes or trained or self.published
        if self.sizes != self.published and self.geometry.fixed:
            self.geometry = replace(self.geometry, fixed=(self.sizes.height, self.sizes.width))
        if self.sizes != self.published:
            self.calibration_size = (self.sizes.height, self.sizes.width)
        self.networks = nn.ModuleDict(self.build()) if trained is None else self._trained(weights)
        if weights == RANDOM and sizes is None:
            randomise(self.networks, seed=0, gain=self.random_gain)
        elif not self.random_weights and trained is None:
            self.terms = load_networks(self.networks, self.entries, weights)
        self.networks.eval().requires_grad_(False).to(self.device)
        self.num_heads = heads_of(self.networks)
        self._meter = Meter()
        self._order: HeadOrder | None = None

    def _trained(self, weights: str | Path | None) -> nn.ModuleDict:
        assert weights is not None
        self.terms = (terms_of(self.entries["main"], weights),)
        return load_trained(self.build, self.entries["main"], weights)

    def heads_run(self, control: float) -> int:
        """See :class:`videoinpaint.protocols.CountsHeads`."""
        return count_heads(control, self.num_heads)

    @abstractmethod
    def build(self) -> dict[str, nn.Module]:
        """The networks by part, untrained, of ``self.sizes``."""

    @property
    def main(self) -> Any:
        """The network that paints; what it has beside a module depends on the part."""
        return self.networks["main"]

    def inputs(self, work: Pass, frames: Sequence[int]) -> Tensor:
        """See :class:`Hooks`; here the frames, 0 in their holes."""
        return work.frames[:, frames] * (1 - work.holes[:, frames])

    def encode(self, inputs: Tensor) -> Tensor:
        """See :class:`Hooks`."""
        return self.main.encode(inputs)

    @abstractmethod
    def transform(self, work: Pass, features: Tensor, window: plan.Window) -> Tensor:
        """See :class:`Hooks`."""

    def decode(self, features: Tensor, box: Box) -> Tensor:
        """See :class:`Hooks`."""
        return decode_box(self.main.decoder, features, box)

    def prepare(self, frames: Tensor, holes: Tensor) -> State:
        """What does not change within an episode, from frames in [-1, 1] and dilated holes at the network's size."""
        return {}

    def prepare_local(self, frames: Tensor, holes: Tensor, count: int) -> State:
        """As `prepare` in training, where the first ``count`` frames are neighbours and the others references."""
        return self.prepare(frames[:, :count], holes[:, :count])

    def propose(self, frames: Tensor, holes: Tensor, count: int) -> tuple[Tensor, State]:
        """What the network makes of one window, with gradients: the path that training takes.

        Args:
            frames: ``(B, T, 3, h, w)`` in [-1, 1], 0 in the holes: local frames, then reference frames.
            holes: ``(B, T, 1, h, w)`` in {0, 1}.
            count: how many of them are local.

        Returns:
            the local frames ``(B, count, 3, h, w)`` in [-1, 1], painted everywhere, and what `prepare_local` made.
        """
        state = self.prepare_local(frames, holes, count)
        window = plan.Window(tuple(range(count)), tuple(range(count, frames.shape[1])), tuple(range(count)))
        work = self._whole(state, frames, holes)
        features = self.encode(self.inputs(work, window.frames).flatten(0, 1)).unflatten(0, frames.shape[:2])
        local = self.transform(work, features, window)
        return self.main.decoder(local.flatten(0, 1)).unflatten(0, local.shape[:2]), state

    def pattern(self, work: Pass, window: plan.Window) -> list[Hashable]:
        """See :class:`Hooks`; here nothing does."""
        return [None] * len(work.frames)

    @torch.no_grad()
    def begin(self, frames: Tensor, masks: Tensor) -> State:
        """See :class:`videoinpaint.protocols.Inpainter`."""
        frames, holes = self._view(frames, masks)
        state = {"initial": masks >= FLAGGED} | self.prepare(frames, holes)
        work = self._whole(state, frames, holes)
        # The first pass sees just this: encode what it will need, of each clip, and remember it.
        features = Features.nothing(self.inputs(work, range(frames.shape[1])), self.feature_channels)
        windows = plan.published_windows(frames.shape[1])
        for needed, items in alike([frames_of(plan.touched(windows, flags)) for flags in flagged_frames(holes)]):
            own = features.take(items)
            encode(self, self._meter, work.take(items), own, needed)
            features.seen[items], features.made[items] = own.seen, own.made
        return state | {"seen": features.seen, "features": features.made}

    @torch.no_grad()
    def refine(self, state: State, repaired: Tensor, masks: Tensor, controls: NDArray[np.float32]) -> Refinement:
        """See :class:`videoinpaint.protocols.Inpainter`."""
        length, *size = repaired.shape[1], *repaired.shape[-2:]
        frames, holes = self._view(repaired, masks)
        painted, gflops = frames.clone(), torch.zeros(len(frames), dtype=torch.float64)
        kept = {name: tensor for name, tensor in state.items() if name not in ("seen", "features")}
        fusion, heads = self._laid(controls, frames, (size[0], size[1]))
        everything = Pass(kept, frames, holes, fusion, True, heads)
        features = Features(state["seen"].clone(), state["features"].clone())
        first = ((masks >= FLAGGED) == state["initial"]).flatten(1).all(1).tolist()
        asked = [self.heads_run(float(row[HEADS])) if controls.ndim == 2 else None for row in controls]
        for job in jobs_of(holes, [is_first or self.windows == "published" for is_first in first], asked):
            items = list(job.items)
            work, own = replace(everything.take(items), whole=job.whole), features.take(items)
            running = (self.num_heads, 1) if job.heads is None else (job.heads, job.heads)
            with active_heads(self.networks, running[0], self.ranking(running[1])):
                painted[items], gflops[items] = paint(self, self._meter, work, own, job)
            features.seen[items], features.made[items] = own.seen, own.made
        whole, reached = (self.geometry.from_network(x, size[0], size[1])[:, :length] for x in (painted, holes))
        # Where nothing is painted the frames come back as they are, not as resizing leaves them.
        result = torch.where(reached > 0, ((whole + 1) / 2).clamp(0, 1), repaired)
        return Refinement(result, gflops, state={"seen": features.seen, "features": features.made})

    def _whole(self, state: State, frames: Tensor, holes: Tensor) -> Pass:
        """The pass of the published network over whole episodes."""
        return Pass(state, frames, holes, frames.new_full((len(frames),), self.own_fusion), True)

    def _view(self, frames: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Frames in [-1, 1] and dilated holes at the network's size; a single frame is doubled, so that it has flow."""
        frames, holes = self.geometry.to_network(frames) * 2 - 1, self.geometry.mask_to_network(masks)
        if frames.shape[1] == 1:
            return frames.repeat(1, 2, 1, 1, 1), holes.repeat(1, 2, 1, 1, 1)
        return frames, holes

    def _laid(
        self, controls: NDArray[np.float32], frames: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor | None]:
        """`Pass.fusion` and `heads` for controls ``(B, 5)``, or a map of them over frames of a size."""
        values = torch.from_numpy(controls.copy()).to(frames)
        if not is_map(values):
            return values[:, FUSION], None
        extent = self.geometry.shown(*size)

        def laid(control: int, step: int) -> Tensor:
            cells = spread(values[..., control : control + 1], *extent, step)
            below, right = (-(-whole // step) - seen for whole, seen in zip(frames.shape[-2:], cells.shape[-2:]))
            return F.pad(cells, (0, right, 0, below), mode="replicate")

        return laid(FUSION, FEATURE), laid(HEADS, TOKEN)[:, 0]

    def counts(self, work: Pass, window: tuple[int, int]) -> Tensor | None:
        """How many heads each window of attention runs, int64 ``(n, N)``, where the control varies over the frame.

        Args:
            work: the pass.
            window: height and width of a window in tokens.
        """
        if work.heads is None:
            return None
        shares = mean_by_window(work.heads, window) * (self.num_heads / MAX_HEADS)
        return shares.round().clamp(1, self.num_heads).long()

    def ranking(self, heads: int) -> HeadOrder | None:
        """The measured order of heads; not needed, and not measured, where all run or their index is their order."""
        if heads >= self.num_heads or self.sizes.nested:
            return None
        if self._order is None:
            frames, holes = (t.to(self.device) for t in calibration_clip(*self.calibration_size))
            everything = replace(DEFAULT, fusion=self.own_fusion).to_array()[None]
            # Every attention runs again for each head then, which must not be remembered as what a pass costs.
            meter, self._meter = self._meter, Meter()
            try:
                state = self.begin(frames, holes)
                self._order = measure_order(self.networks, lambda: self.refine(state, frames, holes, everything))
            finally:
                self._meter = meter
        return self._order
