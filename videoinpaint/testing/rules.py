"""What the checkers share: what they say, on what they try parts, and how they compare."""

from __future__ import annotations

import copy
import inspect
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.composition import GREY
from videoinpaint.naming import is_stable
from videoinpaint.protocols import HasPrecision, MaybeUntrained, Streaming

TOLERANCE = 1e-3
"""How far a batch may differ from its items alone: summation order in convolutions, not one grey level of 1/255."""


WHOLE = (int, np.integer)


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


def check_name(part: Any, what: str) -> None:
    """Require a name."""
    name = getattr(part, "name", None)
    require(
        is_stable(name), f"{what} has a name, a string that is the same in every run (no memory address), got {name!r}"
    )


def check_attributes(part: Any, what: str) -> None:
    """The name, and the attributes that are optional (:mod:`videoinpaint.protocols`)."""
    check_name(part, what)
    if isinstance(part, MaybeUntrained):
        require(isinstance(part.random_weights, bool), f"random_weights is True or False, got {part.random_weights!r}")
    if isinstance(part, HasPrecision):
        used = part.precision
        require(used in ("float32", "bfloat16"), f"precision is 'float32' or 'bfloat16', got {used!r}")
    if isinstance(part, Streaming):
        windows = part.stream
        pair = isinstance(windows, tuple) and len(windows) == 2 and all(isinstance(v, WHOLE) for v in windows)
        require(
            pair and 0 <= windows[1] < windows[0],
            f"stream is (frames together, frames repaired again), the second less than the first, got {windows!r}",
        )


def independent(call: Callable[[], Any], rule: str) -> tuple[Any, Any]:
    """What a call gives twice, under other states of the global generators; it must leave them as they are."""
    usual = (random.getstate(), np.random.get_state(), torch.get_rng_state())  # noqa: NPY002
    given = []
    try:
        for seed in (1, 2):
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002 - the very one that nobody should draw from
            torch.manual_seed(seed)
            before = _fingerprint()
            given.append(call())
            require(_fingerprint() == before, f"{rule}: it draws from a global one, or sets its seed")
    finally:
        random.setstate(usual[0])
        np.random.set_state(usual[1])  # noqa: NPY002
        torch.set_rng_state(usual[2])
    return given[0], given[1]


def _fingerprint() -> tuple[Any, ...]:
    _, keys, *rest = np.random.get_state()  # noqa: NPY002
    return random.getstate(), np.asarray(keys).tobytes(), tuple(rest), torch.get_rng_state().numpy().tobytes()


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
