"""Modulated deformable 3x3 convolutions (DCNv2, Zhu et al., CVPR 2019), fast on the CPU and in all threads."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

TAPS = 9


def deformable_conv(x: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """What ``torchvision.ops.deform_conv2d`` computes with padding 1, ``(N, C_out, H, W)``; differentiable.

    That one runs on the CPU in one thread, sample by sample. Here all groups are sampled at once: a depthwise
    convolution adds up rows tap by tap, in little memory; any other is one product of matrices.

    Args:
        x: ``(N, C, H, W)``.
        offsets: ``(N, groups * 18, H, W)``, ``(dy, dx)`` pairs in pixels, group by group, tap by tap.
        modulation: ``(N, groups * 9, H, W)``, likewise, >= 0.
        weight: ``(C_out, C, 3, 3)``, or ``(C, 1, 3, 3)`` for a depthwise convolution.
        bias: ``(C_out,)``.
    """
    depthwise = weight.shape[1] == 1
    if not depthwise and x.device.type != "cpu":
        from torchvision.ops import deform_conv2d  # here, as importing it takes as long as importing torch

        return deform_conv2d(x, offsets, weight, bias, padding=1, mask=modulation)
    batch, channels, height, width = x.shape
    if depthwise:
        return _depthwise(x, offsets, modulation, weight.view(channels, TAPS)) + bias.view(-1, 1, 1)
    columns = _sampled(x, offsets, modulation)
    product = weight.flatten(1) @ columns.view(batch, channels * TAPS, height * width)
    return product.view(batch, -1, height, width) + bias.view(-1, 1, 1)


def _sampled(x: Tensor, offsets: Tensor, modulation: Tensor) -> Tensor:
    """What every tap sees, times its modulation: ``(N, C, 9, H, W)``."""
    batch, channels, height, width = x.shape
    groups = modulation.shape[1] // TAPS
    grid = _grids(offsets, groups).flatten(1, 2)
    samples = F.grid_sample(x.reshape(batch * groups, -1, height, width), grid, align_corners=False)
    samples = samples.view(batch, groups, channels // groups, TAPS, height, width)
    samples = samples * modulation.reshape(batch, groups, 1, TAPS, height, width)
    return samples.view(batch, channels, TAPS, height, width)


def _depthwise(x: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor) -> Tensor:
    """The convolution of every channel with its own ``weight (C, 9)``, without the bias; channels last in memory.

    A group's channels lie side by side in memory, so that a sample is a weighted sum of four rows, which is what an
    embedding bag computes. With `grid_sample` the whole takes 1.8 times as long (7 frames of 192 x 14 x 26 in 8 groups,
    one thread, an ad-hoc script). A ring of zeros stands for what lies outside.
    """
    batch, channels, height, width = x.shape
    groups = modulation.shape[1] // TAPS
    rows = F.pad(x, (1, 1, 1, 1)).movedim(1, -1).reshape(-1, channels // groups)
    shifts = offsets.reshape(batch, groups, TAPS, 2, height, width)
    tap = torch.arange(TAPS, device=x.device).view(TAPS, 1, 1)
    ys = (shifts[:, :, :, 0] + torch.arange(height, device=x.device).view(-1, 1) + tap // 3).clamp(0, height + 1)
    xs = (shifts[:, :, :, 1] + torch.arange(width, device=x.device) + tap % 3).clamp(0, width + 1)
    top, left = (at.int().clamp(0, last) for at, last in ((ys, height), (xs, width)))
    strength = modulation.reshape(ys.shape)
    lower = strength * (ys - top)
    upper = strength - lower
    right = [part * (xs - left) for part in (upper, lower)]
    shares = torch.stack([upper - right[0], right[0], lower - right[1], right[1]], -1)
    clip = torch.arange(batch, device=x.device, dtype=torch.int32).view(-1, 1, 1, 1, 1) * (height + 2)
    group = torch.arange(groups, device=x.device, dtype=torch.int32).view(-1, 1, 1, 1)
    corners = groups * torch.tensor([0, 1, width + 2, width + 3], device=x.device, dtype=torch.int32)
    where = (((clip + top) * (width + 2) + left) * groups + group).unsqueeze(-1) + corners
    total = torch.zeros(1, device=x.device)
    for number, of_tap in enumerate(weight.view(groups, 1, 1, -1, TAPS).unbind(-1)):  # one by one, in little memory
        at, share = (part[:, :, number].reshape(-1, 4) for part in (where, shares))
        seen = F.embedding_bag(at, rows, per_sample_weights=share, mode="sum")
        total = torch.addcmul(total, seen.view(batch, groups, height, width, -1), of_tap)
    return total.movedim(1, 3).flatten(3).movedim(-1, 1)


def _grids(offsets: Tensor, groups: int) -> Tensor:
    """Where every tap of every group looks, as `grid_sample` wants it: ``(N * groups, 9, H, W, 2)``."""
    height, width = offsets.shape[-2:]
    shifts = offsets.reshape(len(offsets) * groups, TAPS, 2, height, width)
    tap = torch.arange(TAPS, device=offsets.device).view(TAPS, 1, 1)
    ys = shifts[:, :, 0] + torch.arange(height, device=offsets.device).view(-1, 1) + (tap // 3 - 1)
    xs = shifts[:, :, 1] + torch.arange(width, device=offsets.device) + (tap % 3 - 1)
    # align_corners=False maps the centre of pixel i to (2 i + 1) / n - 1; it is defined for a single row too.
    return torch.stack([(2 * xs + 1) / width - 1, (2 * ys + 1) / height - 1], -1)
