"""Temporal consistency in pixels: the warping error E_warp."""

from __future__ import annotations

import torch
from torch import Tensor

from videoinpaint.errors import InputError
from videoinpaint.metrics.checks import check_frames, check_holes, check_pair
from videoinpaint.motion.flow import consistency, neighbour_flows, warp


def warp_error(repaired: Tensor, reference: Tensor, holes: Tensor | None = None) -> Tensor:
    """E_warp per pair of neighbouring frames, ``(B, T-1)``, >= 0; lower is better.

    After Lai et al. (ECCV 2018): frame t+1 is warped onto frame t by the flow of the *reference*, and the squared
    difference is averaged over the pixels that are not occluded (forward-backward check of the reference's flow) and
    over the three channels, for values in [0, 1]. Tables print it times 1000. A pair in which everything is occluded
    counts 0.

    Args:
        repaired: ``(B, T, 3, H, W)`` in [0, 1], T >= 2.
        reference: as ``repaired``; only its motion is used.
        holes: ``(B, T, 1, H, W)``; when given, only pixels of frame t inside the hole count.

    Raises:
        InputError: wrong shapes or values, or a single frame.
    """
    check_pair(repaired, reference)
    if repaired.shape[1] < 2:
        raise InputError("the warping error needs two frames or more")
    if holes is not None:
        check_holes(repaired, holes)
    repaired, reference = repaired.float(), reference.float()
    flow, visible = reference_motion(reference)
    inside = visible if holes is None else visible * (holes[:, :-1] > 0)
    batch, pairs = flow.shape[:2]
    moved = warp(repaired[:, 1:].flatten(0, 1), flow.flatten(0, 1)).view(batch, pairs, 3, *flow.shape[-2:])
    squared = (repaired[:, :-1] - moved).square() * inside
    return (squared.flatten(2).double().sum(2) / (3 * inside.flatten(2).double().sum(2)).clamp_min(1)).float()


def reference_motion(reference: Tensor) -> tuple[Tensor, Tensor]:
    """Forward flow ``(B, T-1, 2, H, W)`` of a clip and where it can be trusted, ``(B, T-1, 1, H, W)`` in {0, 1}.

    A pixel counts as visible in the next frame where the flows there and back agree and the path ends within the frame.
    """
    check_frames(reference, "reference")
    forward, backward = neighbour_flows(reference)
    batch, pairs, _, height, width = forward.shape
    agrees = consistency(forward.flatten(0, 1), backward.flatten(0, 1)).view(batch, pairs, 1, height, width) < 1
    xs = torch.arange(width, device=forward.device) + forward[:, :, :1]
    ys = torch.arange(height, device=forward.device).view(-1, 1) + forward[:, :, 1:]
    within = (xs >= 0) & (xs <= width - 1) & (ys >= 0) & (ys <= height - 1)
    return forward, (agrees & within).to(reference.dtype)
