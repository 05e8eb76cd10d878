"""What an inpainter, a detector and a propagator of masks are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

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


def stacked_masks(trackers: Sequence[Tracker]) -> Tensor:
    """The masks of a batch's trackers, ``(B, T, 1, H, W)`` in [0, 1]."""
    return torch.stack([tracker.masks() for tracker in trackers])
