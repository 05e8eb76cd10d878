"""SPyNet (Ranjan and Black, CVPR 2017): optical flow, coarse to fine, as E2FGVI uses it (its Section 3.2).

Notation: on level ``k`` of a pyramid, coarsest first, ``V_k = u(V_{k-1}) + G_k(I_k, W(J_k, u(V_{k-1})), u(V_{k-1}))``,
with ``u`` the doubling of a flow, ``W`` warping and ``G_k`` a network of five 7x7 convolutions.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.motion.flow import warp

LEVELS = 6
MULTIPLE = 2 ** (LEVELS - 1)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class _ConvUnit(nn.Module):
    """A 7x7 convolution under the key ``conv``."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class FlowLevel(nn.Module):
    """``G_k``: image, warped neighbour and flow, ``(N, 8, H, W)``, to a correction of the flow ``(N, 2, H, W)``."""

    def __init__(self) -> None:
        super().__init__()
        widths = (8, 32, 64, 32, 16, 2)
        self.basic_module = nn.ModuleList(_ConvUnit(a, b) for a, b in itertools.pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        *hidden, last = self.basic_module
        for unit in hidden:
            x = F.relu(unit(x))
        return last(x)


class SPyNet(nn.Module):
    """Flow between frames of one size, any size; six pyramid levels, which halve the image five times.

    The buffers ``mean`` and ``std`` normalise the frames; a checkpoint brings its own.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.basic_module = nn.ModuleList(FlowLevel() for _ in range(LEVELS))
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def pyramid(self, frames: Tensor) -> list[Tensor]:
        """Normalised ``frames (N, 3, H, W)`` on all levels, coarsest first; the finest has multiples of 32."""
        height, width = frames.shape[-2:]
        size = (-(-height // MULTIPLE) * MULTIPLE, -(-width // MULTIPLE) * MULTIPLE)
        levels = [(F.interpolate(frames, size, mode="bilinear", align_corners=False) - self.mean) / self.std]
        while len(levels) < LEVELS:
            levels.insert(0, F.avg_pool2d(levels[0], 2))
        return levels

    def match(self, references: list[Tensor], neighbours: list[Tensor]) -> Tensor:
        """The flow ``(N, 2, h, w)`` from reference to neighbour on the finest of two pyramids."""
        coarsest = references[0]
        flow = coarsest.new_zeros(len(coarsest), 2, *coarsest.shape[-2:])
        for level, net in enumerate(self.basic_module):
            reference, neighbour = references[level], neighbours[level]
            if level:
                flow = 2 * F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True)
                neighbour = warp(neighbour, flow)
            flow = flow + net(torch.cat([reference, neighbour, flow], dim=1))
        return flow

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Flows between neighbouring frames of whole clips; both directions share one pyramid and run as one batch.

        Args:
            frames: ``(B, T, 3, H, W)`` in [0, 1].

        Returns:
            forward (t -> t+1) and backward (t+1 -> t) flows, ``(B, T-1, 2, H, W)`` each, in pixels of ``frames``.
        """
        batch, length, _, height, width = frames.shape
        if length < 2:
            none = frames.new_zeros(batch, 0, 2, height, width)
            return none, none
        levels = [level.unflatten(0, (batch, length)) for level in self.pyramid(frames.flatten(0, 1))]
        early = [level[:, :-1].flatten(0, 1) for level in levels]
        late = [level[:, 1:].flatten(0, 1) for level in levels]
        there = [torch.cat(pair) for pair in zip(early, late, strict=True)]
        back = [torch.cat(pair) for pair in zip(late, early, strict=True)]
        flow = self.match(there, back)
        scale = flow.new_tensor([width / flow.shape[-1], height / flow.shape[-2]]).view(1, 2, 1, 1)
        flow = F.interpolate(flow, (height, width), mode="bilinear", align_corners=False) * scale
        forward, backward = flow.view(2, batch, length - 1, 2, height, width)
        return forward, backward


def quarter_flows(spynet: SPyNet, frames: Tensor) -> tuple[Tensor, Tensor]:
    """Both flows ``(B, T-1, 2, H/4, W/4)`` of frames ``(B, T, 3, H, W)`` in [-1, 1], at a quarter of their size."""
    size = (frames.shape[-2] // 4, frames.shape[-1] // 4)
    small = F.interpolate((frames.flatten(0, 1) + 1) / 2, size, mode="bilinear", align_corners=True)
    return spynet(small.unflatten(0, frames.shape[:2]))
