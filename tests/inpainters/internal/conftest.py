"""A small scene with a hole, which training on one clip is tested on."""

from __future__ import annotations

import pytest
import torch

from videoinpaint.inpainters.internal.clip import TrainingClip


@pytest.fixture(scope="module")
def scene() -> tuple[torch.Tensor, torch.Tensor]:
    """Six frames of a striped scene that moves, and a hole that stands still."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(56.0), indexing="ij")
    frames = torch.stack([torch.stack([(0.5 + 0.4 * torch.sin((x + 2 * t) / p)) for p in (5, 7, 9)]) for t in range(6)])
    holes = torch.zeros(6, 1, 40, 56)
    holes[..., 14:26, 20:34] = 1
    return frames * (0.7 + 0.3 * y / 40), holes


@pytest.fixture
def clip(scene):
    return TrainingClip(*scene, "smooth", pool=2)
