"""Recurrent flow completion (Zhou et al., "ProPainter", ICCV 2023, Section 3.1): the motion that a hole hides.

Flows of both directions go through the same network as one batch; backward flows are read in reversed time, so that
the network always sees motion forward in time. All its convolutions look at one frame (kernels 1 x k x k) or at one
pixel (3 x 1 x 1), and are computed as the two-dimensional convolutions that they are.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.inpainters.published.layers.alignment import DeformableAlignment
from videoinpaint.inpainters.published.layers.encoder import Deconv

STRIDE = 8  # of the propagated features
CHANNELS = 128
SLOPE = 0.2
SWEEPS = ("backward_", "forward_")


class CompletionFeatures(NamedTuple):
    """What the network computes on the way, frames along the first dimension: ``N = B * T``.

    Attributes:
        downsampled: ``(N, 32, H / 2, W / 2)``.
        shallow: ``(N, 64, H / 4, W / 4)``, added again in the decoder.
        deep: ``(N, 128, H / 8, W / 8)`` after the second encoder stage.
        bottleneck: ``(N, 128, H / 8, W / 8)`` after the dilated convolutions.
    """

    downsampled: Tensor
    shallow: Tensor
    deep: Tensor
    bottleneck: Tensor


class FlowCompletion(nn.Module):
    """Encoder, second-order propagation of features at 1/8 of the resolution, decoder, and an edge head."""

    def __init__(self) -> None:
        super().__init__()
        self.downsample = nn.Sequential(_frame_conv(3, 32, 5, stride=2, padding=2))
        self.encoder1 = nn.Sequential(P3DBlock(32, 32, 1), _leaky(), P3DBlock(32, 64, 2), _leaky())
        self.encoder2 = nn.Sequential(P3DBlock(64, 64, 1), _leaky(), P3DBlock(64, 128, 2), _leaky())
        dilated: list[nn.Module] = []
        for dilation in (3, 2, 1):
            dilated += [_frame_conv(CHANNELS, CHANNELS, 3, padding=dilation, dilation=dilation), _leaky()]
        self.mid_dilation = nn.Sequential(*dilated)
        self.feat_prop_module = SecondOrderPropagation(CHANNELS)
        self.decoder2 = _up(CHANNELS, 64)
        self.decoder1 = _up(64, 32)
        self.upsample = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), _leaky(), Deconv(32, 2))
        self.edgeDetector = EdgeHead(2, 16)

    def forward(self, flows: Tensor, masks: Tensor, frames_at_once: int = 16) -> Tensor:
        """Complete flows that run forward in time.

        Args:
            flows: ``(B, T, 2, H, W)`` in pixels; what it holds in the holes is not read. H and W multiples of 8.
            masks: ``(B, T, 1, H, W)`` in {0, 1}, 1 = hole.
            frames_at_once: how many frames the decoder holds at full resolution; does not change the result.

        Returns:
            the prediction everywhere, ``(B, T, 2, H, W)``.

        Raises:
            ValueError: H or W is no multiple of 8.
        """
        batch, time = flows.shape[:2]
        features = self.encode(flows, masks)
        propagated = self.feat_prop_module(features.bottleneck.unflatten(0, (batch, time))).flatten(0, 1)
        parts = zip(propagated.split(frames_at_once), features.shallow.split(frames_at_once))
        return torch.cat([self.decode(deep, shallow) for deep, shallow in parts]).unflatten(0, (batch, time))

    def encode(self, flows: Tensor, masks: Tensor) -> CompletionFeatures:
        """Features of masked flows ``(B, T, 2, H, W)`` and masks ``(B, T, 1, H, W)``."""
        height, width = flows.shape[-2:]
        if height % STRIDE or width % STRIDE:
            raise ValueError(f"flow completion needs multiples of {STRIDE}, got {height} x {width}")
        batch, time = flows.shape[:2]
        x = torch.cat([flows * (1 - masks), masks], 2).flatten(0, 1)
        first = self.downsample[0]
        x = F.leaky_relu(_per_frame(first, F.pad(x, (2, 2, 2, 2), mode="replicate"), padding=0), SLOPE)
        shallow = _through(self.encoder1, x, batch, time)
        deep = _through(self.encoder2, shallow, batch, time)
        return CompletionFeatures(x, shallow, deep, _through(self.mid_dilation, deep, batch, time))

    def decode(self, propagated: Tensor, shallow: Tensor) -> Tensor:
        """Flows ``(N, 2, H, W)`` from propagated ``(N, 128, H / 8, W / 8)`` and shallow features, frame by frame."""
        return self.upsample(self.decoder1(self.decoder2(propagated) + shallow))

    def complete(self, forward: Tensor, backward: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions for both directions of a clip, in one batch.

        Args:
            forward: flows t -> t+1, ``(B, T-1, 2, H, W)``.
            backward: flows t+1 -> t, likewise.
            masks: ``(B, T, 1, H, W)`` of all frames; a flow is masked where it starts.

        Returns:
            predicted forward and backward flows, in natural order of time.
        """
        if not forward.shape[1]:
            return forward, backward
        flows = torch.cat([forward, backward.flip(1)])
        holes = torch.cat([masks[:, :-1], masks[:, 1:].flip(1)])
        ahead, behind = self(flows, holes).chunk(2)
        return ahead, behind.flip(1)

    def edges(self, flows: Tensor) -> Tensor:
        """Motion edges in [0, 1], ``(B, T, 1, H, W)``, of flows ``(B, T, 2, H, W)``; used in training alone."""
        return self.edgeDetector(flows.flatten(0, 1)).unflatten(0, flows.shape[:2])


def compose_flows(
    predicted: tuple[Tensor, Tensor], known: tuple[Tensor, Tensor], masks: Tensor
) -> tuple[Tensor, Tensor]:
    """The prediction in the holes, the known flow elsewhere, for (forward, backward) pairs of ``(B, T-1, 2, H, W)``."""
    holes = (masks[:, :-1], masks[:, 1:])
    ahead, behind = (p * hole + k * (1 - hole) for p, k, hole in zip(predicted, known, holes))
    return ahead, behind


class P3DBlock(nn.Module):
    """A convolution within frames, a leaky ReLU, a convolution along time with dilation 2 (Qiu et al., ICCV 2017)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(_frame_conv(in_channels, out_channels, 3, stride=stride, padding=1))
        self.conv2 = nn.Sequential(
            nn.Conv3d(out_channels, out_channels, (3, 1, 1), padding=(2, 0, 0), dilation=(2, 1, 1))
        )

    def forward(self, x: Tensor, batch: int, time: int) -> Tensor:
        """``(B * T, C, h, w)`` to ``(B * T, C', h / stride, w / stride)``."""
        x = F.leaky_relu(_per_frame(self.conv1[0], x), SLOPE)
        return _along_time(self.conv2[0], x, batch, time)


class SecondOrderPropagation(nn.Module):
    """Features carried backward, then forward in time by deformable alignment without flow (Section 3.1).

    In each sweep ``f_t = aligned + B([x_t, (backward result,) aligned])`` with
    ``aligned = DCN([f_{t-1}, f_{t-2}]; C([f_{t-1}, x_t, f_{t-2}]))``, and zeros where there is no earlier step.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.deform_align = nn.ModuleDict(
            {sweep: DeformableAlignment(2 * channels, channels, 3 * channels, max_residue=5) for sweep in SWEEPS}
        )
        self.backbone = nn.ModuleDict(
            {sweep: _residual(channels * (2 + order), channels) for order, sweep in enumerate(SWEEPS)}
        )
        self.fusion = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, C, h, w)`` to the same shape."""
        steps = list(x.unbind(1))
        backward = self._sweep("backward_", steps[::-1], None)[::-1]
        forward = self._sweep("forward_", steps, backward)
        both = torch.cat([torch.stack(backward, 1), torch.stack(forward, 1)], 2)
        return self.fusion(both.flatten(0, 1)).view_as(x) + x

    def _sweep(self, name: str, steps: list[Tensor], other: list[Tensor] | None) -> list[Tensor]:
        align, backbone = self.deform_align[name], self.backbone[name]
        nothing = torch.zeros_like(steps[0])
        last = before = aligned = nothing
        results: list[Tensor] = []
        for index, current in enumerate(steps):
            if results:
                aligned = align(torch.cat([last, before], 1), torch.cat([last, current, before], 1))
            seen = [current, aligned] if other is None else [current, other[index], aligned]
            last, before = aligned + backbone(torch.cat(seen, 1)), last
            results.append(last)
        return results


class EdgeHead(nn.Module):
    """A small residual network from flows to motion edges."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.projection = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), _leaky())
        self.mid_layer_1 = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), _leaky())
        self.mid_layer_2 = nn.Sequential(nn.Conv2d(width, width, 3, padding=1))
        self.out_layer = nn.Conv2d(width, 1, 1)

    def forward(self, flows: Tensor) -> Tensor:
        """``(N, 2, H, W)`` to ``(N, 1, H, W)`` in [0, 1]."""
        x = self.projection(flows)
        x = x + self.mid_layer_2(self.mid_layer_1(x))
        return torch.sigmoid(self.out_layer(F.leaky_relu(x, 0.01)))


def _leaky() -> nn.LeakyReLU:
    return nn.LeakyReLU(SLOPE, inplace=True)


def _up(in_channels: int, out_channels: int) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, in_channels, 3, padding=1)
    return nn.Sequential(convolution, _leaky(), Deconv(in_channels, out_channels), _leaky())


def _residual(in_channels: int, channels: int) -> nn.Sequential:
    first = nn.Conv2d(in_channels, channels, 3, padding=1)
    return nn.Sequential(first, nn.LeakyReLU(0.1, inplace=True), nn.Conv2d(channels, channels, 3, padding=1))


def _frame_conv(
    in_channels: int, out_channels: int, size: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> nn.Conv3d:
    """A convolution within frames, of the shape that the checkpoint has: kernel ``1 x size x size``."""
    kernel, steps, rims, gaps = ((one, n, n) for one, n in ((1, size), (1, stride), (0, padding), (1, dilation)))
    return nn.Conv3d(in_channels, out_channels, kernel, steps, rims, gaps)


def _per_frame(layer: nn.Module, x: Tensor, padding: int | None = None) -> Tensor:
    """A convolution within frames, applied to frames ``(N, C, h, w)``."""
    assert isinstance(layer, nn.Conv3d)
    rim = layer.padding[1:] if padding is None else padding
    return F.conv2d(x, layer.weight[:, :, 0], layer.bias, layer.stride[1:], rim, layer.dilation[1:])


def _along_time(layer: nn.Module, x: Tensor, batch: int, time: int) -> Tensor:
    """A convolution along time, applied to frames ``(B * T, C, h, w)``: the frames are the rows of an image."""
    assert isinstance(layer, nn.Conv3d)
    _, _, high, wide = x.shape
    rows = x.unflatten(0, (batch, time)).flatten(3).transpose(1, 2)
    gap = layer.dilation[0]
    moved = F.conv2d(rows, layer.weight[..., 0], layer.bias, padding=(gap, 0), dilation=(gap, 1))
    return moved.transpose(1, 2).reshape(batch * time, -1, high, wide)


def _through(layers: nn.Sequential, x: Tensor, batch: int, time: int) -> Tensor:
    for layer in layers:
        if isinstance(layer, P3DBlock):
            x = layer(x, batch, time)
        else:
            x = _per_frame(layer, x) if isinstance(layer, nn.Conv3d) else layer(x)
    return x
