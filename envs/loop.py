"""The closed loop (CLIP-RL, Section 3): inpaint, compose, detect, for a batch of clips at once.

The loop is what the environment, its vector form and :func:`videoinpaint.inpaint` share. It never sees the reference:
whatever stands inside a hole is overwritten with grey before any part looks at the frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from videoinpaint.composition import EMPTY_BELOW, GREY, WIDEN, compose, widened
from videoinpaint.contract import (
    check_begun,
    check_begun_one_shot,
    check_begun_within,
    check_clip,
    check_complaints,
    check_detection,
    check_refinement,
    check_size,
    complaints,
)
from videoinpaint.controls import HEADS, HIGH, check_controls, refining, skipped
from videoinpaint.envs.states.batch import batch_size, nested, within
from videoinpaint.errors import InputError
from videoinpaint.plugins import told_as
from videoinpaint.protocols import (
    Detection,
    Detector,
    Inpainter,
    OneShotInpainter,
    Reaching,
    Refinement,
    State,
    Tracker,
    stacked_masks,
)
from videoinpaint.regions import tiled


class Clock(Protocol):
    """Measures how long the loop works; see :class:`videoinpaint.agents.evaluation.cost.Stopwatch`."""

    def __call__(self, part: str, items: int) -> AbstractContextManager[None]:
        """Time what is done inside: `part` of the loop ("begin" or "refine"), for so many clips."""
        ...


@dataclass(frozen=True)
class Round:
    """What one round of the loop gave; nothing of it has been looked at yet.

    Attributes:
        state: the next one; its costs are where the inpainter counted them.
        detection: what the detector says.
        flagged: bool ``(B,)``, whether anything is flagged still.
        sound: see :func:`videoinpaint.contract.complaints`.
    """

    state: State
    detection: Detection
    flagged: Tensor
    sound: dict[str, Tensor]


class ClosedLoop:
    """The inpaint-compose-detect round of a batch of clips.

    Args:
        inpainter: A of Eq. 1.
        detector: f_det of Eq. 2.
        device: where states live; the parts must compute there.
        measure_full: also learn what each pass would have cost with 12 heads, from the inpainter if it reports that
            (``Refinement.full_gflops``), else by running the pass again; only the compute price needs it.
        widen: by how much of the frame's width predicted masks are widened for inpainters that take them as they are.

    A state holds ``corrupted`` X, ``holes`` M0, ``repaired`` Yhat_n, ``masks`` M_n, ``gflops`` and ``full_gflops`` of
    the last pass, and ``inpainter/...``, the inpainter's own. In a one-shot state X still shows the target; the parts
    that must not see it get ``previous``, X with grey holes before the first pass, in place of ``repaired``.
    """

    def __init__(
        self,
        inpainter: Inpainter,
        detector: Detector,
        device: str | torch.device = "cpu",
        *,
        measure_full: bool = False,
        widen: float = WIDEN,
    ) -> None:
        self.inpainter, self.detector = inpainter, detector
        self.device = torch.device(device)
        self.measure_full = measure_full
        self.widen = widen
        self.clock: Clock | None = None
        """Whoever measures may set one; without it nothing waits for the device."""

    def timed(self, part: str, items: int) -> AbstractContextManager[None]:
        """Let the clock, if there is one, time what is done inside."""
        return nullcontext() if self.clock is None else self.clock(part, items)

    @torch.no_grad()
    def begin(self, frames: Tensor, holes: Tensor) -> State:
        """Start episodes.

        Args:
            frames: ``(B, T, 3, H, W)``, uint8 or float in [0, 1]; what the holes hold is not read.
            holes: M0 ``(B, T, 1, H, W)`` in {0, 1} of any type, 1 = missing.

        Raises:
            InputError: shapes disagree, or frames are smaller than the inpainter accepts.
        """
        corrupted, holes = self._corrupted(frames, holes)
        return _begun(corrupted, holes, self._inner_begin(corrupted, holes))

    @torch.no_grad()
    def begin_within(
        self, frames: Tensor, holes: Tensor, wanted: range, before: State | None = None
    ) -> tuple[State, State]:
        """Start an episode of some frames of a clip, into which content is carried from all of it.

        Args:
            frames, holes: as of :meth:`begin`, of the whole clip.
            wanted, before: as of :class:`videoinpaint.protocols.Reaching`, which the inpainter must be.

        Returns:
            the state, and what to give as `before` when the video goes on.

        Raises:
            InputError: see :meth:`begin`.
        """
        assert isinstance(self.inpainter, Reaching)
        corrupted, holes = self._corrupted(frames, holes)
        with told_as("inpainter", self.inpainter, "begin_within", corrupted, holes):
            given = self.inpainter.begin_within(corrupted, holes, wanted, before)
        begun, seen = check_begun_within(self.inpainter, given, corrupted)
        part = slice(wanted.start, wanted.stop)
        return _begun(corrupted[:, part], holes[:, part], begun), seen

    def _inner_begin(self, frames: Tensor, holes: Tensor) -> State:
        with told_as("inpainter", self.inpainter, "begin", frames, holes):
            begun = self.inpainter.begin(frames, holes)
        return check_begun(self.inpainter, begun, frames)

    def _corrupted(self, frames: Tensor, holes: Tensor) -> tuple[Tensor, Tensor]:
        """X and M0 as float32, on the device, grey in the holes."""
        check_clip(self.inpainter, frames, holes)
        holes = holes.to(self.device).gt(0).float()
        return torch.where(holes > 0, GREY, self._as_floats(frames)), holes

    def _as_floats(self, frames: Tensor) -> Tensor:
        """Frames in [0, 1], on the device."""
        given = frames.to(self.device)
        return given.float() / 255 if given.dtype == torch.uint8 else given.float()

    @torch.no_grad()
    def begin_one_shot(self, frames: Tensor, trackers: Sequence[Tracker]) -> tuple[State, Tensor]:
        """Start episodes of which only the first frame's mask is known (CIRI).

        A `OneShotInpainter` sees the target and decides itself which pixels may change; any other inpainter gets
        grey in the predicted masks, widened by ``widen``.

        Args:
            frames: X ``(B, T, 3, H, W)``, uint8 or float in [0, 1], the target included.
            trackers: one a clip.

        Returns:
            the state, and the predicted masks ``(B, T, 1, H, W)`` in [0, 1].

        Raises:
            InputError: shapes disagree, frames are too small, or a target seems to cover a whole clip.
        """
        observed = self._as_floats(frames)
        if isinstance(self.inpainter, OneShotInpainter):
            check_size(self.inpainter, *frames.shape[3:])
            with told_as("inpainter", self.inpainter, "begin_one_shot", observed):
                given = self.inpainter.begin_one_shot(observed, trackers)
            begun, holes = check_begun_one_shot(self.inpainter, given, observed)
            predicted = stacked_masks(trackers).to(observed)
            check_clip(self.inpainter, frames, holes)
            previous, holes = {}, holes.to(self.device).gt(0).float()
        else:
            predicted = stacked_masks(trackers).to(observed)
            check_clip(self.inpainter, frames, predicted)
            holes = widened(predicted, self.widen)
            known = torch.where(holes > 0, torch.full_like(observed, GREY), observed)
            previous, begun = {"previous": known}, self._inner_begin(known, holes)
        if holes.flatten(1).amin(1).any():
            raise InputError("the predicted masks cover every pixel of every frame: the target is too large to remove")
        return _begun(observed, holes, begun) | previous, predicted

    @torch.no_grad()
    def refine(self, state: State, controls: ArrayLike) -> tuple[State, Tensor, Detection]:
        """One round, Eq. 1 and 2.

        Args:
            state: from :meth:`begin` or an earlier round; it is left as it is.
            controls: ``(B, 5)`` in natural units, or a map of them ``(B, rows, columns, 5)``, which the inpainter must
                know how to follow (:class:`videoinpaint.protocols.Regional`). Where heads are 0 the repair stays as it
                is, but for the soft edge of what is refined beside it; the pass costs as with the fewest heads there.

        Returns:
            the next state, the GFLOPs of this pass as float64 ``(B,)`` on the CPU, and what the detector says.

        Raises:
            InputError: controls of another shape, not finite, or out of range.
            CorruptWeightsError: a part of this package gives values that are not finite.
            InputError: a part gives what its protocol does not admit.
        """
        done = self.advance(state, check_controls(controls, batch_size(state)))
        check_complaints(done.sound)
        costs = {"gflops": done.state["gflops"].cpu(), "full_gflops": done.state["full_gflops"].cpu()}
        return done.state | costs, costs["gflops"], done.detection

    @torch.no_grad()
    def advance(self, state: State, controls: NDArray[np.float32]) -> Round:
        """As :meth:`refine`, without a look at any number: on a GPU nothing is waited for.

        Args:
            state: from :meth:`begin` or an earlier round; it is left as it is.
            controls: ``(B, 5)`` or ``(B, rows, columns, 5)`` in natural units, checked.
        """
        asked = refining(controls)
        with self.timed("refine", batch_size(state)):
            result = self._run(state, asked)
            proposal, holes = result.frames.clamp(0, 1).contiguous(), state["holes"]
            region = _refined(controls, state["masks"])
            repaired = compose(proposal, state["repaired"], state["corrupted"], region, holes).clamp(0, 1)
            with told_as("detector", self.detector, "detect", repaired, holes):
                found = self.detector.detect(repaired, holes)
            detection = check_detection(self.detector, found, repaired)
            # A detector that flags a known pixel would let the next pass see it as missing: the hole has the last word.
            masks = torch.where(holes > 0, detection.masks.clamp(0, 1), torch.zeros_like(detection.masks))
        gflops, full = result.gflops.double(), self._full_gflops(state, asked, result).double()
        changed = {"repaired": repaired, "masks": masks, "gflops": gflops, "full_gflops": full}
        changed |= {"previous": repaired} if "previous" in state else {}
        sound = complaints(self.inpainter, self.detector, result, (gflops, full), detection, holes)
        following = state | _remembered(result.state or {}) | changed
        return Round(following, Detection(masks, detection.weights), flagged(masks), sound)

    def run(
        self, state: State, choose: Callable[[State], ArrayLike], iterations: int, *, to_the_end: bool = False
    ) -> Iterator[State]:
        """Round after round: the states of :meth:`refine`, which hold what each cost.

        Whatever is chosen, the first round refines everything; after it, rounds end where all is to be skipped.

        Args:
            state: from :meth:`begin`.
            choose: a state -> controls ``(B, 5)`` in natural units.
            iterations: rounds at most.
            to_the_end: go on where nothing is flagged any more in any clip.

        Raises:
            InputError: see :meth:`refine`.
        """
        for iteration in range(iterations):
            controls = check_controls(choose(state), batch_size(state))
            if iteration and skipped(controls).all():
                return
            state, _, _ = self.refine(state, controls if iteration else refining(controls))
            yield state
            if not to_the_end and self.is_repaired(state).all():
                return

    def is_repaired(self, state: State) -> Tensor:
        """Bool ``(B,)`` on the CPU: no pixel of M_n is flagged any more."""
        return ~flagged(state["masks"]).cpu()

    def _run(self, state: State, controls: np.ndarray) -> Refinement:
        previous = state.get("previous", state["repaired"])
        own = within("inpainter", state)
        with told_as("inpainter", self.inpainter, "refine", previous, state["masks"], *own.values()):
            result = self.inpainter.refine(own, previous, state["masks"], controls)
        return check_refinement(self.inpainter, result, own, state["corrupted"])

    def _full_gflops(self, state: State, controls: np.ndarray, result: Refinement) -> Tensor:
        if result.full_gflops is not None:
            return result.full_gflops
        if "heads" not in self.inpainter.controls or not self.measure_full:
            return result.gflops
        all_heads = controls.copy()
        all_heads[..., HEADS] = HIGH[HEADS]
        return self._run(state, all_heads).gflops


def _begun(corrupted: Tensor, holes: Tensor, begun: State) -> State:
    """A loop's state before the first round."""
    none = torch.zeros(len(corrupted), dtype=torch.float64)
    own = {"corrupted": corrupted, "holes": holes, "repaired": corrupted, "masks": holes}
    return own | {"gflops": none, "full_gflops": none} | _remembered(begun)


def _remembered(inner: State) -> State:
    """An inpainter's own entries as a loop's state holds them."""
    # Sums over pixels depend on the memory layout in the last bit, and saving a state would change the layout.
    return nested("inpainter", {name: tensor.contiguous() for name, tensor in inner.items()})


def _refined(controls: NDArray[np.float32], masks: Tensor) -> Tensor:
    """M_n without the cells that are skipped."""
    if not (left := skipped(controls)).any():
        return masks
    kept = torch.from_numpy(~left).to(masks)
    cells = kept[:, None, None] if kept.ndim == 1 else kept
    return masks * tiled(cells, *masks.shape[-2:])


def flagged(masks: Tensor) -> Tensor:
    """Bool ``(B,)``: whether any pixel of M_n ``(B, T, 1, H, W)`` is flagged."""
    return masks.flatten(1).amax(1).ge(EMPTY_BELOW)
