"""From the maps of all scales to one map at full size: how far a pixel is repainted. Not part of the publication."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.1
WIDTH = 32
EACH = 8  # channels that every scale brings
STEEPNESS, HALFWAY = 8, 0.4
"""Before it learns, the joint map is one half where the mean of the maps is ``HALFWAY``; from 0 to 1, the mean takes it
from 0.04 to 0.99."""
SHARPNESS = 10.0
"""Of the softmax over the first frame's places, whose likeness to a pixel lies in [-1, 1]."""


class JointMap(nn.Module):
    """Logits of the joint map: the mean of the maps, corrected by what a few convolutions see at half resolution.

    They see the maps, the comparison of every scale's keys with the target's, channel by channel, a look-up of every
    pixel in the first frame (:func:`looked_up`), and the frames. They begin by correcting nothing.

    Args:
        scales: how many there are.
        keys: channels of a scale's keys; 0 for the maps and frames alone.
    """

    def __init__(self, scales: int, keys: int) -> None:
        super().__init__()
        self.keys = keys
        self.each = nn.ModuleList(nn.Conv2d(keys, EACH, 1) for _ in range(scales if keys else 0))
        entering = scales + 4 + (scales * EACH + 1 if keys else 0)
        self.first = nn.Conv2d(entering, WIDTH, 3, padding=1)
        self.second = nn.Conv2d(WIDTH, WIDTH, 3, padding=2, dilation=2)
        self.third = nn.Conv2d(WIDTH, WIDTH // 2, 3, padding=1)
        self.fine = nn.Conv2d(WIDTH // 2 + 5, WIDTH // 2, 3, padding=1)
        self.last = nn.Conv2d(WIDTH // 2, 1, 3, padding=1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, maps: list[Tensor], compared: list[Tensor], found: Tensor | None, predicted: Tensor, frames: Tensor
    ) -> Tensor:
        """Logits ``(N, 1, H, W)``.

        Args:
            maps: of every scale, ``(N, 1, h, w)``.
            compared: keys times the target's direction, ``(N, keys, h, w)`` of every scale; empty without keys.
            found: the look-up, ``(N, 1, h, w)``; None without keys.
            predicted: ``(N, 1, H, W)`` in [0, 1].
            frames: ``(N, 3, H, W)`` in [0, 1].
        """
        height, width = frames.shape[-2:]
        full, half = (height, width), (height // 2, width // 2)
        seen = [*maps, predicted, frames]
        if found is not None:
            seen += [found, *(layer(x) for layer, x in zip(self.each, compared, strict=True))]
        x = torch.cat([_sized(part, half) for part in seen], dim=1)
        x = F.leaky_relu(self.second(F.leaky_relu(self.first(x * 2 - 1), SLOPE)), SLOPE)
        x = F.leaky_relu(self.third(x), SLOPE)
        mean = torch.stack([_sized(part, full) for part in maps]).mean(0)
        fine = torch.cat([_sized(x, full), mean * 2 - 1, predicted * 2 - 1, frames * 2 - 1], dim=1)
        return STEEPNESS * (mean - HALFWAY) + self.last(F.leaky_relu(self.fine(fine), SLOPE))


def looked_up(keys: Tensor, target: Tensor, length: int) -> Tensor:
    """Whether the places of the first frame that resemble a pixel most belong to the target (as memory networks read).

    Args:
        keys: of unit length, ``(B * T, C, h, w)``.
        target: in the first frame, ``(B, 1, h, w)`` in [0, 1].
        length: T.

    Returns:
        ``(B * T, 1, h, w)`` in [0, 1].
    """
    frames = keys.unflatten(0, (-1, length)).flatten(3)
    similar = torch.einsum("btcn,bcm->btnm", frames, frames[:, 0]) * SHARPNESS
    # Clip by clip: the library sums one product of a batch in another order than a product alone.
    parts = zip(similar.softmax(-1).split(1), target.flatten(1).split(1))
    read = torch.cat([torch.einsum("btnm,bm->btn", each, its) for each, its in parts])
    return read.flatten(0, 1).unsqueeze(1).unflatten(2, keys.shape[-2:])


def _sized(x: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(x.shape[-2:]) == size:
        return x
    if x.shape[-1] > size[1]:
        return F.adaptive_avg_pool2d(x, size)
    return F.interpolate(x, size, mode="bilinear", align_corners=False)
