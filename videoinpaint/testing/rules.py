"""What the checkers share: what they say, on what they try parts, and how they compare."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.composition import GREY

TOLERANCE = 1e-3
"""How far a batch may differ from its items alone: summation order in convolutions, not one grey level of 1/255."""


def require(condition: bool, rule: str) -> None:
    """Raise AssertionError with the rule that is broken."""
    # `assert` would vanish under python -O, and these checks are the product here.
    if not condition:
        raise AssertionError(rule)


def check_methods(part: Any, what: str, methods: Sequence[str]) -> None:
    """Require an object, no class, that has methods."""
    require(not inspect.isclass(part), f"{what} is an object, got the class {part!r}: make one of it")
    for name in methods:
        require(callable(getattr(part, name, None)), f"{what} has a method {name}, {type(part).__name__} has none")


def close(one: Tensor, other: Tensor, what: str) -> None:
    """Require that what one item gives alone is what it gives in a batch."""
    gap = float((one - other).abs().max())
    require(gap <= TOLERANCE, f"{what} equals what each item gives alone, they differ by {gap:.2g}")


def identical(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same values; NaN is NaN."""
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    return bool(((one == other) | (one.isnan() & other.isnan())).all())


def clips(num_frames: int, height: int, width: int, device: str) -> tuple[Tensor, Tensor]:
    """Two clips of smooth moving texture ``(2, T, 3, H, W)``, grey in holes; one hole stands still, one moves."""
    generator = torch.Generator().manual_seed(0)
    scene = torch.rand(2, 3, height // 4 + 2, width // 4 + 2 + num_frames, generator=generator)
    scene = F.interpolate(scene, scale_factor=4, mode="bilinear", align_corners=False)
    frames = torch.stack([scene[..., :height, 2 * t : 2 * t + width] for t in range(num_frames)], 1)
    holes = torch.zeros(2, num_frames, 1, height, width)
    for t in range(num_frames):
        holes[0, t, :, height // 5 : 4 * height // 5, width // 5 : 4 * width // 5] = 1
        left = min(width // 8 + 2 * t, width // 2)
        holes[1, t, :, height // 4 : 3 * height // 4, left : left + width // 3] = 1
    return torch.where(holes > 0, GREY, frames).to(device), holes.to(device)


def check_tensor(values: Any, shape: torch.Size, what: str) -> None:
    """Require float32 values of a shape, without gradients."""
    require(isinstance(values, Tensor), f"{what} is a tensor, got {type(values).__name__}")
    require(values.shape == shape, f"{what} has shape {tuple(shape)}, got {tuple(values.shape)}")
    require(values.dtype == torch.float32, f"{what} is float32, got {values.dtype}")
    require(not values.requires_grad, f"{what} carries no gradient: detach it")


def check_frames(values: Any, shape: torch.Size, what: str) -> None:
    """Require float32 frames or masks of a shape, in [0, 1], without gradients."""
    check_tensor(values, shape, what)
    inside = bool(values.isfinite().all() and (values >= 0).all() and (values <= 1).all())
    require(inside, f"{what} lies in [0, 1] and holds no NaN")


def untouched(call: Callable[..., Any], arguments: tuple, what: str) -> Any:
    """The result of a call that must not write to its arguments."""
    before = [_copied(argument) for argument in arguments]
    result = call(*arguments)
    for old, new in zip(before, arguments):
        require(_equal(old, new), f"{what} does not write to its arguments: somebody else keeps them")
    return result


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: tensor.clone() for name, tensor in value.items()}
    return value.clone() if isinstance(value, Tensor) else copy.copy(value)


def _equal(old: Any, new: Any) -> bool:
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(identical(old[name], new[name]) for name in old)
    return identical(old, new) if isinstance(old, Tensor) else np.array_equal(old, new)
