"""The optional protocols of parts, and functions that supply the default where a part lacks one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.checks import MAX_SEED, shown, whole_number
from videoinpaint.controls import DEFAULT, HEADS
from videoinpaint.errors import InputError
from videoinpaint.plugins import told_as
from videoinpaint.precision import check_precision
from videoinpaint.protocols.parts import Inpainter, State


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
            the state of the wanted frames alone, and what was computed for the clip: tensors ``(B, T, ...)``, one
            entry per frame; when the caller drops frames at the front, it drops their entries too.
        """
        ...


@runtime_checkable
class Regional(Protocol):
    """An inpainter whose controls may vary over the frame (optional).

    Its `refine` also takes ``controls (B, rows, columns, 5)``, one setting for each cell of an even grid over the
    frame, with integer heads. Controls are interpolated linearly between the centres of cells. A control that it
    honours for whole frames only takes the map's mean.
    """

    regional: frozenset[str]
    """Which of its `controls` follow the map."""


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


@runtime_checkable
class WeighsCells(Protocol):
    """An inpainter that knows which cells decide what heads cost (optional).

    Heads run by window, and a window that holds a hole may reach over cells without one: their setting counts too.
    """

    def heads_by_cell(self, masks: Tensor, grid: tuple[int, int]) -> Tensor:
        """How much each cell's heads cost in a pass over ``masks``, M_{n-1}; ``(B, rows, columns)``, >= 0, in any unit.

        The cost of a map of heads is the sum of heads times these weights, up to rounding and a constant.
        """
        ...


def weights_of_cells(part: Any, masks: Tensor, grid: tuple[int, int]) -> Tensor:
    """:meth:`WeighsCells.heads_by_cell`; of a part that does not say, or whose heads follow no map, the share of a cell
    that is missing in any frame.
    """
    if isinstance(part, WeighsCells) and "heads" in regional_of(part):
        with told_as("inpainter", part, "heads_by_cell"):
            return part.heads_by_cell(masks, grid)
    return F.adaptive_avg_pool2d(masks.float().amax(1), grid)[:, 0]


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


def stream_of(part: Any, usual: tuple[int, int]) -> tuple[int, int]:
    """The windows of a long video that an inpainter asks for, else the usual ones.

    Raises:
        InputError: it asks for none that there can be.
    """
    if not isinstance(part, Streaming):
        return usual
    named: Any = part  # what is Streaming has a name, which that protocol does not say
    asked: Any = part.stream
    if not isinstance(asked, tuple | list) or len(asked) != 2:
        raise InputError(f"stream of the inpainter {named.name!r} must be two numbers of frames, got {shown(asked)}")
    what = f"of frames that the inpainter {named.name!r} asks for in stream"
    length = whole_number(asked[0], f"the number {what}", 1, MAX_SEED)
    return length, whole_number(asked[1], f"the overlap {what}", 0, length - 1)


@runtime_checkable
class MaybeUntrained(Protocol):
    """A part that can be built with ``weights="random"`` (optional); then ``random_weights`` is True.

    Its output is then meaningless, and only its cost can be measured: infos and reports name it.
    """

    random_weights: bool


def is_untrained(part: Any) -> bool:
    """Whether the part's network has random weights; a part that does not say is trained, or has no weights."""
    return isinstance(part, MaybeUntrained) and bool(part.random_weights)


@runtime_checkable
class CountsHeads(Protocol):
    """An inpainter whose network does not have the control's 12 attention heads but another number (optional)."""

    def heads_run(self, control: float) -> int:
        """How many heads run for this value of the control, 2..12."""
        ...


def heads_run_of(part: Inpainter, controls: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many heads really run under controls ``(B, 5)``: ``(B,)``; 0 where a part does not honour "heads".

    A part that does not say runs as many as it is asked for; controls of zero (none were chosen yet) run none.
    """
    if "heads" not in part.controls:
        return np.zeros(len(controls), np.int64)
    asked = controls[:, HEADS]
    counted: Any = np.rint(asked)
    if isinstance(part, CountsHeads):
        with told_as("inpainter", part, "heads_run"):
            counted = [part.heads_run(float(one)) for one in asked]
    return np.where(asked > 0, counted, 0).astype(np.int64)


@runtime_checkable
class FusesItself(Protocol):
    """An inpainter with a fusion of its own, which is held constant when a wrapper around it fuses (optional)."""

    own_fusion: float
    """The constant, in the control's units."""


def own_fusion_of(part: Any) -> float:
    """The value at which an inpainter's own fusion is held constant; the default for a part that does not say."""
    return part.own_fusion if isinstance(part, FusesItself) else DEFAULT.fusion


@runtime_checkable
class HasPrecision(Protocol):
    """A part that takes ``precision`` (optional): ``precision`` is what it uses, "float32" or "bfloat16"."""

    precision: str


def precision_of(part: Any) -> str:
    """What the part's products are made in, "float32" or "bfloat16"; a part that does not say uses float32."""
    return part.precision if isinstance(part, HasPrecision) else "float32"


def make_precise(
    make: Callable[..., Any], spec: Any, device: str | torch.device, weights: str | None, precision: str
) -> Any:
    """An inpainter or a detector whose products are made in `precision`; arguments as of their `make_...`.

    Args:
        make: :meth:`videoinpaint.registry.Registry.make`.

    Raises:
        InputError: an unknown precision, or a part that is built already with another one.
    """
    check_precision(precision)
    chosen = {} if weights is None else {"weights": weights}
    # A factory that hands all its arguments on need not know of precision: "auto" is what parts do anyway.
    offered = {"device": device} if precision == "auto" else {"device": device, "precision": precision}
    part = make(spec, chosen, **offered)
    own = getattr(part, "precision", precision)
    if part is spec and precision not in ("auto", own):
        raise InputError(f"{part.name!r} is built already, with precision {own!r}: build it with {precision!r}")
    return part


@runtime_checkable
class DrawsGlobally(Protocol):
    """A part whose `begin` or `start` sets torch's own generator, if only for a while (optional).

    No other thread may draw from it meanwhile: such a part's episodes cannot be prefetched.
    """

    draws_globally: bool


def draws_globally(part: Any) -> bool:
    """Whether a part sets torch's own generator at the beginning of an episode; a part that does not say does not."""
    return isinstance(part, DrawsGlobally) and bool(part.draws_globally)
