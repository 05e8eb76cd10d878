"""What :func:`check_propagator` requires of what carries the first frame's mask through a clip."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from videoinpaint.errors import InputError
from videoinpaint.protocols import MaskPropagator
from videoinpaint.testing.rules import (
    check_attributes,
    check_frames,
    check_methods,
    clips,
    independent,
    require,
    untouched,
)


def check_propagator(
    part: MaskPropagator, *, num_frames: int = 5, height: int = 48, width: int = 64, device: str = "cpu"
) -> None:
    """Check a propagator against :class:`videoinpaint.protocols.MaskPropagator`, and its trackers.

    Args:
        part: the propagator.
        num_frames: frames of the clip that it is tried on.
        height: their height.
        width: their width.
        device: where its tensors are.

    Raises:
        AssertionError: a rule is broken; the message names it.
    """
    check_methods(part, "a propagator", ("start",))
    check_attributes(part, "a propagator")
    frames, first = _target(num_frames, height, width, device)

    def follow() -> Tensor:
        tracker = untouched(part.start, (frames, first), "start")
        check_methods(tracker, "what start returns", ("masks", "parameters"))
        with torch.no_grad():
            masks = tracker.masks()
            check_frames(masks, torch.Size((num_frames, 1, height, width)), "what masks returns")
            kept = masks.clone()
            require(torch.equal(tracker.masks(), kept), "masks is deterministic: asked again it gives the same bits")
        require(torch.equal(kept[0], first), "the first frame's mask is the one that was given")
        return kept

    rule = "start depends on the clip and the target alone, and on no global generator"
    one, other = independent(follow, rule)
    require(torch.equal(one, other), f"{rule}: the same again gives the same bits")
    _check_parameters(part.start(frames, first))
    for nothing, told in ((first * 0, "is absent from the first frame"), (first * 0 + 1, "covers the first frame")):
        require(_refused(part, frames, nothing), f"start raises InputError where the target {told}: see check_target")


def _target(num_frames: int, height: int, width: int, device: str) -> tuple[Tensor, Tensor]:
    """A clip in which a grey square moves, and its mask in the first frame."""
    frames, holes = clips(num_frames, height, width, device)
    return frames[1].clone(), holes[1, 0].clone()


def _check_parameters(tracker: Any) -> None:
    parameters = tracker.parameters()
    listed = isinstance(parameters, list) and all(isinstance(one, nn.Parameter) for one in parameters)
    require(listed, f"parameters returns a list of nn.Parameter, empty where nothing can be tuned, got {parameters!r}")
    if parameters:
        with torch.enable_grad():
            masks = tracker.masks()
        require(masks.requires_grad, "where gradients are enabled, masks carries those of parameters")


def _refused(part: MaskPropagator, frames: Tensor, first: Tensor) -> bool:
    try:
        part.start(frames, first)
    except InputError:
        return True
    return False
