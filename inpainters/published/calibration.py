"""The clip on which the importance of heads is measured."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from videoinpaint.clips.studio.scenes import Studio
from videoinpaint.composition import GREY

SEED, FRAMES = 7, 2


def calibration_clip(height: int, width: int) -> tuple[Tensor, Tensor]:
    """A studio clip with a grey square hole: frames ``(1, T, 3, H, W)`` in [0, 1] and holes ``(1, T, 1, H, W)``.

    It is the same whenever it is made: a function of a fixed seed.
    """
    clip = Studio().sample(np.random.default_rng(SEED), FRAMES, height, width)
    frames = torch.from_numpy(np.ascontiguousarray(clip.frames)).permute(0, 3, 1, 2)[None].float() / 255
    holes = torch.zeros(1, FRAMES, 1, height, width)
    holes[..., height // 4 : 3 * height // 4, width // 3 : 2 * width // 3] = 1
    return torch.where(holes > 0, torch.full_like(frames, GREY), frames), holes
