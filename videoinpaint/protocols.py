"""What an inpainter and a detector are. Both are batched: every tensor leads with the batch dimension B.

Shapes: ``frames (B, T, 3, H, W)`` RGB in [0, 1], ``masks (B, T, 1, H, W)``, 1 = missing.

Every part has a `name`, a string that is the same in every run. Seven further members are optional, and are what
`Regional`, `WeighsCells`, `Streaming`, `MaybeUntrained`, `CountsHeads`, `HasPrecision` and `DrawsGlobally` say: read
them by :func:`regional_of`, :func:`weights_of_cells`, :func:`stream_of`, :func:`is_untrained`, :func:`heads_run_of`,
:func:`precision_of` and :func:`draws_globally`, which know what their absence means. An inpainter may also be
`Reaching`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn, stack
from torch.nn import functional as F

from videoinpaint.checks import MAX_SEED, shown, whole_number
from videoinpaint.controls import HEADS
from videoinpaint.errors import InputError

State = dict[str, Tensor]
"""What `begin` computes once per episode. Every tensor's first dimension is B, so that the environment can pick,
replace, save and restore single episodes of a batch by indexing. Tensors in a state are never written in place. Their
types are those of `STATE_TYPES`; any value is admitted in them."""

STATE_TYPES = (
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
    torch.float32, torch.float64, torch.complex64,
)  # fmt: skip
"""The types that tensors of a state may have: those that torch can index, and a file can hold."""


@dataclass(frozen=True)
class Refinement:
    """The result of one inpainting pass.

    Attributes:
        frames: float32 ``(B, T, 3, H, W)`` in [0, 1], the network's proposal everywhere (the loop composes it); any
            other type is refused: a part that computes in bfloat16 gives ``frames.float()``.
        gflops: float64 ``(B,)``, on the CPU or where the frames are, of this pass: multiply-accumulates counted as two,
            in units of 1e9.
        full_gflops: what this pass would have cost with all heads, ``(B,)`` likewise; None where heads change nothing.
        state: what the inpainter remembers for the next pass: new values for entries that `begin` made, of the same
            shapes and types (episodes of one batch may be at different passes), without NaN; None: nothing new.
    """

    frames: Tensor
    gflops: Tensor
    full_gflops: Tensor | None = None
    state: State | None = None


@dataclass(frozen=True)
class Detection:
    """Where the detector finds a repair poor.

    Attributes:
        masks: float32 ``(B, T, 1, H, W)`` in [0, 1], zero outside the hole.
        weights: float32 ``(B, T, 3, H, W)``, >= 0: per-channel supervision weights of the temporal term.
    """

    masks: Tensor
    weights: Tensor


@runtime_checkable
class Inpainter(Protocol):
    """Fills holes; `controls` names which of "heads", "fusion", "objective" (alpha, beta, gamma) change its output.

    ``min_size`` is the smallest ``(H, W)`` it accepts. Calls are deterministic and run under ``torch.no_grad``.
    """

    name: str
    controls: frozenset[str]
    min_size: tuple[int, int]

    def begin(self, frames: Tensor, masks: Tensor) -> State:
        """Work that does not change within an episode (flow, propagation). ``frames``: corrupted, grey in holes."""
        ...

    def refine(self, state: State, repaired: Tensor, masks: Tensor, controls: NDArray[np.float32]) -> Refinement:
        """One pass (Eq. 1): ``repaired`` is Yhat_{n-1}, ``masks`` is M_{n-1}, ``controls (B, 5)`` natural units."""
        ...


@runtime_checkable
class Detector(Protocol):
    """Looks at a repair and flags where it is poor (Eq. 2), guided by the initial mask."""

    name: str

    def detect(self, repaired: Tensor, masks: Tensor) -> Detection:
        """``repaired`` is Yhat_n, ``masks`` is M0. Nothing outside M0 is ever flagged."""
        ...


@runtime_checkable
class Tracker(Protocol):
    """A mask propagator that has looked at one clip and at its target in the first frame."""

    def masks(self) -> Tensor:
        """How likely each pixel shows the target, ``(T, 1, H, W)`` in [0, 1]; the first frame's is the given mask.

        Of any real type; the loop takes them as float32.
        Deterministic. Where gradients are enabled, the masks carry those of `parameters`.
        """
        ...

    def parameters(self) -> list[nn.Parameter]:
        """What may be fine-tuned on the clip (CIRI, Section 3.3); empty where there is nothing to tune."""
        ...


@runtime_checkable
class MaskPropagator(Protocol):
    """Carries the mask of the first frame through a clip; one clip at a time, as some learn the clip first."""

    name: str

    def start(self, frames: Tensor, first: Tensor) -> Tracker:
        """Look at ``frames (T, 3, H, W)`` in [0, 1] and the target ``first (1, H, W)`` in {0, 1} of the first frame.

        Raises:
            InputError: the target is absent from the first frame, or covers all of it; sizes disagree.
        """
        ...


@runtime_checkable
class OneShotInpainter(Protocol):
    """An inpainter that decides itself what to repaint: it sees the target, and predicted masks that may be wrong."""

    def begin_one_shot(self, frames: Tensor, trackers: Sequence[Tracker]) -> tuple[State, Tensor]:
        """`Inpainter.begin` for clips of which only the first frame's mask is known.

        Args:
            frames: ``(B, T, 3, H, W)`` in [0, 1] as the camera saw them, the target included.
            trackers: one for each clip; they may be fine-tuned.

        Returns:
            the state, and M0 ``(B, T, 1, H, W)`` in {0, 1}, of any real type: the pixels that a refinement may change.
        """
        ...


@runtime_checkable
class Reaching(Protocol):
    """An inpainter that carries content in from more frames of a long video than it repaints together (optional)."""

    def begin_within(
        self, frames: Tensor, masks: Tensor, wanted: range, before: State | None = None
    ) -> tuple[State, State]:
        """`Inpainter.begin` for some frames of a video, with more of it to look at; the state has the same shapes.

        Args:
            frames, masks: of the whole clip.
            wanted: the frames that are to be repaired.
            before: the second result of an earlier call, for the first frames of this clip.

        Returns:
            the state of the wanted frames alone, and what was learnt of the clip: tensors ``(B, T, ...)``, frame by
            frame, of which the caller may drop frames at the front with their tensors' entries.
        """
        ...


@runtime_checkable
class Regional(Protocol):
    """An inpainter whose controls may vary over the frame (optional).

    Its `refine` also takes ``controls (B, rows, columns, 5)``, one setting for each cell of an even grid over the
    frame, heads whole. It goes smoothly from cell to cell (linearly between their centres). A control that it honours
    for whole frames only takes the map's mean.
    """

    regional: frozenset[str]
    """Which of its `controls` follow the map."""


@runtime_checkable
class WeighsCells(Protocol):
    """An inpainter that knows which cells decide what heads cost (optional).

    Heads run by window, and a window that holds a hole may reach over cells without one: their setting counts too.
    """

    def heads_by_cell(self, masks: Tensor, grid: tuple[int, int]) -> Tensor:
        """How much each cell's heads cost in a pass over ``masks``, M_{n-1}; ``(B, rows, columns)``, >= 0, in any unit.

        Of a map of heads, the sum of heads times these is what they cost, but for rounding and a constant.
        """
        ...


@runtime_checkable
class Compilable(Protocol):
    """An inpainter or detector that can be compiled (optional)."""

    def compile(self) -> None:
        """Compile what it computes at every step, from the next call on; results may differ in rounding."""
        ...


@runtime_checkable
class Streaming(Protocol):
    """An inpainter that asks for other windows of a long video than the usual ones (optional).

    ``stream`` is (frames that are repaired together, how many of them the next window repairs again).
    """

    stream: tuple[int, int]


@runtime_checkable
class MaybeUntrained(Protocol):
    """A part that can be built with ``weights="random"`` (optional); then ``random_weights`` is True.

    What it computes means nothing then, only what it costs: infos and reports name it.
    """

    random_weights: bool


@runtime_checkable
class CountsHeads(Protocol):
    """An inpainter whose network has another number of attention heads than the control's 12 (optional)."""

    def heads_run(self, control: float) -> int:
        """How many heads run where the control asks for so many, 2..12."""
        ...


@runtime_checkable
class HasPrecision(Protocol):
    """A part that takes ``precision`` (optional): ``precision`` is what it uses, "float32" or "bfloat16"."""

    precision: str


@runtime_checkable
class DrawsGlobally(Protocol):
    """A part whose `begin` or `start` sets torch's own generator, if only for a while (optional).

    No other thread may draw from it meanwhile: such a part's episodes cannot be prefetched.
    """

    draws_globally: bool


def stacked_masks(trackers: Sequence[Tracker]) -> Tensor:
    """The masks of a batch's trackers, ``(B, T, 1, H, W)`` in [0, 1]."""
    return stack([tracker.masks() for tracker in trackers])


def draws_globally(part: Any) -> bool:
    """Whether a part sets torch's own generator at the beginning of an episode; a part that does not say does not."""
    return isinstance(part, DrawsGlobally) and bool(part.draws_globally)


def regional_of(part: Any) -> frozenset[str]:
    """Which controls a part honours region by region; a part that does not say takes one setting for a frame."""
    return frozenset(part.regional) if isinstance(part, Regional) else frozenset()


def check_regional(inpainter: Inpainter, grid: tuple[int, int] | None, remedy: str) -> None:
    """Raise InputError, which ends with the remedy, where none of an inpainter's controls can follow a grid's cells."""
    if grid not in (None, (1, 1)) and not regional_of(inpainter):
        raise InputError(
            f"action_grid={grid} is not possible with the inpainter {inpainter.name!r}, whose controls are those of "
            f"whole frames: {remedy}"
        )


def weights_of_cells(part: Any, masks: Tensor, grid: tuple[int, int]) -> Tensor:
    """:meth:`WeighsCells.heads_by_cell`; of a part that does not say, or whose heads follow no map, the share of a cell
    that is missing in any frame.
    """
    if isinstance(part, WeighsCells) and "heads" in regional_of(part):
        return part.heads_by_cell(masks, grid)
    return F.adaptive_avg_pool2d(masks.float().amax(1), grid)[:, 0]


def stream_of(part: Any, usual: tuple[int, int]) -> tuple[int, int]:
    """The windows of a long video that an inpainter asks for, else the usual ones.

    Raises:
        InputError: it asks for none that there can be.
    """
    if not isinstance(part, Streaming):
        return usual
    asked: Any = part.stream
    if not isinstance(asked, tuple | list) or len(asked) != 2:
        raise InputError(f"stream of the inpainter {part.name!r} must be two numbers of frames, got {shown(asked)}")  # type: ignore[attr-defined]
    what = f"of frames that the inpainter {part.name!r} asks for in stream"  # type: ignore[attr-defined]
    length = whole_number(asked[0], f"the number {what}", 1, MAX_SEED)
    return length, whole_number(asked[1], f"the overlap {what}", 0, length - 1)


def heads_run_of(part: Inpainter, controls: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many heads really run under controls ``(B, 5)``: ``(B,)``; 0 where a part does not honour "heads".

    A part that does not say runs as many as it is asked for; controls of zero (none were chosen yet) run none.
    """
    if "heads" not in part.controls:
        return np.zeros(len(controls), np.int64)
    asked = controls[:, HEADS]
    counted = [part.heads_run(float(one)) for one in asked] if isinstance(part, CountsHeads) else np.rint(asked)
    return np.where(asked > 0, counted, 0).astype(np.int64)


def is_untrained(part: Any) -> bool:
    """Whether the part's network has random weights; a part that does not say is trained, or has no weights."""
    return isinstance(part, MaybeUntrained) and bool(part.random_weights)


def precision_of(part: Any) -> str:
    """What the part's products are made in, "float32" or "bfloat16"; a part that does not say uses float32."""
    return part.precision if isinstance(part, HasPrecision) else "float32"


def check_same_precision(part: Any, precision: str) -> None:
    """A part that is built already cannot change its precision any more.

    Raises:
        InputError: it uses another one than ``precision``, which is not "auto" either.
    """
    if precision != "auto" and isinstance(part, HasPrecision) and part.precision != precision:
        raise InputError(
            f"{part.name!r} is built already, with precision {part.precision!r}: build it with {precision!r}"  # type: ignore[attr-defined]
        )
