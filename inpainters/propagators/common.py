"""What all mask propagators share: the checks of their input, and trackers that learn nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videoinpaint.errors import InputError
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
    trackers = []
    for index, (clip, mask) in enumerate(zip(frames, first)):
        try:
            trackers.append(propagator.start(clip, mask))
        except InputError as error:
            raise InputError(f"clip {index} of {len(frames)}: {error}") from error
    return trackers
