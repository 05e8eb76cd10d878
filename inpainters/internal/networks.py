"""IIVI's networks (Appendix A.1): base, two of them stacked, and coarse-to-fine.

The appendix counts 18 layers in the base network and lists 17; these are the 17.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.errors import InputError
from videoinpaint.inpainters.internal.layers import GatedConv, GatedDeconv, Output

Arch = Literal["base", "stacked", "coarse-to-fine"]
ARCHS: tuple[Arch, ...] = ("base", "stacked", "coarse-to-fine")
MULTIPLE = 4
"""Frames are mirrored up to a multiple of this, two halvings, and cropped back."""
INPUTS = 5
"""Channels of the input: red, green, blue and the mask as published, and how far the start is to be trusted."""

# (out_c, kernel, stride, dilation) at width 1, as printed.
ENCODER = ((48, 5, 1, 1), (96, 3, 2, 1), (96, 3, 1, 1), (192, 3, 2, 1), (192, 3, 1, 1), (192, 3, 1, 1), (192, 3, 1, 2),
           (192, 3, 1, 4), (192, 3, 1, 8), (192, 3, 1, 16))  # fmt: skip
BRANCH = ((48, 5, 1, 1), (96, 3, 2, 1), (96, 3, 1, 1), (192, 3, 2, 1), (192, 3, 1, 1), (192, 3, 1, 1), (192, 3, 1, 2),
          (192, 3, 1, 1), (192, 3, 1, 1))  # fmt: skip
# The decoder's first entry: "D" stands for up-sampling before the convolution.
DECODER = (("C", 192), ("C", 192), ("D", 96), ("C", 96), ("D", 48), ("C", 24))


class BaseNetwork(nn.Module):
    """One encoder-decoder; with ``branch``, a second encoder whose features join those of the first.

    Args:
        inputs: channels of the input picture, the mask among them.
        outputs: channels of the output picture.
        width: factor on all inner channels; 1 is the paper's.
        branch: add the second encoder of the coarse-to-fine network.
    """

    def __init__(self, inputs: int, outputs: int, width: float, branch: bool = False) -> None:
        super().__init__()
        self.encoder = _chain(inputs, ENCODER, width)
        self.branch = _chain(inputs, BRANCH, width) if branch else None
        channels = scaled(192, width) // 2
        layers: list[nn.Module] = []
        reach = channels * (2 if branch else 1)
        for kind, out_c in DECODER:
            layers.append((GatedDeconv if kind == "D" else GatedConv)(reach, scaled(out_c, width)))
            reach = scaled(out_c, width) // 2
        self.decoder = nn.Sequential(*layers, Output(reach, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, inputs, H, W)`` to ``(N, outputs, H, W)`` in (-1, 1); H and W multiples of four."""
        features = self.encoder(x)
        if self.branch is not None:
            features = torch.cat([features, self.branch(x)], dim=1)
        return self.decoder(features)


class InternalNetwork(nn.Module):
    """What is trained on one clip: one base network, or two in a row (the second sees the first's picture in the hole).

    Args:
        arch: "base", "stacked" or "coarse-to-fine".
        width: factor on all inner channels; 1 is the paper's.
        residual: the output, zero to begin with, corrects what the holes hold at the input, and nothing else.

    Raises:
        InputError: an unknown arch, or a width outside (0, 4].
    """

    def __init__(self, arch: str = "base", width: float = 1.0, *, residual: bool = False) -> None:
        super().__init__()
        if arch not in ARCHS:
            raise InputError(f"unknown internal network {arch!r}: use one of {', '.join(ARCHS)}")
        if not 0 < width <= 4:
            raise InputError(f"width must lie in (0, 4], got {width}")
        self.arch, self.width, self.residual = arch, width, residual
        stages = [BaseNetwork(INPUTS, 3, width)]
        if arch != "base":
            stages.append(BaseNetwork(INPUTS, 3, width, branch=arch == "coarse-to-fine"))
        self.stages = nn.ModuleList(stages)
        if residual:
            for stage in stages:
                last: Any = stage.decoder[-1]
                nn.init.zeros_(last.conv.weight)
                nn.init.zeros_(last.conv.bias)

    def forward(self, frames: Tensor, holes: Tensor, trust: Tensor) -> list[Tensor]:
        """The output of each stage, the final one last.

        Args:
            frames: ``(N, 3, H, W)`` in [-1, 1]; whatever the holes hold is what the network starts from.
            holes: ``(N, 1, H, W)`` in {0, 1}.
            trust: how far to trust what the holes hold, ``(N, 1, H, W)`` in [0, 1].

        Returns:
            ``(N, 3, H, W)`` each, in (-1, 1), or [-2, 2] with ``residual``.
        """
        height, width = frames.shape[-2:]
        frames, holes, trust = _grown(frames), _grown(holes), _grown(trust)
        results, seen = [], frames
        for stage in self.stages:
            made = stage(torch.cat([seen, holes, trust], dim=1))
            # Only inside: absolute error pins a correction to zero where, as in most of a frame, zero is exact.
            made = torch.where(holes > 0, seen + made, frames) if self.residual else made
            results.append(made[..., :height, :width])
            seen = torch.where(holes > 0, made, frames)
        return results

    def flops(self, height: int, width: int) -> float:
        """Floating-point operations (a multiply-accumulate is two) of one frame, forward."""
        height, width = height + -height % MULTIPLE, width + -width % MULTIPLE
        total = 0.0
        for stage in cast(Sequence[BaseNetwork], self.stages):
            for chain in filter(None, (stage.encoder, stage.branch, stage.decoder)):
                area = height * width / (MULTIPLE**2 if chain is stage.decoder else 1)
                for layer in chain:
                    area *= 4 if isinstance(layer, GatedDeconv) else 1 / getattr(layer, "stride", 1) ** 2
                    total += 2 * area * cast(nn.Conv2d, layer.conv).weight.numel()
        return total


def scaled(out_c: int, width: float) -> int:
    """Channels ``out_c`` times ``width``, rounded to an even number of at least four: half of them are gates."""
    return max(4, 2 * round(out_c * width / 2))


def parameter_count(network: nn.Module) -> int:
    """Numbers that training changes."""
    return sum(parameter.numel() for parameter in network.parameters())


def _chain(inputs: int, blocks: Sequence[tuple[int, int, int, int]], width: float) -> nn.Sequential:
    layers = []
    for out_c, kernel, stride, dilation in blocks:
        layers.append(GatedConv(inputs, scaled(out_c, width), kernel, stride, dilation))
        inputs = layers[-1].channels
    return nn.Sequential(*layers)


def _grown(x: Tensor) -> Tensor:
    """Mirrored (repeated, where it is too small) at the right and bottom to a multiple of four."""
    right, down = -x.shape[-1] % MULTIPLE, -x.shape[-2] % MULTIPLE
    if not (right or down):
        return x
    small = right >= x.shape[-1] or down >= x.shape[-2]
    return F.pad(x, (0, right, 0, down), mode="replicate" if small else "reflect")
