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

from videoinpaint.deformable import TAPS, deformable_conv


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
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
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
        # Under autocast the sampling keeps the weights' precision.
        features, offsets, modulation = (x.to(self.weight.dtype) for x in (features, offsets, modulation))
        with torch.autocast(features.device.type, enabled=False):
            return deformable_conv(features, offsets, modulation, self.weight, self.bias)

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
