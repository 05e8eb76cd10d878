"""What the loop and its parts hand to each other is what the protocols say; anything else is one clear error.

Parts can be anybody's. A wrong shape would otherwise fail somewhere else, or be broadcast to a wrong result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from videoinpaint.checks import shown
from videoinpaint.errors import InputError
from videoinpaint.protocols import Detection, Detector, Inpainter, Refinement, State


def check_size(inpainter: Inpainter, height: int, width: int) -> None:
    """Frames that are large enough for the inpainter, in pixels.

    Raises:
        InputError: they are smaller than it accepts.
    """
    least = inpainter.min_size
    if height < least[0] or width < least[1]:
        raise InputError(
            f"frames of {height}x{width} (height x width) are too small: inpainter {inpainter.name!r} needs at least "
            f"{least[0]}x{least[1]}"
        )


def check_clip(inpainter: Inpainter, frames: Tensor, holes: Tensor) -> None:
    """A clip that an inpainter can begin with.

    Raises:
        InputError: frames are not ``(B, T, 3, H, W)``, holes not ``(B, T, 1, H, W)``, or frames are too small.
    """
    if frames.ndim != 5 or frames.shape[2] != 3:
        raise InputError(f"frames must have shape (B, T, 3, H, W), got {tuple(frames.shape)}")
    expected = (*frames.shape[:2], 1, *frames.shape[3:])
    if tuple(holes.shape) != expected:
        raise InputError(f"holes must have shape {expected} for these frames, got {tuple(holes.shape)}")
    check_size(inpainter, *frames.shape[3:])


def check_begun(inpainter: Inpainter, begun: Any) -> State:
    """What ``begin`` gave.

    Raises:
        InputError: no dict of tensors by name.
    """
    if not isinstance(begun, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in begun.items()
    ):
        raise InputError(f"begin of {_called('inpainter', inpainter)} must give a dict of tensors, got {shown(begun)}")
    return dict(begun)


def check_refinement(inpainter: Inpainter, result: Any, state: State, shape: Sequence[int]) -> Refinement:
    """What ``refine`` gave.

    Args:
        inpainter: whose.
        result: what came back.
        state: the inpainter's own, from its ``begin``.
        shape: of the frames, ``(B, T, 3, H, W)``.

    Raises:
        InputError: something else than its protocol says.
    """
    told = f"refine of {_called('inpainter', inpainter)}"
    if not isinstance(result, Refinement):
        raise InputError(f"{told} must give a Refinement, got {shown(result)}")
    _check(result.frames, f"the frames that {told} gives", shape, torch.float32)
    for name in ("gflops", "full_gflops"):
        if name == "gflops" or result.full_gflops is not None:
            _check(getattr(result, name), f"the {name} that {told} gives", shape[:1], None)
    if unknown := set(result.state or {}) - set(state):
        raise InputError(
            f"{told} gives new values for {', '.join(sorted(map(str, unknown)))}, which its begin did not make: make "
            "every entry there"
        )
    return result


def check_detection(detector: Detector, found: Any, shape: Sequence[int]) -> Detection:
    """What ``detect`` gave.

    Args:
        detector: whose.
        found: what came back.
        shape: of the frames, ``(B, T, 3, H, W)``.

    Raises:
        InputError: something else than its protocol says.
    """
    told = f"detect of {_called('detector', detector)}"
    if not isinstance(found, Detection):
        raise InputError(f"{told} must give a Detection, got {shown(found)}")
    batch, length, _, height, width = shape
    _check(found.masks, f"the masks that {told} gives", (batch, length, 1, height, width), torch.float32)
    _check(found.weights, f"the weights that {told} gives", shape, torch.float32)
    return found


def _check(value: Any, what: str, shape: Sequence[int], kind: torch.dtype | None) -> None:
    wanted = str(kind or "numbers").removeprefix("torch.")
    if not isinstance(value, Tensor) or tuple(value.shape) != tuple(shape) or (kind and value.dtype != kind):
        got = f"{str(value.dtype)[6:]} {tuple(value.shape)}" if isinstance(value, Tensor) else shown(value)
        raise InputError(f"{what} must be a tensor of {wanted} {tuple(shape)}, got {got}")


def _called(role: str, part: Any) -> str:
    return f"the {role} {part.name!r}"
