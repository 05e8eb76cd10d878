"""Bidirectional feature propagation with second-order, flow-guided deformable alignment (E2FGVI, Section 3.3).

Notation: ``e_t`` are the encoder features of local frame t, ``h_t`` the propagated ones of a sweep, ``f_1`` and ``f_2``
the flows to the frames visited one and two steps before, ``W`` warping, ``D`` the deformable alignment:

    a_t = D([h_{t-1}, h_{t-2}]; [W(h_{t-1}, f_1), e_t, W(h_{t-2}, f_2), f_1, f_2]),    h_t = a_t + R([e_t, (b_t,) a_t])

where ``b_t`` is the result of the backward sweep, which only the forward sweep reads.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videoinpaint.inpainters.published.layers.alignment import DeformableAlignment
from videoinpaint.inpainters.published.layers.warp import chain_flows, flow_warp

BACKWARD, FORWARD = "backward_", "forward_"
MAX_RESIDUE = 10.0


class FeaturePropagation(nn.Module):
    """Carries features along the flow from last frame to first, then from first to last, and fuses both.

    Args:
        channels: of the features.
        groups: offset groups of the alignment.
    """

    def __init__(self, channels: int = 128, groups: int = 16) -> None:
        super().__init__()
        self.deform_align = nn.ModuleDict()
        self.backbone = nn.ModuleDict()
        for inputs, sweep in ((2, BACKWARD), (3, FORWARD)):
            self.deform_align[sweep] = DeformableAlignment(
                2 * channels, channels, 3 * channels + 4, MAX_RESIDUE, groups
            )
            self.backbone[sweep] = nn.Sequential(
                nn.Conv2d(inputs * channels, channels, 3, padding=1),
                nn.LeakyReLU(0.1),
                nn.Conv2d(channels, channels, 3, padding=1),
            )
        self.fusion = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, features: Tensor, flows_forward: Tensor, flows_backward: Tensor) -> Tensor:
        """Propagate the local frames' features.

        Args:
            features: e ``(B, T, C, h, w)``.
            flows_forward: t -> t+1, ``(B, T-1, 2, h, w)`` in pixels of the feature map.
            flows_backward: t+1 -> t, likewise.

        Returns:
            ``(B, T, C, h, w)``.
        """
        current = list(features.unbind(1))
        # The published sweeps both read flow i-1 at their i-th stop: going backward the flow index is not reversed.
        # Trained weights have learned with it, so it is kept.
        behind = self._sweep(BACKWARD, [[e] for e in reversed(current)], flows_forward)[::-1]
        ahead = self._sweep(FORWARD, [[e, b] for e, b in zip(current, behind, strict=True)], flows_backward)
        both = torch.cat([torch.stack(behind, 1), torch.stack(ahead, 1)], dim=2)
        return self.fusion(both.flatten(0, 1)).view_as(features) + features

    def _sweep(self, sweep: str, stops: list[list[Tensor]], flows: Tensor) -> list[Tensor]:
        """``h`` at every stop, in the order of visit; ``stops`` holds ``[e_t]`` or ``[e_t, b_t]``."""
        visited: list[Tensor] = []
        for index, stop in enumerate(stops):
            aligned = self._align(sweep, visited, stop[0], flows, index) if index else torch.zeros_like(stop[0])
            visited.append(aligned + self.backbone[sweep](torch.cat([*stop, aligned], dim=1)))
        return visited

    def _align(self, sweep: str, visited: list[Tensor], current: Tensor, flows: Tensor, index: int) -> Tensor:
        flow_1 = flows[:, index - 1]
        before, warped = visited[-1], flow_warp(visited[-1], flow_1)
        if index > 1:
            flow_2 = chain_flows(flow_1, flows[:, index - 2])
            earlier, warped_2 = visited[-2], flow_warp(visited[-2], flow_2)
        else:
            flow_2, earlier, warped_2 = torch.zeros_like(flow_1), torch.zeros_like(before), torch.zeros_like(before)
        condition = torch.cat([warped, current, warped_2, flow_1, flow_2], dim=1)
        return self.deform_align[sweep](torch.cat([before, earlier], dim=1), condition, (flow_1, flow_2))
