"""What the checkers of :mod:`videoinpaint.testing` require of inpainters and detectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.contract import check_begun_within
from videoinpaint.controls import Controls
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.errors import InputError
from videoinpaint.protocols import (
    STATE_TYPES,
    Detection,
    Detector,
    Inpainter,
    Reaching,
    Refinement,
    State,
    regional_of,
)
from videoinpaint.testing.control_rules import CONTROL_GROUPS, check_controls, check_regional
from videoinpaint.testing.rules import (
    WHOLE,
    check_attributes,
    check_frames,
    check_methods,
    check_tensor,
    clips,
    close,
    identical,
    require,
    untouched,
)


@torch.no_grad()
def check_inpainter(
    part: Inpainter, *, num_frames: int = 5, height: int = 0, width: int = 0, device: str = "cpu"
) -> None:
    """Check an inpainter against :class:`videoinpaint.protocols.Inpainter`, under ``torch.no_grad`` as the loop does.

    Args:
        part: the inpainter.
        num_frames: frames of the clips it is tried on.
        height: their height; 0 for the larger of 48 and its ``min_size``.
        width: likewise, with 64.
        device: where its tensors are.

    Raises:
        AssertionError: a rule is broken; the message names it.
    """
    check_methods(part, "an inpainter", ("begin", "refine"))
    _check_declaration(part)
    height, width = height or max(48, part.min_size[0]), width or max(64, part.min_size[1])
    frames, holes = clips(num_frames, height, width, device)
    state = _check_begin(part, frames, holes)
    controls = np.repeat(Controls().to_array()[None], len(frames), 0)
    # The last argument is M_{n-1}: a part of the hole, as in a second pass.
    flagged = holes * (torch.arange(width, device=holes.device) < width // 2)
    arguments = (state, frames, flagged, controls)
    result = _check_refine(part, arguments)
    _check_memory(state, result)
    _check_batch(part, frames, holes, flagged, controls, result)
    check_controls(part, (state, frames, holes, controls))
    if regional_of(part):
        check_regional(part, frames, holes, state, controls)
    _check_composition(part, frames, holes, controls, device)
    if isinstance(part, Reaching):
        _check_reach(part, frames, holes, state)


@torch.no_grad()
def check_detector(
    part: Detector, *, num_frames: int = 5, height: int = 48, width: int = 64, device: str = "cpu"
) -> None:
    """Check a detector against :class:`videoinpaint.protocols.Detector`, under ``torch.no_grad`` as the loop does.

    Args:
        part: the detector.
        num_frames: frames of the clips it is tried on.
        height: their height.
        width: their width.
        device: where its tensors are.

    Raises:
        AssertionError: a rule is broken; the message names it.
    """
    check_methods(part, "a detector", ("detect",))
    check_attributes(part, "a detector")
    frames, holes = clips(num_frames, height, width, device)
    result = untouched(part.detect, (frames, holes), "detect")
    require(isinstance(result, Detection), f"detect returns a Detection, got {type(result).__name__}")
    check_frames(result.masks, holes.shape, "Detection.masks")
    require(not result.masks[holes == 0].any(), "nothing outside the hole is ever flagged (Detection.masks)")
    weights = result.weights
    check_tensor(weights, frames.shape, "Detection.weights")
    require(bool(weights.isfinite().all() and (weights >= 0).all()), "Detection.weights is finite and at least 0")
    again = part.detect(frames, holes)
    same = torch.equal(again.masks, result.masks) and torch.equal(again.weights, weights)
    require(same, "detect is deterministic: the same input gives the same bits")
    for i in range(len(frames)):
        alone = part.detect(frames[i : i + 1], holes[i : i + 1])
        for name in ("masks", "weights"):
            close(getattr(alone, name)[0], getattr(result, name)[i], f"Detection.{name} of a batch")


def _check_declaration(part: Inpainter) -> None:
    check_attributes(part, "an inpainter")
    controls = getattr(part, "controls", None)
    known = frozenset(CONTROL_GROUPS)
    require(
        isinstance(controls, frozenset) and controls <= known,
        f"controls is a frozenset of {sorted(known)}, got {controls!r}",
    )
    regional: Any = getattr(part, "regional", frozenset())
    require(
        isinstance(regional, frozenset) and regional <= (controls or known),
        f"regional is a frozenset of some of its controls, got {regional!r}",
    )
    least = getattr(part, "min_size", None)
    sizes = isinstance(least, tuple) and len(least) == 2 and all(isinstance(v, WHOLE) and v > 0 for v in least)
    require(sizes, f"min_size is (height, width), two positive integers, got {least!r}")


def _check_begin(part: Inpainter, frames: Tensor, holes: Tensor) -> State:
    state = untouched(part.begin, (frames, holes), "begin")
    tensors = isinstance(state, dict) and all(isinstance(t, Tensor) for t in state.values())
    require(tensors, "begin returns a dict of tensors")
    for name, tensor in state.items():
        require(isinstance(name, str), f"state entries are named by strings, got {name!r}")
        require(
            tensor.ndim > 0 and len(tensor) == len(frames),
            f"every state tensor leads with the batch dimension, {name!r} does not",
        )
        known = ", ".join(str(kind).removeprefix("torch.") for kind in STATE_TYPES)
        require(tensor.dtype in STATE_TYPES, f"states hold {known}, {name!r} is {tensor.dtype}")
        require(not tensor.requires_grad, f"states carry no gradients, {name!r} does: detach it")
    again = part.begin(frames, holes)
    same = again.keys() == state.keys() and all(identical(again[name], state[name]) for name in state)
    require(same, "begin is deterministic: the same input gives the same bits")
    return state


def _check_refine(part: Inpainter, arguments: tuple) -> Refinement:
    frames = arguments[1]
    result = untouched(part.refine, arguments, "refine")
    require(isinstance(result, Refinement), f"refine returns a Refinement, got {type(result).__name__}")
    check_frames(result.frames, frames.shape, "Refinement.frames")
    for name in ("gflops", "full_gflops"):
        value = getattr(result, name)
        if name == "full_gflops" and value is None:
            continue
        good = isinstance(value, Tensor) and value.shape == (len(frames),) and value.dtype == torch.float64
        require(
            good and value.device in (frames.device, torch.device("cpu")),
            f"Refinement.{name} is float64 ({len(frames)},), on the CPU or where the frames are, got {value!r}",
        )
        require(
            bool(value.isfinite().all() and (value >= 0).all()),
            f"Refinement.{name} is finite and at least 0, got {value}",
        )
    again = part.refine(*arguments)
    same = torch.equal(again.frames, result.frames) and torch.equal(again.gflops, result.gflops)
    require(same, "refine is deterministic: the same input gives the same bits")
    return result


def _check_memory(state: State, result: Refinement) -> None:
    renewed: Any = result.state or {}
    require(isinstance(renewed, dict), f"Refinement.state is a dict of tensors, got {type(renewed).__name__}")
    for name, tensor in renewed.items():
        require(name in state, f"Refinement.state renews entries that begin made, {name!r} is none of them")
        old = state[name]
        same = isinstance(tensor, Tensor) and (tensor.shape, tensor.dtype) == (old.shape, old.dtype)
        require(same, f"Refinement.state keeps shapes and types, {name!r} was {tuple(old.shape)} {old.dtype}")
        require(not tensor.requires_grad, f"states carry no gradients, {name!r} of Refinement.state does")
        require(not tensor.isnan().any(), f"Refinement.state holds no NaN, {name!r} does")


def _check_batch(
    part: Inpainter, frames: Tensor, holes: Tensor, flagged: Tensor, controls: NDArray, result: Refinement
) -> None:
    for i in range(len(frames)):
        pick = slice(i, i + 1)
        state = part.begin(frames[pick], holes[pick])
        alone = part.refine(state, frames[pick], flagged[pick], controls[pick])
        close(alone.frames[0], result.frames[i], "Refinement.frames of a batch")
        same = torch.allclose(alone.gflops[0], result.gflops[i], rtol=1e-6)
        require(same, f"gflops of a batch are those of its items, got {result.gflops[i]} and {alone.gflops[0]} alone")


def _check_reach(part: Any, frames: Tensor, holes: Tensor, whole: State) -> None:
    """Frames begin alike whether all of the clip is asked for or a part, and whatever was learnt before."""
    length = frames.shape[1]
    known = _begun_within(part, frames[:, :2], holes[:, :2], range(1))[1]
    state, learnt = _begun_within(part, frames, holes, range(length))
    alike = state.keys() == whole.keys() and all(state[key].shape == whole[key].shape for key in state)
    require(alike, "begin_within for all frames returns a state of the shapes of begin's")
    again, _ = _begun_within(part, frames, holes, range(length), known)
    _same_state(again, state, "begin_within is the same with and without what was learnt before")
    _check_wanted(part, frames, holes)
    rest, later = (frames[:, 1:], holes[:, 1:], range(1, 3)), {name: tensor[:, 1:] for name, tensor in learnt.items()}
    part_of, _ = _begun_within(part, *rest, later)
    fresh, _ = _begun_within(part, *rest)
    _same_state(part_of, fresh, "begin_within is the same with and without what was learnt before")


def _begun_within(
    part: Any, frames: Tensor, holes: Tensor, wanted: range, before: State | None = None
) -> tuple[State, State]:
    given = untouched(part.begin_within, (frames, holes, wanted, before), "begin_within")
    try:
        return check_begun_within(part, given, frames)
    except InputError as error:
        raise AssertionError(str(error)) from error


def _check_wanted(part: Any, frames: Tensor, holes: Tensor) -> None:
    """The state is that of the wanted frames alone."""
    state, _ = _begun_within(part, frames, holes, range(1, 3))
    alone = part.begin(frames[:, 1:3], holes[:, 1:3])
    sizes, expected = ({name: tuple(t.shape) for name, t in one.items()} for one in (state, alone))
    rule = "begin_within returns the state of the wanted frames alone, of the shapes that begin gives for them"
    require(sizes == expected, f"{rule}: {expected}, got {sizes}")


def _same_state(found: State, expected: State, rule: str) -> None:
    same = found.keys() == expected.keys() and all(identical(found[key], expected[key]) for key in found)
    require(same, rule)


def _check_composition(part: Inpainter, frames: Tensor, holes: Tensor, controls: NDArray, device: str) -> None:
    loop = ClosedLoop(part, _WholeHole(), device)
    state = loop.begin(frames, holes)
    for _ in range(2):
        state, _, _ = loop.refine(state, controls)
    known = (holes == 0).expand_as(frames)
    require(torch.equal(state["repaired"][known], frames[known]), "known pixels never change after composition")


class _WholeHole:
    name = "whole hole"

    def detect(self, repaired: Tensor, masks: Tensor) -> Detection:
        return Detection(masks, masks.expand_as(repaired))
