"""What all mask propagators share: the checks of their input, and trackers that learn nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from videoinpaint.checks import shown
from videoinpaint.contract import ROUNDING
from videoinpaint.errors import InputError
from videoinpaint.plugins import is_ours, told_as
from videoinpaint.protocols import MaskPropagator, Tracker


def check_target(frames: Tensor, first: Tensor) -> Tensor:
    """The target of the first frame as ``(1, H, W)`` in {0, 1}, on the device of the frames.

    Args:
        frames: ``(T, 3, H, W)`` in [0, 1].
        first: ``(1, H, W)``; above one half is target. It may touch the border.

    Raises:
        InputError: wrong shapes, NaN, values outside [0, 1]; nothing or everything is marked.
    """
    if not isinstance(frames, Tensor) or frames.ndim != 4 or frames.shape[1] != 3 or not frames.numel():
        raise InputError(f"a propagator takes the frames of one clip, (T, 3, H, W), got {_shape(frames)}")
    if not frames.is_floating_point():
        raise InputError(f"frames must be floating in [0, 1], got {frames.dtype}: divide uint8 frames by 255")
    low, high = (float(v) for v in torch.aminmax(frames.detach()))
    if not (low >= -1e-4 and high <= 1 + 1e-4):  # also false for NaN
        raise InputError(f"frames must lie in [0, 1] without NaN, got values from {low:g} to {high:g}")
    height, width = frames.shape[-2:]
    if not isinstance(first, Tensor) or tuple(first.shape) != (1, height, width):
        raise InputError(f"the first frame's mask must have shape {(1, height, width)}, got {_shape(first)}: resize it")
    low, high = (float(v) for v in torch.aminmax(first.detach().float()))
    if not (low >= 0 and high <= 1):
        raise InputError(f"the first frame's mask must hold 0 and 1 (1 = target), got values from {low:g} to {high:g}")
    target = (first.detach() > 0.5).to(frames)
    if not target.any():
        raise InputError(
            "the target is absent from the first frame: begin the clip where it is seen, and mark it there"
        )
    if target.all():
        raise InputError("the target covers the whole first frame: nothing of the background is seen; mark less")
    return target


def _shape(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__


class CheckedTracker:
    """What a propagator follows a target with, of which every prediction is looked at.

    Anybody can write a propagator: masks of NaN mark nothing, and what misses would go on as a repair of nothing.

    Args:
        propagator: makes the tracker.
        frames, first: what it starts with.

    Raises:
        InputError: see `MaskPropagator.start`; or what it gives is no tracker.
    """

    def __init__(self, propagator: MaskPropagator, frames: Tensor, first: Tensor) -> None:
        try:
            with told_as("propagator", propagator, "start", frames, first):
                tracker = propagator.start(frames, first)
        except InputError as error:
            if is_ours(propagator):
                raise
            # It may be the mistake of a plug-in: it gives our trackers masks of NaN.
            raise InputError(f"start of the propagator {propagator.name!r}: {error}") from error
        self._propagator = propagator
        self._told = f"of the propagator {propagator.name!r}"
        if not isinstance(tracker, Tracker):
            raise InputError(
                f"start {self._told} must give a tracker, with methods masks and parameters, got {shown(tracker)}"
            )
        self._tracker, self._expected = tracker, (len(frames), 1, *frames.shape[-2:])

    def masks(self) -> Tensor:
        """Those of the propagator's own; see :class:`videoinpaint.protocols.Tracker`.

        Raises:
            InputError: another shape, NaN, or values outside [0, 1].
        """
        with told_as("propagator", self._propagator, "masks"):
            masks: Any = self._tracker.masks()
        if not isinstance(masks, Tensor) or tuple(masks.shape) != self._expected or masks.is_complex():
            got = f"{str(masks.dtype)[6:]} {tuple(masks.shape)}" if isinstance(masks, Tensor) else shown(masks)
            raise InputError(f"the masks {self._told} must be a tensor of real numbers {self._expected}, got {got}")
        low, high = (float(v) for v in torch.aminmax(masks.detach().float()))
        if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # also false for NaN
            raise InputError(
                f"the masks {self._told} must lie in [0, 1] without NaN, got values from {low:g} to {high:g}"
            )
        return masks if low >= 0 and high <= 1 else masks.clamp(0, 1)

    def parameters(self) -> list[nn.Parameter]:
        """Those of the propagator's own."""
        with told_as("propagator", self._propagator, "parameters"):
            return self._tracker.parameters()


class GivenTracker:
    """Masks that were predicted elsewhere (or are known): nothing is computed and nothing can be tuned.

    Args:
        masks: ``(T, 1, H, W)`` in [0, 1].

    Raises:
        InputError: another shape, NaN or values outside [0, 1].
    """

    def __init__(self, masks: Tensor) -> None:
        if not isinstance(masks, Tensor) or masks.ndim != 4 or masks.shape[1] != 1 or not masks.numel():
            raise InputError(f"given masks must have shape (T, 1, H, W), got {_shape(masks)}")
        low, high = (float(v) for v in torch.aminmax(masks.detach().float()))
        if not (low >= 0 and high <= 1):
            raise InputError(f"given masks must lie in [0, 1] without NaN, got values from {low:g} to {high:g}")
        self._masks = masks.detach().float()

    def masks(self) -> Tensor:
        """The given masks; see :class:`videoinpaint.protocols.Tracker`."""
        return self._masks

    def parameters(self) -> list[nn.Parameter]:
        """None."""
        return []


class HeldPropagator:
    """The first frame's mask on every frame: what a propagator must beat."""

    name = "held"

    def __init__(self, device: str | torch.device = "cpu") -> None:
        """Args: device: where the masks lie."""
        self.device = torch.device(device)

    def start(self, frames: Tensor, first: Tensor) -> Tracker:
        """See :class:`videoinpaint.protocols.MaskPropagator`."""
        target = check_target(frames, first).to(self.device)
        return GivenTracker(target[None].expand(len(frames), -1, -1, -1))


def predict_masks(propagator: MaskPropagator, frames: Tensor, first: Tensor) -> list[Tracker]:
    """A tracker for every clip of a batch.

    Args:
        propagator: see :func:`videoinpaint.inpainters.propagators.make_propagator`.
        frames: ``(B, T, 3, H, W)`` in [0, 1].
        first: ``(B, 1, H, W)`` in {0, 1}, the target in each clip's first frame.

    Raises:
        InputError: sizes disagree; a target is absent or covers everything (the message names the clip).
    """
    if frames.ndim != 5 or first.ndim != 4 or len(frames) != len(first):
        raise InputError(
            f"frames must be (B, T, 3, H, W) and the first masks (B, 1, H, W), got {_shape(frames)}, {_shape(first)}"
        )
    trackers: list[Tracker] = []
    for index, (clip, mask) in enumerate(zip(frames, first)):
        try:
            trackers.append(CheckedTracker(propagator, clip, mask))
        except InputError as error:
            raise InputError(f"clip {index} of {len(frames)}: {error}") from error
    return trackers
