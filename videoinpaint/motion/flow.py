"""Optical flow and what is done with it: estimation, smooth completion inside holes, warping, consistency.

A flow ``(..., 2, H, W)`` holds ``(dx, dy)`` in pixels: ``a(x, y)`` is found in ``b`` at ``(x + dx, y + dy)``.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.motion.neighbourhoods import window_max, window_mean
from videoinpaint.resampling import enlarged

LUMA = (0.299, 0.587, 0.114)  # brightness of red, green and blue (ITU-R BT.601)
MIN_FLOW_SIZE = 16  # DIS needs at least two patches of eight pixels in each direction


def dis_flow(a: Tensor, b: Tensor) -> Tensor:
    """Dense inverse-search flow (OpenCV DIS, medium preset) from each frame of ``a`` to the same frame of ``b``.

    Args:
        a: float ``(N, 3, H, W)`` in [0, 1], any device.
        b: as ``a``.

    Returns:
        float32 ``(N, 2, H, W)`` on the device of ``a``.
    """
    height, width = a.shape[-2:]
    if min(height, width) < MIN_FLOW_SIZE or not len(a):
        return torch.zeros(len(a), 2, height, width, device=a.device)
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    still = np.zeros((height, width, 2), np.float32)
    flows = [estimator.calc(one, other, still.copy()) for one, other in zip(luma(a), luma(b))]
    return torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2).contiguous().to(a.device)


def luma(frames: Tensor) -> np.ndarray:
    """The brightness of frames ``(N, 3, H, W)`` in [0, 1], as OpenCV wants it: uint8 ``(N, H, W)``."""
    weights = frames.new_tensor(LUMA).view(1, 3, 1, 1)
    return (frames * weights).sum(1).mul(255).round().clamp(0, 255).byte().cpu().numpy()


def neighbour_flows(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Flows between neighbouring frames of ``(B, T, 3, H, W)``: forward t -> t+1 and backward t+1 -> t.

    Returns:
        two float32 ``(B, T-1, 2, H, W)``.
    """
    batch, length, _, height, width = frames.shape
    first, second = frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1)
    both = dis_flow(torch.cat([first, second]), torch.cat([second, first]))
    forward, backward = both.view(2, batch, length - 1, 2, height, width)
    return forward, backward


def warp(x: Tensor, flow: Tensor, *, interpolation: str = "bilinear", padding: str = "border") -> Tensor:
    """Sample ``x (N, C, H, W)`` at the positions ``flow (N, 2, H, W)`` points to.

    Args:
        x: what is sampled.
        flow: ``(dx, dy)`` in pixels of ``x``.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        padding: what lies beyond the border: ``"border"`` (the border) or ``"zeros"``.
    """
    height, width = x.shape[-2:]
    ys = torch.arange(height, device=x.device, dtype=x.dtype).view(-1, 1)
    xs = torch.arange(width, device=x.device, dtype=x.dtype).view(1, -1)
    grid_x = (xs + flow[:, 0]) * (2 / max(width - 1, 1)) - 1
    grid_y = (ys + flow[:, 1]) * (2 / max(height - 1, 1)) - 1
    grid = torch.stack([grid_x, grid_y], dim=-1)
    return F.grid_sample(x, grid, mode=interpolation, padding_mode=padding, align_corners=True)


def consistency(forward: Tensor, backward: Tensor) -> Tensor:
    """Squared forward-backward residual relative to the motion (Sundaram et al., ECCV 2010): below 1 is consistent.

    Args:
        forward: ``(N, 2, H, W)``, a -> b.
        backward: ``(N, 2, H, W)``, b -> a.

    Returns:
        float ``(N, 1, H, W)``, >= 0; occluded points of ``a`` lie above 1.
    """
    returned = warp(backward, forward)
    residual = (forward + returned).square().sum(1, keepdim=True)
    motion = (forward.square() + returned.square()).sum(1, keepdim=True)
    return residual / (0.01 * motion + 0.5)


def smooth_fill(x: Tensor, known: Tensor) -> Tensor:
    """Fill unknown pixels with an approximate membrane stretched between the known ones, batched.

    Pull-push over a pyramid (Gortler et al., 1996) with two relaxation sweeps at every level, which keep the fill
    continuous at the hole's rim.

    Args:
        x: ``(N, C, H, W)``.
        known: ``(N, 1, H, W)`` in {0, 1}; an item without a known pixel is filled with zeros.

    Returns:
        ``(N, C, H, W)``, equal to ``x`` where known.
    """
    values, weights = [x * known], [known]
    while max(values[-1].shape[-2:]) > 1:
        values.append(F.avg_pool2d(values[-1], 2, ceil_mode=True, count_include_pad=False))
        weights.append(F.avg_pool2d(weights[-1], 2, ceil_mode=True, count_include_pad=False))
    filled = values[-1] / weights[-1].clamp_min(1e-8)
    for value, weight in zip(values[-2::-1], weights[-2::-1]):
        coarse = enlarged(filled, (value.shape[-2], value.shape[-1]))
        anchored = weight > 0
        anchor = value / weight.clamp_min(1e-8)
        filled = torch.where(anchored, anchor, coarse)
        for _ in range(2):
            filled = torch.where(anchored, anchor, window_mean(filled, 1, repeat_border=True))
    return torch.where(known > 0, x, filled)


def nearest_fill(x: Tensor, known: Tensor) -> Tensor:
    """Fill unknown pixels with the nearest known one's value, so that what changes abruptly goes on doing so.

    A membrane between a walker and the wall behind makes of their motions one that neither has.

    Args:
        x: ``(N, C, H, W)``.
        known: ``(N, 1, H, W)`` in {0, 1}; an item without a known pixel is filled with zeros.

    Returns:
        ``(N, C, H, W)``, equal to ``x`` where known. Computed on the CPU.
    """
    filled = []
    for image, mask in zip(x, known[:, 0].gt(0.5).cpu().numpy()):
        if not mask.any():
            filled.append(torch.zeros_like(image))
            continue
        _, label = cv2.distanceTransformWithLabels(
            (~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE, labelType=cv2.DIST_LABEL_PIXEL
        )
        place = np.zeros(label.max() + 1, np.int64)  # of the known pixel that has each label
        place[label[mask]] = np.flatnonzero(mask)
        nearest = torch.from_numpy(place[label.ravel()]).to(x.device)
        filled.append(image.flatten(1)[:, nearest].view_as(image))
    return torch.stack(filled) if filled else x


def complete_flows(frames: Tensor, holes: Tensor) -> tuple[Tensor, Tensor]:
    """Flows between neighbouring frames with the holes' own motion completed smoothly from around them.

    Args:
        frames: ``(B, T, 3, H, W)`` with the holes already filled plausibly (so that they attract no matches).
        holes: ``(B, T, 1, H, W)`` in {0, 1}.

    Returns:
        forward and backward flows, ``(B, T-1, 2, H, W)`` each.
    """
    forward, backward = neighbour_flows(frames)
    # Matches next to the hole are contaminated by its filling: distrust a margin of half a DIS patch.
    distrust = window_max(holes, 4)

    def complete(flow: Tensor, hole: Tensor) -> Tensor:
        known = 1 - hole.flatten(0, 1)
        return smooth_fill(flow.flatten(0, 1), known).view_as(flow)

    return complete(forward, distrust[:, :-1]), complete(backward, distrust[:, 1:])
