"""Modulated deformable 3x3 convolutions (DCNv2, Zhu et al., CVPR 2019), fast on the CPU and in all threads."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

TAPS = 9


def deformable_conv(x: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """What ``torchvision.ops.deform_conv2d`` computes with padding 1, ``(N, C_out, H, W)``; differentiable.

    That one runs on the CPU in one thread, sample by sample. Here all groups are sampled by the vectorised
    `grid_sample`. A depthwise convolution adds up tap by tap, in little memory; any other is one product of matrices.

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
    """The convolution of every channel with its own ``weight (C, 9)``, without the bias."""
    batch, channels, height, width = x.shape
    groups = modulation.shape[1] // TAPS
    grids, grouped = _grids(offsets, groups), x.reshape(batch * groups, -1, height, width)
    strength = modulation.reshape(batch * groups, TAPS, 1, height, width)
    weights = weight.view(1, groups, channels // groups, TAPS).expand(batch, -1, -1, -1).flatten(0, 1)
    total = torch.zeros_like(grouped)
    for tap in range(TAPS):
        sampled = F.grid_sample(grouped, grids[:, tap], align_corners=False) * strength[:, tap]
        total = torch.addcmul(total, sampled, weights[:, :, tap, None, None])
    return total.view(batch, channels, height, width)


def _grids(offsets: Tensor, groups: int) -> Tensor:
    """Where every tap of every group looks, as `grid_sample` wants it: ``(N * groups, 9, H, W, 2)``."""
    height, width = offsets.shape[-2:]
    shifts = offsets.reshape(len(offsets) * groups, TAPS, 2, height, width)
    tap = torch.arange(TAPS, device=offsets.device).view(TAPS, 1, 1)
    ys = shifts[:, :, 0] + torch.arange(height, device=offsets.device).view(-1, 1) + (tap // 3 - 1)
    xs = shifts[:, :, 1] + torch.arange(width, device=offsets.device) + (tap % 3 - 1)
    # align_corners=False maps the centre of pixel i to (2 i + 1) / n - 1; it is defined for a single row too.
    return torch.stack([(2 * xs + 1) / width - 1, (2 * ys + 1) / height - 1], -1)
