"""Convolutional ends of the published transformers: stem, hierarchical encoder with grouped skips, decoder.

The encoder brings frames ``(N, C_in, H, W)`` to features at a quarter of the resolution; the decoder brings features
back to frames. STTN has the stem alone; DSTT puts a hierarchical encoder behind the stem (Liu et al., 2021, "Decoupled
Spatial-Temporal Transformer for Video Inpainting"); FuseFormer, E2FGVI and ProPainter join both in one module.
The names inside the modules are those of the published checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2  # of every leaky ReLU in these networks' encoders and decoders

# Output channels and stride of the four convolutions that go down to a quarter of the resolution.
STEM = ((64, 2), (64, 1), (128, 2), (256, 1))


def _stem_layers(in_channels: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for out_channels, stride in STEM:
        layers += [nn.Conv2d(in_channels, out_channels, 3, stride, padding=1), nn.LeakyReLU(SLOPE, inplace=True)]
        in_channels = out_channels
    return layers


def stem(in_channels: int = 3) -> nn.Sequential:
    """Four 3x3 convolutions, frames ``(N, in_channels, H, W)`` to ``(N, 256, ceil(H/4), ceil(W/4))``.

    Leaky ReLUs stand between and behind them; the convolutions have the keys 0, 2, 4 and 6.
    """
    return nn.Sequential(*_stem_layers(in_channels))


def grouped_concat(first: Tensor, second: Tensor, groups: int) -> Tensor:
    """Concatenate channels group by group, so that a convolution with as many groups sees both inputs in each group.

    Args:
        first, second: ``(N, C1, h, w)`` and ``(N, C2, h, w)``; both channel counts are multiples of ``groups``.
        groups: how many groups; the part of ``first`` stands first in each.

    Returns:
        ``(N, C1 + C2, h, w)``.
    """
    if groups == 1:
        return torch.cat([first, second], dim=1)
    parts = [x.unflatten(1, (groups, -1)) for x in (first, second)]
    return torch.cat(parts, dim=2).flatten(1, 2)


class HierarchicalEncoder(nn.Module):
    """Encoder whose later convolutions see its 256-channel activation x0 again, in ever finer groups (DSTT).

    Grouped convolutions keep the local structure of different levels apart; the last, ungrouped one mixes them. The
    convolutions have the keys ``layers.0``, ``layers.2`` and so on, leaky ReLUs stand between and behind them.

    Args:
        in_channels: channels of the input: 3 for frames, 5 for ProPainter's frames and two masks, 256 without stem.
        widths: output channels of the hierarchical convolutions.
        with_stem: begin with the four convolutions of :func:`stem`; False if the input is x0 itself (DSTT).
    """

    groups = (1, 2, 4, 8, 1)

    def __init__(
        self, in_channels: int = 3, widths: Sequence[int] = (384, 512, 384, 256, 128), with_stem: bool = True
    ) -> None:
        super().__init__()
        if len(widths) != len(self.groups):
            raise ValueError(f"widths has one entry per hierarchical convolution ({len(self.groups)}), got {widths}")
        layers = _stem_layers(in_channels) if with_stem else []
        self._stem_length = len(layers)
        skipped = channels = STEM[-1][0] if with_stem else in_channels
        for index, (width, groups) in enumerate(zip(widths, self.groups)):
            entering = channels + skipped if index else channels
            convolution = nn.Conv2d(entering, width, 3, padding=1, groups=groups)
            layers += [convolution, nn.LeakyReLU(SLOPE, inplace=True)]
            channels = width
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, widths[-1], ceil(H/4), ceil(W/4))`` (same size without stem)."""
        for layer in self.layers[: self._stem_length]:
            x = layer(x)
        x0 = x
        hierarchical = self.layers[self._stem_length :]
        for index, groups in enumerate(self.groups):
            x = grouped_concat(x0, x, groups) if index else x
            x = hierarchical[2 * index + 1](hierarchical[2 * index](x))
        return x


class Deconv(nn.Module):
    """Bilinear upsampling by two (corners aligned), then a 3x3 convolution with the key ``conv``."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, h, w)`` to ``(N, out_channels, 2h, 2w)``."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True))


class _ChannelsLast(nn.Sequential):
    """A sequence computed in channels-last memory: on a CPU upsampling and convolving at full size gain a quarter."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.contiguous(memory_format=torch.channels_last)).contiguous()


def decoder(in_channels: int) -> nn.Sequential:
    """Features ``(N, in_channels, h, w)`` to frames ``(N, 3, 4h, 4w)`` in [-1, 1] (tanh is the last step).

    The weights have the keys ``0.conv``, ``2``, ``4.conv`` and ``6``.
    """
    return _ChannelsLast(
        Deconv(in_channels, 128),
        nn.LeakyReLU(SLOPE, inplace=True),
        nn.Conv2d(128, 64, 3, padding=1),
        nn.LeakyReLU(SLOPE, inplace=True),
        Deconv(64, 64),
        nn.LeakyReLU(SLOPE, inplace=True),
        nn.Conv2d(64, 3, 3, padding=1),
        nn.Tanh(),
    )
