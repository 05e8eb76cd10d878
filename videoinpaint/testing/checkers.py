"""What the checkers of :mod:`videoinpaint.testing` require of inpainters, detectors and policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.controls import HEADS, HIGH, LOW, Controls, clip_action, clip_controls, mean_controls
from videoinpaint.envs.loop import GREY, ClosedLoop
from videoinpaint.naming import is_stable
from videoinpaint.protocols import (
    Detection,
    Detector,
    HasPrecision,
    Inpainter,
    MaybeUntrained,
    Reaching,
    Refinement,
    State,
    Streaming,
    regional_of,
)

__all__ = ["check_detector", "check_inpainter", "check_policy"]

CONTROL_GROUPS = {"heads": (0,), "fusion": (1,), "objective": (2, 3, 4)}
TOLERANCE = 1e-3
"""How far a batch may differ from its items alone: summation order in convolutions, not one grey level of 1/255."""

ROUNDING = 1e-5
"""What a mean that is taken in another order may change."""


def check_inpainter(
    part: Inpainter, *, num_frames: int = 5, height: int = 0, width: int = 0, device: str = "cpu"
) -> None:
    """Check an inpainter against :class:`videoinpaint.protocols.Inpainter`.

    Args:
        part: the inpainter.
        num_frames: frames of the clips it is tried on.
        height: their height; 0 for the larger of 48 and its ``min_size``.
        width: likewise, with 64.
        device: where its tensors are.

    Raises:
        AssertionError: a rule is broken; the message names it.
    """
    _check_declaration(part)
    height, width = height or max(48, part.min_size[0]), width or max(64, part.min_size[1])
    frames, holes = _clips(num_frames, height, width, device)
    state = _check_begin(part, frames, holes)
    controls = np.repeat(Controls().to_array()[None], len(frames), 0)
    # The last argument is M_{n-1}: a part of the hole, as in a second pass.
    flagged = holes * (torch.arange(width, device=holes.device) < width // 2)
    arguments = (state, frames, flagged, controls)
    result = _check_refine(part, arguments)
    _check_memory(state, result)
    _check_batch(part, frames, holes, flagged, controls, result)
    _check_controls(part, (state, frames, holes, controls))
    if regional_of(part):
        _check_regional(part, frames, holes, state, controls)
    _check_composition(part, frames, holes, controls, device)
    if isinstance(part, Reaching):
        _check_reach(part, frames, holes, state)


def check_detector(
    part: Detector, *, num_frames: int = 5, height: int = 48, width: int = 64, device: str = "cpu"
) -> None:
    """Check a detector against :class:`videoinpaint.protocols.Detector`.

    Args:
        part: the detector.
        num_frames: frames of the clips it is tried on.
        height: their height.
        width: their width.
        device: where its tensors are.

    Raises:
        AssertionError: a rule is broken; the message names it.
    """
    _check_attributes(part, "a detector")
    frames, holes = _clips(num_frames, height, width, device)
    result = _untouched(part.detect, (frames, holes), "detect")
    _require(isinstance(result, Detection), f"detect returns a Detection, got {type(result).__name__}")
    _check_frames(result.masks, holes.shape, "Detection.masks")
    _require(not result.masks[holes == 0].any(), "nothing outside the hole is ever flagged (Detection.masks)")
    weights = result.weights
    _require(
        weights.shape == frames.shape, f"Detection.weights has shape {tuple(frames.shape)}, got {tuple(weights.shape)}"
    )
    _require(bool(weights.isfinite().all() and (weights >= 0).all()), "Detection.weights is finite and at least 0")
    again = part.detect(frames, holes)
    same = torch.equal(again.masks, result.masks) and torch.equal(again.weights, weights)
    _require(same, "detect is deterministic: the same input gives the same bits")
    for i in range(len(frames)):
        alone = part.detect(frames[i : i + 1], holes[i : i + 1])
        for name in ("masks", "weights"):
            _close(getattr(alone, name)[0], getattr(result, name)[i], f"Detection.{name} of a batch")


def check_policy(
    policy: Any, *, num_frames: int = 4, height: int = 48, width: int = 64, deterministic: bool = True
) -> None:
    """Check a policy: an object with one method, ``act(observation) -> actions``, on batches.

    Args:
        policy: the policy.
        num_frames: frames in the observations it is tried on.
        height: their height.
        width: their width.
        deterministic: also ask for the same actions for the same observations, alone or in a batch. False for policies
            that draw, or that remember.

    Raises:
        AssertionError: a rule is broken; the message names it.
    """
    _require(callable(getattr(policy, "act", None)), "a policy has a method act(observation)")
    rng = np.random.default_rng(0)
    shapes = {"frames": (3, 3 * num_frames, height, width), "masks": (3, num_frames, height, width)}
    observation = {key: rng.integers(0, 256, shape, np.uint8) for key, shape in shapes.items()}
    observation["masks"][:, :, : height // 2] = 0
    copy = {key: value.copy() for key, value in observation.items()}
    actions = policy.act(observation)
    _check_actions(actions, 3)
    _require(all(np.array_equal(copy[key], observation[key]) for key in copy), "act does not write to its observation")
    one = {key: value[:1] for key, value in observation.items()}
    _check_actions(policy.act(one), 1)
    if deterministic:
        _require(
            np.array_equal(policy.act(observation), actions), "act is deterministic: same observation, same actions"
        )
        gap = float(np.abs(policy.act(one)[0] - actions[0]).max())
        _require(
            gap <= TOLERANCE, f"an observation alone gives the same action as in a batch, they differ by {gap:.2g}"
        )


def _require(condition: bool, rule: str) -> None:
    # `assert` would vanish under python -O, and these checks are the product here.
    if not condition:
        raise AssertionError(rule)


def _close(one: Tensor, other: Tensor, what: str) -> None:
    gap = float((one - other).abs().max())
    _require(gap <= TOLERANCE, f"{what} equals what each item gives alone, they differ by {gap:.2g}")


def _clips(num_frames: int, height: int, width: int, device: str) -> tuple[Tensor, Tensor]:
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


def _check_attributes(part: Any, what: str) -> None:
    """The name, and the attributes that are optional (:mod:`videoinpaint.protocols`)."""
    name = getattr(part, "name", None)
    _require(
        is_stable(name), f"{what} has a name, a string that is the same in every run (no memory address), got {name!r}"
    )
    if isinstance(part, MaybeUntrained):
        _require(isinstance(part.random_weights, bool), f"random_weights is True or False, got {part.random_weights!r}")
    if isinstance(part, HasPrecision):
        used = part.precision
        _require(used in ("float32", "bfloat16"), f"precision is 'float32' or 'bfloat16', got {used!r}")
    if isinstance(part, Streaming):
        windows = part.stream
        pair = isinstance(windows, tuple) and len(windows) == 2 and all(isinstance(v, int) for v in windows)
        _require(
            pair and 0 <= windows[1] < windows[0],
            f"stream is (frames together, frames repaired again), the second less than the first, got {windows!r}",
        )


def _check_declaration(part: Inpainter) -> None:
    _check_attributes(part, "an inpainter")
    controls = getattr(part, "controls", None)
    known = frozenset(CONTROL_GROUPS)
    _require(
        isinstance(controls, frozenset) and controls <= known,
        f"controls is a frozenset of {sorted(known)}, got {controls!r}",
    )
    regional: Any = getattr(part, "regional", frozenset())
    _require(
        isinstance(regional, frozenset) and regional <= (controls or known),
        f"regional is a frozenset of some of its controls, got {regional!r}",
    )
    least = getattr(part, "min_size", None)
    sizes = isinstance(least, tuple) and len(least) == 2 and all(isinstance(v, int) and v > 0 for v in least)
    _require(sizes, f"min_size is (height, width), two positive integers, got {least!r}")


def _check_begin(part: Inpainter, frames: Tensor, holes: Tensor) -> State:
    state = _untouched(part.begin, (frames, holes), "begin")
    tensors = isinstance(state, dict) and all(isinstance(t, Tensor) for t in state.values())
    _require(tensors, "begin returns a dict of tensors")
    for name, tensor in state.items():
        _require(isinstance(name, str), f"state entries are named by strings, got {name!r}")
        _require(
            tensor.ndim > 0 and len(tensor) == len(frames),
            f"every state tensor leads with the batch dimension, {name!r} does not",
        )
        _require(
            not tensor.requires_grad, f"states carry no gradients: begin runs under torch.no_grad, {name!r} does not"
        )
    again = part.begin(frames, holes)
    same = again.keys() == state.keys() and all(torch.equal(again[name], state[name]) for name in state)
    _require(same, "begin is deterministic: the same input gives the same bits")
    return state


def _check_refine(part: Inpainter, arguments: tuple) -> Refinement:
    frames = arguments[1]
    result = _untouched(part.refine, arguments, "refine")
    _require(isinstance(result, Refinement), f"refine returns a Refinement, got {type(result).__name__}")
    _check_frames(result.frames, frames.shape, "Refinement.frames")
    for name in ("gflops", "full_gflops"):
        value = getattr(result, name)
        if name == "full_gflops" and value is None:
            continue
        good = isinstance(value, Tensor) and value.shape == (len(frames),) and value.dtype == torch.float64
        _require(
            good and value.device.type == "cpu",
            f"Refinement.{name} is float64 ({len(frames)},) on the CPU, got {value!r}",
        )
        _require(
            bool(value.isfinite().all() and (value >= 0).all()),
            f"Refinement.{name} is finite and at least 0, got {value}",
        )
    again = part.refine(*arguments)
    same = torch.equal(again.frames, result.frames) and torch.equal(again.gflops, result.gflops)
    _require(same, "refine is deterministic: the same input gives the same bits")
    return result


def _check_memory(state: State, result: Refinement) -> None:
    for name, tensor in (result.state or {}).items():
        _require(name in state, f"Refinement.state renews entries that begin made, {name!r} is none of them")
        old = state[name]
        same = isinstance(tensor, Tensor) and (tensor.shape, tensor.dtype) == (old.shape, old.dtype)
        _require(same, f"Refinement.state keeps shapes and types, {name!r} was {tuple(old.shape)} {old.dtype}")
        _require(not tensor.requires_grad, f"states carry no gradients, {name!r} of Refinement.state does")


def _check_frames(values: Any, shape: torch.Size, what: str) -> None:
    _require(isinstance(values, Tensor), f"{what} is a tensor, got {type(values).__name__}")
    _require(values.shape == shape, f"{what} has shape {tuple(shape)}, got {tuple(values.shape)}")
    _require(values.dtype == torch.float32, f"{what} is float32, got {values.dtype}")
    _require(not values.requires_grad, f"{what} carries no gradient: run under torch.no_grad")
    inside = bool(values.isfinite().all() and (values >= 0).all() and (values <= 1).all())
    _require(inside, f"{what} lies in [0, 1] and holds no NaN")


def _check_batch(
    part: Inpainter, frames: Tensor, holes: Tensor, flagged: Tensor, controls: NDArray, result: Refinement
) -> None:
    for i in range(len(frames)):
        pick = slice(i, i + 1)
        state = part.begin(frames[pick], holes[pick])
        alone = part.refine(state, frames[pick], flagged[pick], controls[pick])
        _close(alone.frames[0], result.frames[i], "Refinement.frames of a batch")
        same = torch.allclose(alone.gflops[0], result.gflops[i], rtol=1e-6)
        _require(same, f"gflops of a batch are those of its items, got {result.gflops[i]} and {alone.gflops[0]} alone")


def _check_reach(part: Any, frames: Tensor, holes: Tensor, whole: State) -> None:
    """Frames begin alike whether all of the clip is asked for or a part, and whatever was learnt before."""
    length = frames.shape[1]
    known = part.begin_within(frames[:, :2], holes[:, :2], range(1))[1]
    state, learnt = part.begin_within(frames, holes, range(length))
    alike = state.keys() == whole.keys() and all(state[key].shape == whole[key].shape for key in state)
    _require(alike, "begin_within for all frames returns a state of the shapes of begin's")
    again, _ = part.begin_within(frames, holes, range(length), known)
    _same_state(again, state, "begin_within is the same with and without what was learnt before")
    for name, tensor in learnt.items():
        _require(tensor.shape[:2] == frames.shape[:2], f"begin_within learns frame by frame, {name!r} does not")
    part_of, _ = part.begin_within(frames[:, 1:], holes[:, 1:], range(1, 3), {k: v[:, 1:] for k, v in learnt.items()})
    fresh, _ = part.begin_within(frames[:, 1:], holes[:, 1:], range(1, 3))
    _same_state(part_of, fresh, "begin_within is the same with and without what was learnt before")


def _same_state(found: State, expected: State, rule: str) -> None:
    same = found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in found)
    _require(same, rule)


def _check_controls(part: Inpainter, arguments: tuple) -> None:
    """Declared controls change the output, undeclared ones change nothing; heads also changes the cost."""
    state, frames, masks, controls = arguments
    for name, columns in CONTROL_GROUPS.items():
        low, high = controls.copy(), controls.copy()
        for column in columns:
            low[:, column], high[:, column] = LOW[column], HIGH[column]
        ends = [part.refine(state, frames, masks, values) for values in (low, high)]
        same = torch.equal(ends[0].frames, ends[1].frames)
        if name in part.controls:
            _require(not same, f"the declared control {name!r} changes the output, it does not")
        else:
            _require(same, f"the control {name!r} is not declared and changes nothing, it changes the output")
        if name == "heads" and name in part.controls:
            cheaper = bool((ends[0].gflops < ends[1].gflops).all())
            _require(cheaper, f"fewer heads cost less, got {ends[0].gflops} with 2 and {ends[1].gflops} with 12")
            _check_full_gflops(ends)


def _check_regional(part: Inpainter, frames: Tensor, holes: Tensor, state: State, controls: NDArray) -> None:
    """A map of one setting is that setting; what is declared regional follows a map, what is not takes its mean."""
    everywhere = np.repeat(np.repeat(controls[:, None, None], 2, 1), 3, 2)
    result = _untouched(part.refine, (state, frames, holes, everywhere), "refine")
    _check_frames(result.frames, frames.shape, "Refinement.frames under a map of controls")
    plain = part.refine(state, frames, holes, controls)
    _close(plain.frames, result.frames, "a map of one setting everywhere: Refinement.frames")
    same = torch.allclose(plain.gflops, result.gflops, rtol=0.02)  # laying the map over the frame may cost a little
    _require(same, f"a map of one setting everywhere costs what the setting costs, {plain.gflops}, got {result.gflops}")
    for name, columns in CONTROL_GROUPS.items():
        varied = everywhere.copy()
        for column in columns:
            varied[:, :, 0, column], varied[:, :, 1:, column] = LOW[column], HIGH[column]
        mean = clip_controls(mean_controls(varied))
        ends = [part.refine(state, frames, holes, values) for values in (varied, mean)]
        if name == "heads" and name in part.regional:  # type: ignore[attr-defined]
            continue  # frames as small as these may be a single window of attention
        if name in part.regional:  # type: ignore[attr-defined]
            gap = float((ends[0].frames - ends[1].frames).abs().max())
            _require(gap > ROUNDING, f"the regional control {name!r} follows the map, it takes the mean")
        else:
            _close(ends[0].frames, ends[1].frames, f"{name!r} is not regional and takes the mean: Refinement.frames")
    batch = part.refine(state, frames, holes, varied)
    for i in range(len(frames)):
        alone = part.refine(part.begin(frames[i : i + 1], holes[i : i + 1]), frames[i : i + 1], holes[i : i + 1],
                            varied[i : i + 1])  # fmt: skip
        _close(alone.frames[0], batch.frames[i], "under a map of controls, Refinement.frames of a batch")


def _check_full_gflops(ends: list[Refinement]) -> None:
    for end in ends:
        if end.full_gflops is not None:
            same = torch.allclose(end.full_gflops, ends[1].gflops, rtol=1e-6)
            _require(
                same, f"full_gflops are those of {HIGH[HEADS]:g} heads, got {end.full_gflops} and {ends[1].gflops}"
            )


def _check_composition(part: Inpainter, frames: Tensor, holes: Tensor, controls: NDArray, device: str) -> None:
    loop = ClosedLoop(part, _WholeHole(), device)
    state = loop.begin(frames, holes)
    for _ in range(2):
        state, _, _ = loop.refine(state, controls)
    known = (holes == 0).expand_as(frames)
    _require(torch.equal(state["repaired"][known], frames[known]), "known pixels never change after composition")


class _WholeHole:
    name = "whole hole"

    def detect(self, repaired: Tensor, masks: Tensor) -> Detection:
        return Detection(masks, masks.expand_as(repaired))


def _untouched(call: Callable[..., Any], arguments: tuple, what: str) -> Any:
    """The result of a call that must not write to its arguments."""
    before = [_copied(argument) for argument in arguments]
    result = call(*arguments)
    for old, new in zip(before, arguments):
        _require(_equal(old, new), f"{what} does not write to its arguments: somebody else keeps them")
    return result


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: tensor.clone() for name, tensor in value.items()}
    return value.clone() if isinstance(value, Tensor) else value.copy()


def _equal(old: Any, new: Any) -> bool:
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(torch.equal(old[name], new[name]) for name in old)
    return torch.equal(old, new) if isinstance(old, Tensor) else np.array_equal(old, new)


def _check_actions(actions: Any, count: int) -> None:
    _require(isinstance(actions, np.ndarray), f"act returns a NumPy array, got {type(actions).__name__}")
    _require(
        actions.shape == (count, 5),
        f"act returns one action of 5 values an observation, ({count}, 5), got {actions.shape}",
    )
    _require(actions.dtype == np.float32, f"actions are float32, got {actions.dtype}")
    inside = bool(np.isfinite(actions).all() and (clip_action(actions) == actions).all())
    _require(inside, "actions lie in [-1, 1], heads in [-1.4, 1] (below -1.2 to skip), and hold no NaN")
