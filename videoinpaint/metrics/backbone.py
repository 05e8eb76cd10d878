"""The frozen AlexNet or VGG16 behind LPIPS, the perceptual term and the temporal term: one pass, five layers.

LPIPS follows Zhang et al., CVPR 2018, version 0.1 of its weights, and equals the ``lpips`` package to 1e-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videoinpaint.errors import CorruptWeightsError, InputError, UnknownNameError
from videoinpaint.metrics.checks import check_holes, check_pair
from videoinpaint.weights import check_tensors, load_tensors

_ALEX = [("conv", 3, 64, 11, 4, 2), "pool3", ("conv", 64, 192, 5, 1, 2), "pool3", ("conv", 192, 384, 3, 1, 1),
         ("conv", 384, 256, 3, 1, 1), ("conv", 256, 256, 3, 1, 1)]  # fmt: skip
_VGG = [("conv", 3, 64), ("conv", 64, 64), "pool2", ("conv", 64, 128), ("conv", 128, 128), "pool2", ("conv", 128, 256),
        ("conv", 256, 256), ("conv", 256, 256), "pool2", ("conv", 256, 512), ("conv", 512, 512), ("conv", 512, 512),
        "pool2", ("conv", 512, 512), ("conv", 512, 512), ("conv", 512, 512)]  # fmt: skip
# name -> (ImageNet entry, LPIPS entry, layers, indices after which the five layers are read, smallest side in pixels)
_NETS: dict[str, tuple[str, str, list[Any], tuple[int, ...], int]] = {
    "alex": ("alexnet", "lpips-alex", _ALEX, (1, 4, 7, 9, 11), 31),
    "vgg16": ("vgg16", "lpips-vgg16", _VGG, (3, 8, 15, 22, 29), 16),
}
BACKBONES = tuple(_NETS)


class Backbone(nn.Module):
    """A frozen network that gives the five feature layers LPIPS reads; gradients flow to the input, not the weights.

    Args:
        net: "alex" (default; 64, 192, 384, 256, 256 channels) or "vgg16" (64, 128, 256, 512, 512).

    Attributes:
        channels: of the five layers.
        min_size: the smallest height and width it accepts, in pixels.

    Raises:
        UnknownNameError: no such network.
        MissingWeightsError: its ImageNet weights are absent; the message names the command that gets them.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, net: str = "alex") -> None:
        super().__init__()
        if net not in _NETS:
            raise UnknownNameError(f"unknown backbone {net!r}: use one of {', '.join(_NETS)}")
        imagenet, linear, layers, self._taps, self.min_size = _NETS[net]
        self.net = net
        self.features = _build(layers)
        tensors = load_tensors(imagenet)
        check_tensors(_Named(self.features), tensors, imagenet)
        self.features.load_state_dict(
            {key.removeprefix("features."): value.float() for key, value in tensors.items()}, assign=True
        )
        lins = load_tensors(linear)
        convolutions = (cast(nn.Conv2d, self.features[tap - 1]) for tap in self._taps)
        self.channels = tuple(one.out_channels for one in convolutions)
        for layer, channels in enumerate(self.channels):
            key = f"lin{layer}.model.1.weight"
            if key not in lins or lins[key].numel() != channels:
                raise CorruptWeightsError(f"the weights {linear!r} lack {key} of {channels} numbers: get them again")
            self.register_buffer(f"lin{layer}", lins[key].flatten().float(), persistent=False)
        # LPIPS maps [0, 1] to [-1, 1] and then standardises; the two affine maps are one.
        shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
        self.register_buffer("shift", ((1 + shift) / scale).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", (2 / scale).view(3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval().to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> Backbone:
        """Frozen: it stays in evaluation mode."""
        return super().train(False)

    def lin(self, layer: int) -> Tensor:
        """LPIPS's weights per channel of a layer, ``(C,)``, >= 0."""
        return getattr(self, f"lin{layer}")

    def forward(self, frames: Tensor, layers: int = 5) -> list[Tensor]:
        """The five layers of ``frames (..., 3, H, W)`` in [0, 1], each ``(N, C, h, w)``, N the product of ``...``,
        channels last in memory.

        Args:
            frames: RGB.
            layers: how many of the layers to compute, from the first; the rest costs nothing.
        """
        if frames.ndim < 3 or frames.shape[-3] != 3 or min(frames.shape[-2:]) < self.min_size:
            raise InputError(
                f"the {self.net} backbone needs (..., 3, H, W) frames of at least {self.min_size} pixels a side, "
                f"got {tuple(frames.shape)}"
            )
        x = frames.to(self.scale.dtype).reshape(-1, *frames.shape[-3:]) * self.scale - self.shift
        # On a CPU AlexNet's first layer takes six tenths of the time so, and pooling a twentieth (an ad-hoc script).
        x = x.contiguous(memory_format=torch.channels_last)
        outputs = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._taps:
                outputs.append(x)
                if len(outputs) == layers:
                    break
        return outputs

    def lpips(self, features_a: Sequence[Tensor], features_b: Sequence[Tensor]) -> Tensor:
        """LPIPS ``(N,)`` from two lists of features of :meth:`forward`."""
        maps = self.lpips_maps(features_a, features_b)
        return torch.stack([m.flatten(1).mean(1, dtype=torch.float64) for m in maps]).sum(0).to(maps[0].dtype)

    def lpips_maps(self, features_a: Sequence[Tensor], features_b: Sequence[Tensor]) -> list[Tensor]:
        """Where LPIPS comes from: per layer ``(N, 1, h, w)``, >= 0; LPIPS is the sum of their means."""
        maps = []
        for layer, (a, b) in enumerate(zip(features_a, features_b)):
            squared = (unit_length(a) - unit_length(b)).square()
            # A sum, not a 1x1 convolution: its order does not depend on the batch, so an item scores as it does alone.
            maps.append((squared * self.lin(layer).view(-1, 1, 1)).sum(1, keepdim=True))
        return maps


def unit_length(features: Tensor) -> Tensor:
    """Features divided by their length over the channels (LPIPS, Section 3). Zero stays zero, with zero gradient."""
    length = (features * features).sum(1, keepdim=True).clamp_min(1e-20).sqrt()
    return features / (length + 1e-10)


class _Named(nn.Module):
    """Gives the layers torchvision's prefix, for the strict check."""

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features


def _build(layers: list[Any]) -> nn.Sequential:
    parts: list[nn.Module] = []
    for layer in layers:
        if layer == "pool3":
            parts.append(nn.MaxPool2d(3, 2))
        elif layer == "pool2":
            parts.append(nn.MaxPool2d(2, 2))
        else:
            channels_in, channels_out, *geometry = layer[1:]
            kernel, stride, padding = geometry or (3, 1, 1)
            # "meta": no random initialisation, the loaded tensors take the place of these.
            parts.append(nn.Conv2d(channels_in, channels_out, kernel, stride, padding, device="meta"))
            parts.append(nn.ReLU())
    return nn.Sequential(*parts)


@lru_cache(maxsize=8)
def get_backbone(net: str = "alex", device: str = "cpu") -> Backbone:
    """The shared backbone of a device; it is built once. Do not modify it."""
    return Backbone(net).to(device)


def lpips_from_features(features_a: Sequence[Tensor], features_b: Sequence[Tensor], net: str = "alex") -> Tensor:
    """LPIPS ``(N,)`` from two lists of five features of the same network; differentiable."""
    return get_backbone(net, str(features_a[0].device)).lpips(features_a, features_b)


def lpips(a: Tensor, b: Tensor, net: str = "alex") -> Tensor:
    """LPIPS per frame, ``(B, T)``, >= 0; lower is better; differentiable. Equals the ``lpips`` package to 1e-5.

    Args:
        a: ``(B, T, 3, H, W)`` in [0, 1].
        b: as ``a``.
        net: "alex" or "vgg16".

    Raises:
        InputError: wrong shapes, values outside [0, 1], NaN, or frames too small for the network.
    """
    check_pair(a, b)
    backbone = get_backbone(net, str(a.device))
    return backbone.lpips(backbone(a), backbone(b)).view(a.shape[:2])


def lpips_hole(a: Tensor, b: Tensor, holes: Tensor, net: str = "alex") -> Tensor:
    """LPIPS inside the hole, ``(B, T)``: each layer's distance map averaged with the hole's share of a cell as weight.

    The frames are seen whole: a cell's features also depend on what surrounds the hole. NaN for a frame without a hole.
    """
    check_pair(a, b)
    check_holes(a, holes)
    backbone = get_backbone(net, str(a.device))
    inside, parts = (holes > 0).float().flatten(0, 1), []
    for distances in backbone.lpips_maps(backbone(a), backbone(b)):
        share = F.adaptive_avg_pool2d(inside, (distances.shape[-2], distances.shape[-1]))
        parts.append((distances * share).flatten(1).sum(1) / share.flatten(1).sum(1))
    return torch.stack(parts).sum(0).view(a.shape[:2])


def layer_distance(features_a: Sequence[Tensor], features_b: Sequence[Tensor]) -> Tensor:
    """L_perce of Eq. 5: mean over the layers of the mean absolute difference, ``(N,)``."""
    # Summed in double precision: rounded once, the result does not depend on how many frames a batch holds.
    distances = [(a - b).abs().mean((1, 2, 3), dtype=torch.float64) for a, b in zip(features_a, features_b)]
    return torch.stack(distances).mean(0).to(features_a[0].dtype)
