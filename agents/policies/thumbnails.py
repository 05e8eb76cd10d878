"""What a policy sees of an observation by default: small pictures of frames and masks, and the features of these."""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from videoinpaint.agents.policies.features import BOUND, FEATURES
from videoinpaint.motion.neighbourhoods import cell_means

THUMBNAIL = (30, 54)
"""Height and width at which the network looks: a quarter of the environment's default size."""


def thumbnails(frames: Tensor, masks: Tensor) -> Tensor:
    """An observation as the network sees it: small pictures of RGB and predicted mask.

    Averaging to a fixed size makes the network independent of the clip's size and cheap on the CPU; rounding to whole
    numbers makes a stored thumbnail (one 16th of the observation) exactly as good as the observation itself.

    Args:
        frames: ``(B, 3T, H, W)`` in 0..255 of any type.
        masks: ``(B, T, H, W)``, the same.

    Returns:
        uint8 ``(B, T, 4, *THUMBNAIL)``.
    """
    batch, time = masks.shape[:2]
    small = [cell_means(images.float(), THUMBNAIL) for images in (frames, masks)]
    parts = [small[0].view(batch, time, 3, *THUMBNAIL), small[1].view(batch, time, 1, *THUMBNAIL)]
    return torch.cat(parts, dim=2).round_().clamp_(0, 255).to(torch.uint8)


def thumbnail_space(num_frames: int) -> spaces.Dict:
    """The space of thumbnails and their features; Stable-Baselines3 takes nothing of four axes for an image."""
    pictures = spaces.Box(0, 255, (num_frames, 4, *THUMBNAIL), np.uint8)
    return spaces.Dict({"thumbnails": pictures, "features": spaces.Box(-BOUND, BOUND, (len(FEATURES),), np.float32)})
