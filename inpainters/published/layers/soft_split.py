"""Soft split, soft composition and the fusion feed-forward of FuseFormer (Liu et al., ICCV 2021, "FuseFormer: Fusing
Fine-Grained Information in Transformers for Video Inpainting"), which E2FGVI and ProPainter took over.

Tokens stand for overlapping patches: 7x7 pixels of the feature map, 3 apart, zero padding 3. The papers write every
step with two operators on patch vectors, flattened as (channel, row, column): SS cuts patches (unfold), SC adds
overlapping patches up (fold). A linear layer behind SS is a strided convolution, and one before SC a transposed
convolution, with the same weights in another shape. They are computed as such here: the patch vectors, 49 / 9 times
as large as the map, never exist. Tokens are ``(..., rows, columns, dim)``; the leading dimensions are any number of
frames, which never mix.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KERNEL, STRIDE, PADDING = 7, 3, 3
AREA = KERNEL * KERNEL


def token_grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of tokens for a feature map of ``height`` x ``width``: 60 x 108 gives 20 x 36."""
    rows, columns = ((size + 2 * PADDING - KERNEL) // STRIDE + 1 for size in (height, width))
    return rows, columns


def split(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Linear(SS(features)): features ``(N, C, h, w)`` to tokens ``(N, rows, columns, dim)``.

    Args:
        features: the map to cut.
        weight: ``(dim, C * 49)`` of the linear layer.
        bias: ``(dim,)`` or None.
    """
    kernel = weight.view(len(weight), -1, KERNEL, KERNEL)
    return F.conv2d(features, kernel, bias, stride=STRIDE, padding=PADDING).permute(0, 2, 3, 1)


def fold(tokens: Tensor, weight: Tensor, bias: Tensor | None, size: tuple[int, int]) -> Tensor:
    """SC(Linear(tokens)), overlaps summed up: tokens ``(N, rows, columns, dim)`` to features ``(N, C, h, w)``.

    Args:
        tokens: the tokens.
        weight: ``(C * 49, dim)`` of the linear layer.
        bias: ``(C * 49,)`` or None.
        size: height and width of the map, one that has this token grid.

    Raises:
        ValueError: a map of that size has another token grid.
    """
    if token_grid(*size) != tuple(tokens.shape[1:3]):
        raise ValueError(f"a map of {size} has {token_grid(*size)} tokens, got {tuple(tokens.shape[1:3])}")
    kernel = weight.t().reshape(tokens.shape[-1], -1, KERNEL, KERNEL)
    features = _add_up(tokens.permute(0, 3, 1, 2), kernel, size)
    return features if bias is None else features + _add_up_constant(bias, size).to(features.dtype)


def _add_up(x: Tensor, kernel: Tensor, size: tuple[int, int]) -> Tensor:
    # A transposed convolution cannot know which of three map sizes gave this grid: tell it the remainder.
    rest = [length - (STRIDE * (count - 1) + KERNEL - 2 * PADDING) for length, count in zip(size, x.shape[-2:])]
    return F.conv_transpose2d(x, kernel, stride=STRIDE, padding=PADDING, output_padding=rest)


def _add_up_constant(patch: Tensor, size: tuple[int, int]) -> Tensor:
    """The map ``(1, C, h, w)`` to which the same patch vector ``(C * 49,)`` at every token adds up."""
    ones = patch.new_ones(1, 1, *token_grid(*size))
    return _add_up(ones, patch.view(1, -1, KERNEL, KERNEL), size)


class SoftSplit(nn.Module):
    """SS and its linear embedding: patches of the feature map to tokens. Key: ``embedding``.

    Args:
        channels: channels of the feature map.
        dim: width of a token.
    """

    def __init__(self, channels: int = 128, dim: int = 512) -> None:
        super().__init__()
        self.embedding = nn.Linear(channels * AREA, dim)

    def forward(self, features: Tensor) -> Tensor:
        """``(..., C, h, w)`` to ``(..., rows, columns, dim)``."""
        tokens = split(features.flatten(0, -4), self.embedding.weight, self.embedding.bias)
        return tokens.unflatten(0, features.shape[:-3])


class SoftComposition(nn.Module):
    """SC behind its linear layer: tokens to a feature map, overlaps summed up. Key: ``embedding``.

    Args:
        channels: channels of the feature map.
        dim: width of a token.
        bias: what follows the sum. ``"map"``: a learned tensor ``bias (C, h, w)`` is added, which ties the network to
            one size (FuseFormer, E2FGVI). ``"conv"``: a 3x3 convolution ``bias_conv`` (E2FGVI-HQ, ProPainter). None:
            nothing (DSTT).
        size: height and width of the map; needed for ``"map"``, otherwise ignored.
    """

    def __init__(
        self,
        channels: int = 128,
        dim: int = 512,
        bias: Literal["map", "conv"] | None = "conv",
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.bias: nn.Parameter | None = None
        self.bias_conv: nn.Conv2d | None = None
        self.embedding = nn.Linear(dim, channels * AREA)
        if bias == "map":
            if size is None:
                raise ValueError('bias="map" is a tensor of the size of the feature map: give size=(h, w)')
            self.bias = nn.Parameter(torch.zeros(channels, *size))
        elif bias == "conv":
            self.bias_conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens ``(..., rows, columns, dim)`` to features ``(..., C, h, w)`` with ``size = (h, w)``.

        Raises:
            ValueError: the token grid, or the learned map, belongs to another size.
        """
        if self.bias is not None and tuple(self.bias.shape[-2:]) != tuple(size):
            raise ValueError(f"these weights are tied to features of {tuple(self.bias.shape[-2:])}, got {tuple(size)}")
        features = fold(tokens.flatten(0, -4), self.embedding.weight, self.embedding.bias, size)
        if self.bias is not None:
            features = features + self.bias
        elif self.bias_conv is not None:
            features = self.bias_conv(features)
        return features.unflatten(0, tokens.shape[:-3])


class FusionFeedForward(nn.Module):
    """F3N: a feed-forward whose hidden patches are fused where they overlap.

    With x the tokens and N(.) the division by how many patches cover a pixel:
    ``F3N(x) = Linear(act(SS(N(SC(Linear(x))))))``. The activation acts on single values and keeps zero (ReLU and GELU
    do), so it is applied to the map before it is cut: the same numbers, a fifth of the work.

    Args:
        dim: width of a token.
        hidden: width of the hidden patch vectors, a multiple of 49 (1960 is 40 channels).
        activation: ``"relu"`` (FuseFormer) or ``"gelu"``, exact (E2FGVI, ProPainter).
        names: what the checkpoint calls the two linear layers inside this module: ``("conv1.0", "conv2.2")`` in
            FuseFormer, ``("conv1.0", "conv2.1")`` in E2FGVI, ``("fc1.0", "fc2.1")`` in ProPainter.
    """

    def __init__(
        self,
        dim: int = 512,
        hidden: int = 1960,
        activation: Literal["relu", "gelu"] = "gelu",
        names: tuple[str, str] = ("conv1.0", "conv2.1"),
    ) -> None:
        super().__init__()
        if hidden % AREA:
            raise ValueError(f"hidden is a multiple of {AREA}, got {hidden}")
        self._names = names
        self._activation = activation
        for name, layer in zip(names, (nn.Linear(dim, hidden), nn.Linear(hidden, dim))):
            group, place = name.split(".")
            self.add_module(group, nn.ModuleDict({place: layer}))

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens ``(..., rows, columns, dim)`` of maps of ``size = (h, w)``, same shape back.

        Raises:
            ValueError: a map of that size has another token grid.
        """
        up, down = (cast(nn.Linear, self.get_submodule(name)) for name in self._names)
        hidden = fold(x.flatten(0, -4), up.weight, up.bias, size)
        hidden = hidden / _add_up_constant(hidden.new_ones(AREA), size)
        hidden = F.relu(hidden) if self._activation == "relu" else F.gelu(hidden)
        return split(hidden, down.weight, down.bias).unflatten(0, x.shape[:-3])
