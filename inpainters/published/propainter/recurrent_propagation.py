"""Dual-domain propagation (ProPainter, Section 3.2): along completed flows, first of pixels, then of features.

Both go through a clip twice: a sweep from the last frame to the first, where each frame takes from its successor along
the forward flow, then one from the first frame to the last on the results of the former, along the backward flow.
Content is carried only where forward and backward flow agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.inpainters.published.layers.alignment import DeformableAlignment
from videoinpaint.inpainters.published.layers.warp import consistent, flow_warp

FILLED = 0.1  # a warped mask counts as a hole above this
SWEEPS = ("backward_1", "forward_1")


@dataclass(frozen=True)
class Sweep:
    """The way through a clip in one direction of time, for ``T`` frames.

    Attributes:
        order: frame numbers as visited.
        pairs: for every frame but the first visited: which of the ``T - 1`` pairs leads to it from its predecessor.
        flows: ``(B, T-1, 2, H, W)``, from each frame of a pair to the one visited before it.
        valid: ``(B, T-1, 1, H, W)`` in {0, 1}: where these flows are consistent.
    """

    order: Sequence[int]
    pairs: Sequence[int]
    flows: Tensor
    valid: Tensor


def sweeps(forward: Tensor, backward: Tensor) -> tuple[Sweep, Sweep]:
    """Both sweeps over a clip with flows ``(B, T-1, 2, H, W)``: last to first, first to last."""
    count = forward.shape[1]
    lead, lag = forward.flatten(0, 1), backward.flatten(0, 1)
    ahead = consistent(lead, lag).unflatten(0, forward.shape[:2]) if count else forward[:, :, :1]
    behind = consistent(lag, lead).unflatten(0, forward.shape[:2]) if count else forward[:, :, :1]
    return (
        Sweep(range(count, -1, -1), range(count - 1, -1, -1), forward, ahead),
        Sweep(range(count + 1), range(count), backward, behind),
    )


def propagate_images(
    frames: Tensor, forward: Tensor, backward: Tensor, masks: Tensor, interpolation: str = "nearest"
) -> tuple[Tensor, Tensor]:
    """Carry known pixels along the flows into the holes (Eq. 4, 5); nothing here is learned.

    Args:
        frames: ``(B, T, 3, H, W)``; what it holds in the holes is what stays where nothing arrives (the published
            pipeline passes zeros).
        forward: completed flows t -> t+1, ``(B, T-1, 2, H, W)``.
        backward: completed flows t+1 -> t, likewise.
        masks: ``(B, T, 1, H, W)`` in {0, 1}, 1 = hole.
        interpolation: of the colours, ``"nearest"`` or ``"bilinear"``.

    Returns:
        propagated frames ``(B, T, 3, H, W)``, and the masks ``(B, T, 1, H, W)`` of what is still missing.
    """
    images, holes = list(frames.unbind(1)), list(masks.unbind(1))
    for sweep in sweeps(forward, backward):
        for here, before, pair in zip(sweep.order[1:], sweep.order, sweep.pairs):
            flow, valid = sweep.flows[:, pair], sweep.valid[:, pair]
            warped = flow_warp(images[before], flow, interpolation)
            seen = valid * (1 - _binary(flow_warp(holes[before], flow)))
            fill = holes[here] * seen
            images[here] = fill * warped + (1 - fill) * images[here]
            holes[here] = holes[here] * (1 - seen)
    return torch.stack(images, 1), torch.stack(holes, 1)


def _binary(masks: Tensor) -> Tensor:
    return (masks > FILLED).to(masks.dtype)


class FeaturePropagation(nn.Module):
    """Features carried along the flows by mask-aware deformable alignment (Eq. 6, 7).

    For each frame of a sweep, with x its feature, f the previous result and m the masks (original, updated):
    ``a = DCN(f; C([x, W(f, flow), flow, valid, m]))``, ``f_here = a + B([x, a, m])``; the first frame has a = x.
    Then ``output = x + fuse([f_backward, f_forward, m])``.

    Args:
        channels: of the features.
    """

    def __init__(self, channels: int = 128) -> None:
        super().__init__()
        condition = 2 * channels + 2 + 1 + 2
        self.deform_align = nn.ModuleDict(
            {name: DeformableAlignment(channels, channels, condition, max_residue=3) for name in SWEEPS}
        )
        self.backbone = nn.ModuleDict({name: _residual(channels) for name in SWEEPS})
        self.fuse = _residual(channels)

    def forward(self, x: Tensor, forward: Tensor, backward: Tensor, masks: Tensor) -> Tensor:
        """Propagate the features of a clip.

        Args:
            x: ``(B, T, C, h, w)``.
            forward: flows t -> t+1 in pixels of the features, ``(B, T-1, 2, h, w)``.
            backward: flows t+1 -> t, likewise.
            masks: ``(B, T, 2, h, w)``: original and updated masks.

        Returns:
            ``(B, T, C, h, w)``.
        """
        currents, pairs = list(x.unbind(1)), list(masks.unbind(1))
        results: list[list[Tensor]] = []
        for name, sweep in zip(SWEEPS, sweeps(forward, backward)):
            currents = self._sweep(name, sweep, currents, pairs)
            results.append(currents)
        seen = torch.cat([*(torch.stack(result, 1) for result in results), masks], 2)
        return x + self.fuse(seen.flatten(0, 1)).view_as(x)

    def _sweep(self, name: str, sweep: Sweep, currents: list[Tensor], masks: list[Tensor]) -> list[Tensor]:
        align, backbone = self.deform_align[name], self.backbone[name]
        results = list(currents)
        for step, here in enumerate(sweep.order):
            current, aligned = currents[here], currents[here]
            if step:
                before, pair = results[sweep.order[step - 1]], sweep.pairs[step - 1]
                flow, valid = sweep.flows[:, pair], sweep.valid[:, pair]
                condition = torch.cat([current, flow_warp(before, flow), flow, valid, masks[here]], 1)
                aligned = align(before, condition, (flow,))
            results[here] = aligned + backbone(torch.cat([current, aligned, masks[here]], 1))
        return results


def _residual(channels: int) -> nn.Sequential:
    first = nn.Conv2d(2 * channels + 2, channels, 3, padding=1)
    return nn.Sequential(first, nn.LeakyReLU(0.2, inplace=True), nn.Conv2d(channels, channels, 3, padding=1))


def reduce_flows(flows: Tensor, size: tuple[int, int]) -> Tensor:
    """Flows ``(B, T, 2, H, W)`` in pixels of a smaller map ``size = (h, w)``: ``(B, T, 2, h, w)``."""
    if not flows.shape[1]:
        return flows.new_zeros(*flows.shape[:3], *size)
    small = F.interpolate(flows.flatten(0, 1), size, mode="bilinear", align_corners=False)
    scale = flows.new_tensor([size[1] / flows.shape[-1], size[0] / flows.shape[-2]]).view(2, 1, 1)
    return (small * scale).unflatten(0, flows.shape[:2])
