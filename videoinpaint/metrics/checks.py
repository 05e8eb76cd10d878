"""What every public metric demands of its inputs: two floating tensors (B, T, 3, H, W) in [0, 1], of one shape."""

from __future__ import annotations

import torch
from torch import Tensor

from videoinpaint.errors import InputError

SLACK = 1e-4
"""How far outside [0, 1] a value may lie: rounding of filters and colour conversions, not another value range."""


def check_frames(frames: Tensor, name: str = "frames") -> None:
    """Raise InputError unless ``frames`` is floating ``(B, T, 3, H, W)`` in [0, 1], not empty, without NaN."""
    if not isinstance(frames, Tensor) or frames.ndim != 5 or frames.shape[2] != 3 or frames.numel() == 0:
        got = tuple(frames.shape) if isinstance(frames, Tensor) else type(frames).__name__
        raise InputError(f"{name} must be a tensor (B, T, 3, H, W), got {got}")
    if not frames.is_floating_point():
        raise InputError(f"{name} must be floating in [0, 1], got {frames.dtype}: divide uint8 frames by 255")
    low, high = (float(v) for v in torch.aminmax(frames.detach()))
    if not (low >= -SLACK and high <= 1 + SLACK):  # also false for NaN
        raise InputError(f"{name} must lie in [0, 1] without NaN, got values from {low:g} to {high:g}")


def check_pair(a: Tensor, b: Tensor) -> None:
    """Raise InputError unless both are frames of one shape, on one device."""
    check_frames(a, "a")
    check_frames(b, "b")
    if a.shape != b.shape or a.device != b.device:
        raise InputError(
            f"the two clips must agree in shape and device, got {tuple(a.shape)} on {a.device} "
            f"and {tuple(b.shape)} on {b.device}"
        )


def check_holes(frames: Tensor, holes: Tensor) -> None:
    """Raise InputError unless ``holes`` is ``(B, T, 1, H, W)`` in [0, 1] for these frames."""
    expected = (*frames.shape[:2], 1, *frames.shape[3:])
    if not isinstance(holes, Tensor) or tuple(holes.shape) != expected:
        got = tuple(holes.shape) if isinstance(holes, Tensor) else type(holes).__name__
        raise InputError(f"holes must be a tensor {expected} for these frames, got {got}")
    low, high = (float(v) for v in torch.aminmax(holes.detach().float()))
    if not (low >= 0 and high <= 1):
        raise InputError(f"holes must hold 0 and 1 (1 = missing), got values from {low:g} to {high:g}")
