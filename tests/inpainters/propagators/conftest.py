"""A scene whose target moves, stays inside, touches the border or leaves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

Scene = Callable[..., tuple[Tensor, Tensor]]


def _scene(length: int = 5, left: int = 10, speed: int = 4, top: int = 12) -> tuple[Tensor, Tensor]:
    """A red checked square on grey-green noise, ``speed`` pixels to the right a frame; and its masks."""
    rng = torch.Generator().manual_seed(0)
    noise = F.interpolate(torch.rand(1, 3, 16, 24, generator=rng), size=(48, 72), mode="bilinear")
    frames, masks = noise.clamp(0, 1).mul(0.5).repeat(length, 1, 1, 1), torch.zeros(length, 1, 48, 72)
    frames[:, 1] += 0.3
    check = (torch.arange(16)[:, None] // 4 + torch.arange(16)[None] // 4) % 2
    square = torch.stack([0.6 + 0.4 * check, 0.2 * check, 0.1 * check])
    for t in range(length):
        a = left + speed * t
        seen = slice(max(0, -a), max(0, min(16, 72 - a)))
        place = slice(max(a, 0), max(a, 0) + len(range(*seen.indices(16))))
        frames[t, :, top : top + 16, place] = square[:, :, seen]
        masks[t, :, top : top + 16, place] = 1
    return frames, masks


@pytest.fixture(scope="session")
def scene() -> Scene:
    """Makes frames ``(T, 3, 48, 72)`` and true masks ``(T, 1, 48, 72)``."""
    return _scene
