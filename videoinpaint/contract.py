"""What the loop and its parts hand to each other is what the protocols say; anything else is one clear error.

Parts can be anybody's. A wrong shape would otherwise fail somewhere else, or be broadcast to a wrong result. Shapes and
types are known without a look at any value; what is wrong with values, :func:`complaints` says where they are.

Pictures are float32, whatever a part computes in: bfloat16 or float64 would be rounded, or repaired with other bits,
without a word, and are refused. Masks of trackers, those that ``begin_one_shot`` gives and costs may be of any real
type, and are converted, the masks to float32 and the costs to float64: a mask says where to look, and is thresholded.

All tensors lie on the device of the clip, but for costs: mixed devices would fail somewhere else, on a GPU alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from videoinpaint.checks import shown
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.plugins import is_ours
from videoinpaint.protocols import STATE_TYPES, Detection, Detector, Inpainter, Refinement, State

ROUNDING = 1e-3
"""How far beyond its range a mask or a weight may lie: what an interpolation or a sum rounds."""

_DAMAGED = "its weights are damaged: get or train them again"
"""What numbers that are not finite mean in parts of this package, which divide by nothing that may be 0."""


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


def check_begun(inpainter: Inpainter, begun: Any, frames: Tensor, method: str = "begin") -> State:
    """The state that ``begin``, or another method that begins, gave.

    Args:
        inpainter: whose.
        begun: what came back.
        frames: ``(B, ...)``, of the clips that were begun.
        method: which gave it.

    Raises:
        InputError: no dict of tensors by name, a type that no state may hold, or a tensor that does not lead with B or
            lies on another device than the clips.
    """
    told = f"{method} of {_called('inpainter', inpainter)}"
    state = _check_tensors(begun, told)
    for name, tensor in state.items():
        if tensor.layout != torch.strided:
            raise InputError(f"{told} gives {name!r} as a sparse tensor: make it a dense one")
        if tensor.dtype not in STATE_TYPES:
            kinds = ", ".join(_kind(kind) for kind in STATE_TYPES)
            raise InputError(f"{told} gives {name!r} as {_kind(tensor.dtype)}: a state may hold {kinds}")
        _check_leading(tensor, (len(frames),), f"{told} gives {name!r}")
        _check_place(tensor, f"{told} gives {name!r}", frames)
    return state


def check_begun_within(inpainter: Inpainter, given: Any, frames: Tensor) -> tuple[State, State]:
    """What ``begin_within`` gave.

    Args:
        inpainter: whose.
        given: what came back.
        frames: ``(B, T, ...)``, the whole clips.

    Raises:
        InputError: something else than its protocol says.
    """
    told = f"begin_within of {_called('inpainter', inpainter)}"
    state, learnt = _check_pair(given, f"{told} must give a state and what was learnt")
    learnt = _check_tensors(learnt, f"{told} as what was learnt")
    for name, tensor in learnt.items():
        _check_leading(tensor, tuple(frames.shape[:2]), f"{told} learns {name!r}")
        _check_place(tensor, f"{told} learns {name!r}", frames)
    return check_begun(inpainter, state, frames, "begin_within"), learnt


def check_begun_one_shot(inpainter: Any, given: Any, frames: Tensor) -> tuple[State, Tensor]:
    """What ``begin_one_shot`` gave for ``frames (B, T, 3, H, W)``.

    Raises:
        InputError: something else than its protocol says.
    """
    told = f"begin_one_shot of {_called('inpainter', inpainter)}"
    state, holes = _check_pair(given, f"{told} must give a state and masks")
    batch, length, _, height, width = frames.shape
    _check(holes, f"the masks that {told} gives", (batch, length, 1, height, width), None, frames)
    low, high = (float(end) for end in torch.aminmax(holes.float()))
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # also false for NaN
        raise InputError(f"the masks that {told} gives must lie in [0, 1], got values from {low:g} to {high:g}")
    return check_begun(inpainter, state, frames, "begin_one_shot"), holes


def check_refinement(inpainter: Inpainter, result: Any, state: State, frames: Tensor) -> Refinement:
    """What ``refine`` gave.

    Args:
        inpainter: whose.
        result: what came back.
        state: the inpainter's own, from its ``begin``.
        frames: ``(B, T, 3, H, W)``, of the clips.

    Raises:
        InputError: something else than its protocol says.
    """
    told = f"refine of {_called('inpainter', inpainter)}"
    if not isinstance(result, Refinement):
        raise InputError(f"{told} must give a Refinement, got {_kind_of(result)}")
    _check(result.frames, f"the frames that {told} gives", frames.shape, torch.float32, frames)
    for name in ("gflops", "full_gflops"):
        if name == "gflops" or result.full_gflops is not None:
            _check(getattr(result, name), f"the {name} that {told} gives", frames.shape[:1], None)
    renewed = {} if result.state is None else _check_tensors(result.state, f"{told} as its state")
    if unknown := set(renewed) - set(state):
        raise InputError(
            f"{told} gives new values for {', '.join(sorted(map(str, unknown)))}, which its begin did not make: make "
            "every entry there"
        )
    for name, tensor in renewed.items():
        _check(tensor, f"the new {name!r} that {told} gives", state[name].shape, state[name].dtype, frames)
    return Refinement(result.frames, result.gflops, result.full_gflops, renewed) if renewed else result


def check_detection(detector: Detector, found: Any, frames: Tensor) -> Detection:
    """What ``detect`` gave.

    Args:
        detector: whose.
        found: what came back.
        frames: ``(B, T, 3, H, W)``, of the clips.

    Raises:
        InputError: something else than its protocol says.
    """
    told = f"detect of {_called('detector', detector)}"
    if not isinstance(found, Detection):
        raise InputError(f"{told} must give a Detection, got {_kind_of(found)}")
    batch, length, _, height, width = frames.shape
    _check(found.masks, f"the masks that {told} gives", (batch, length, 1, height, width), torch.float32, frames)
    _check(found.weights, f"the weights that {told} gives", frames.shape, torch.float32, frames)
    return found


def complaints(
    inpainter: Inpainter,
    detector: Detector,
    result: Refinement,
    costs: Sequence[Tensor],
    detection: Detection,
    holes: Tensor,
) -> dict[str, Tensor]:
    """What may be wrong with the values of a round, each with a bool on their device, which is False where it is.

    Args:
        inpainter, detector: whose they are.
        result: of ``refine``.
        costs: of the pass, and of one with all heads.
        detection: of ``detect``.
        holes: M0, in which alone anything may be flagged.
    """
    painting, looking = f"refine of {_called('inpainter', inpainter)}", f"detect of {_called('detector', detector)}"
    lost, unseen = _no_numbers(inpainter), _no_numbers(detector)
    # Both ends are NaN where any value is: one look at all frames, which costs less than isfinite.
    low, high = torch.aminmax(result.frames)
    found = {
        f"{painting}: frames are not finite: {lost}": torch.isfinite(low) & torch.isfinite(high),
        f"{painting}: frames must lie in [0, 1], and do not: scale or clamp them": _within_one(low, high),
    }
    for name, cost in zip(("gflops", "full_gflops"), costs):
        found[f"{painting}: {name} are not finite: {lost}"] = torch.isfinite(cost).all()
        found[f"{painting}: {name} must be at least 0, and are not"] = cost.amin() >= 0
    for name, tensor in (result.state or {}).items():
        found[f"{painting}: the new {name!r} of its state holds NaN: {lost}"] = ~torch.isnan(tensor).any()
    low, high = torch.aminmax(detection.masks)
    beyond = torch.where(holes > 0, 0.0, detection.masks).amax()
    return found | {
        f"{looking}: masks are not finite: {unseen}": torch.isfinite(low) & torch.isfinite(high),
        f"{looking}: masks must lie in [0, 1], and do not": _within_one(low, high),
        f"{looking}: masks must be 0 outside the hole, and are not: multiply them by it": beyond <= ROUNDING,
        f"{looking}: weights are not finite: {unseen}": torch.isfinite(detection.weights.sum()),
        f"{looking}: weights must be at least 0, and are not": detection.weights.amin() >= -ROUNDING,
    }


def check_complaints(found: Mapping[str, Any]) -> None:
    """Raise the first of :func:`complaints` that holds.

    Numbers that weights hold can be finite and still lead to none: a hole of NaN would be written as black.

    Args:
        found: by complaint, whether all is well.

    Raises:
        CorruptWeightsError: a part of this package gave values that are not finite.
        InputError: somebody else's part did, or values are out of their range.
    """
    if wrong := next((complaint for complaint, fine in found.items() if not fine), None):
        raise (CorruptWeightsError if wrong.endswith(_DAMAGED) else InputError)(wrong)


def _no_numbers(part: Any) -> str:
    """Why a part may give values that are not finite."""
    return _DAMAGED if is_ours(part) else "look for a division by 0; if it has weights, they may be damaged, too"


def _within_one(low: Tensor, high: Tensor) -> Tensor:
    return (low >= -ROUNDING) & (high <= 1 + ROUNDING)


def _kind_of(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _check(value: Any, what: str, shape: Sequence[int], kind: torch.dtype | None, beside: Tensor | None = None) -> None:
    wanted = _kind(kind) if kind else "real numbers"
    fits = isinstance(value, Tensor) and tuple(value.shape) == tuple(shape)
    if not fits or (value.dtype != kind if kind else value.dtype.is_complex):
        got = f"{_kind(value.dtype)} {tuple(value.shape)}" if isinstance(value, Tensor) else shown(value)
        remedy = f": convert it to {wanted}" if isinstance(value, Tensor) and value.shape == torch.Size(shape) else ""
        raise InputError(f"{what} must be a tensor of {wanted} {tuple(shape)}, got {got}{remedy}")
    if beside is not None:
        _check_place(value, f"{what} must lie where the clip does, not", beside)


def _check_place(tensor: Tensor, told: str, beside: Tensor) -> None:
    if tensor.device != beside.device:
        raise InputError(f"{told} on {tensor.device}: the clip lies on {beside.device}, move it there")


def _check_tensors(given: Any, told: str) -> State:
    if not isinstance(given, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in given.items()
    ):
        raise InputError(f"{told} must give a dict of tensors, got {shown(given)}")
    # What is conjugated only when it is read has other bits in memory, which are what is kept and saved.
    return {name: tensor.resolve_conj() for name, tensor in given.items()}


def _check_leading(tensor: Tensor, sizes: tuple[int, ...], told: str) -> None:
    if tuple(tensor.shape[: len(sizes)]) != sizes:
        led = ", ".join(map(str, sizes))
        raise InputError(f"{told} of shape {tuple(tensor.shape)}: it must lead with ({led}), the batch's size first")


def _check_pair(given: Any, told: str) -> tuple[Any, Any]:
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise InputError(f"{told}, a pair, got {shown(given)}")
    return given[0], given[1]


def _kind(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")


def _called(role: str, part: Any) -> str:
    return f"the {role} {part.name!r}"
