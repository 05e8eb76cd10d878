"""Flow-guided deformable alignment (BasicVSR++, Section 3.2), as E2FGVI and ProPainter use it.

Notation: ``g`` are propagated features, ``f`` optical flows, ``c`` the condition from which a small stack of
convolutions ``C`` predicts how far each sampling point strays from the flow, and with which weight it counts:

    (o, m) = C(c),   offsets = r * tanh(o) + f,   modulation = sigmoid(m),   aligned = DCNv2(g; offsets, modulation)

The variants differ in their condition, in the largest stray ``r`` and in the number of flows:

    network                      g                               flows        r    condition channels
    E2FGVI (second order)        [g_{t-1}, g_{t-2}], 256         (f_1, f_2)   10   388
    ProPainter, generator        g_{t-1}, 128                    (f_1,)        3   261
    ProPainter, flow completion  [g_{t-1}, g_{t-2}], 256         ()            5   384
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import deform_conv2d

KERNEL = 3
TAPS = KERNEL * KERNEL

PAIRS = ((0, 0), (0, 1), (1, 0), (1, 1))


def modulated_deform_conv(
    x: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor, groups: int
) -> Tensor:
    """A 3x3 modulated deformable convolution (DCNv2) with padding 1, as ``torchvision.ops.deform_conv2d`` computes it.

    That one runs on the CPU in one thread, sample by sample. Here, on the CPU, the four corners of all samples are
    looked up at once, as bags of an embedding: more than twice as fast, and in all threads.

    Args:
        x: ``(N, C, H, W)``.
        offsets: ``(N, groups * 18, H, W)``, ``(dy, dx)`` pairs, group by group, tap by tap.
        modulation: ``(N, groups * 9, H, W)``, likewise.
        weight: ``(C_out, C, 3, 3)``.
        bias: ``(C_out,)``.
        groups: offset groups.
    """
    learns = torch.is_grad_enabled() and any(part.requires_grad for part in (x, offsets, modulation, weight, bias))
    if learns or x.device.type != "cpu" or x.dtype != torch.float32:
        return deform_conv2d(x, offsets, weight, bias, padding=KERNEL // 2, mask=modulation)
    number, channels, height, width = x.shape
    rows, shares = _corners(x, offsets, modulation, groups)
    table = x.permute(0, 2, 3, 1).reshape(-1, channels // groups)
    columns = F.embedding_bag(rows.view(-1, 4), table, per_sample_weights=shares.view(-1, 4), mode="sum")
    kernel = weight.view(len(weight), groups, -1, TAPS).transpose(2, 3).reshape(len(weight), -1)
    out = F.linear(columns.view(number, height, width, -1), kernel, bias)
    return out.permute(0, 3, 1, 2)


def _corners(x: Tensor, offsets: Tensor, modulation: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """The four pixels around every sample and their weights, ``(N, H, W, groups, taps, 4)``.

    Pixels are rows of the table ``(N * H * W * groups, C / groups)``.
    """
    number, _, height, width = x.shape
    moved = offsets.unflatten(1, (groups, TAPS, 2)).permute(3, 0, 4, 5, 1, 2).contiguous()
    taps = torch.arange(TAPS)
    down = moved[0] + (torch.arange(height).view(-1, 1, 1, 1) + taps // KERNEL - 1)
    across = moved[1] + (torch.arange(width).view(-1, 1, 1) + taps % KERNEL - 1)
    (lines, tall), (places, wide) = _around(down, height), _around(across, width)
    factor = modulation.unflatten(1, (groups, TAPS)).permute(0, 3, 4, 1, 2)
    tall = [share * factor for share in tall]
    start = torch.arange(number).view(-1, 1, 1, 1, 1) * (height * width * groups) + torch.arange(groups).view(-1, 1)
    lines = [line * (width * groups) + start.int() for line in lines]
    places = [place * groups for place in places]
    rows = torch.empty(*down.shape, 4, dtype=torch.int32)
    shares = torch.empty(*down.shape, 4)
    for corner, (i, j) in enumerate(PAIRS):
        torch.add(lines[i], places[j], out=rows[..., corner])
        torch.mul(tall[i], wide[j], out=shares[..., corner])
    return rows, shares


def _around(points: Tensor, limit: int) -> tuple[list[Tensor], list[Tensor]]:
    """Per point on a line, the pixels before and behind it, and their shares: 0 for pixels beyond the line."""
    before = points.floor()
    part = points - before
    near = torch.where((before >= 0) & (before < limit), 1 - part, 0.0)
    far = torch.where((before >= -1) & (before < limit - 1), part, 0.0)
    pixel = before.clamp(-1, limit).int()
    return [pixel.clamp(0, limit - 1), (pixel + 1).clamp(0, limit - 1)], [near, far]


class DeformableAlignment(nn.Module):
    """A modulated 3x3 deformable convolution whose offsets are guided by ``K`` flows, one for each K-th of its groups.

    Args:
        in_channels: channels of ``g``.
        out_channels: channels of the aligned features, and of the hidden layers of ``conv_offset``.
        condition_channels: channels of ``c``.
        max_residue: ``r``, in pixels of the feature map.
        groups: offset groups; each moves its share of the channels of ``g`` on its own.
    """

    def __init__(
        self, in_channels: int, out_channels: int, condition_channels: int, max_residue: float, groups: int = 16
    ) -> None:
        super().__init__()
        self.max_residue, self.groups = max_residue, groups
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, KERNEL, KERNEL))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        widths = [condition_channels, out_channels, out_channels, out_channels]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.LeakyReLU(0.1)]
        self.conv_offset = nn.Sequential(*layers, nn.Conv2d(out_channels, 3 * TAPS * groups, 3, padding=1))
        self._initialise()

    def _initialise(self) -> None:
        # Untrained, the sampling points lie on the flow and all count by a half, as in the paper.
        bound = 1 / math.sqrt(self.weight[0].numel())
        nn.init.uniform_(self.weight, -bound, bound)
        for parameter in self.conv_offset[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor, condition: Tensor, flows: Sequence[Tensor] = ()) -> Tensor:
        """Align ``features`` to the present frame.

        Args:
            features: g ``(N, in_channels, H, W)``, not warped.
            condition: c ``(N, condition_channels, H, W)``.
            flows: none, or K flows ``(N, 2, H, W)`` with channels ``(dx, dy)``; the k-th guides the k-th part of the
                groups, so K must divide ``groups``.

        Returns:
            ``(N, out_channels, H, W)``.
        """
        offsets, modulation = self.predict(condition, flows)
        # Under autocast the sampling keeps the weights' precision: on the CPU it has no other.
        features, offsets, modulation = (x.to(self.weight.dtype) for x in (features, offsets, modulation))
        with torch.autocast(features.device.type, enabled=False):
            return modulated_deform_conv(features, offsets, modulation, self.weight, self.bias, self.groups)

    def predict(self, condition: Tensor, flows: Sequence[Tensor] = ()) -> tuple[Tensor, Tensor]:
        """Offsets ``(N, groups * 18, H, W)`` and modulation ``(N, groups * 9, H, W)``, group by group, tap by tap.

        Offsets are ``(dy, dx)`` pairs in pixels (the order of ``deform_conv2d``), the modulation lies in [0, 1].
        """
        predicted = self.conv_offset(condition)
        stray, weight = predicted.split([2 * TAPS * self.groups, TAPS * self.groups], dim=1)
        offsets = self.max_residue * torch.tanh(stray)
        if flows:
            guided = offsets.unflatten(1, (len(flows), -1, 2))
            flipped = torch.stack([flow.flip(1) for flow in flows], dim=1).unsqueeze(2)
            offsets = (guided + flipped).flatten(1, 3)
        return offsets, torch.sigmoid(weight)
