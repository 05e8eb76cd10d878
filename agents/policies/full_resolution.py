"""The policy as CLIP-RL describes it: frames and masks at full resolution through a CNN, and nothing hand-made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
from videoinpaint.agents.policies.extractor import summarised
from videoinpaint.agents.policies.inputs import PolicyInput, check_space

LAYERS = ((16, 8, 4), (32, 4, 2), (48, 3, 2))
"""Channels, kernel and stride of each convolution; the paper states none."""


def stacked(frames: Tensor, masks: Tensor) -> Tensor:
    """An observation as pictures of RGB and predicted mask, at its own size.

    Args:
        frames: ``(B, 3T, H, W)``.
        masks: ``(B, T, H, W)``.

    Returns:
        ``(B, T, 4, H, W)`` of the same type.
    """
    return torch.cat([frames.unflatten(1, (masks.shape[1], 3)), masks.unsqueeze(2)], dim=2)


def picture_space(num_frames: int, height: int, width: int) -> spaces.Dict:
    """The space of :func:`stacked`."""
    return spaces.Dict({"pictures": spaces.Box(0, 255, (num_frames, 4, height, width), np.uint8)})


class FullResolutionExtractor(BaseFeaturesExtractor):
    """One CNN for every frame at full resolution and its change to the next, pooled over space, then over time.

    Args:
        observation_space: ``frames (3T, H, W)`` and ``masks (T, H, W)``, or ``pictures`` of them.
        features_dim: size of the result.
        white: what stands for 255 in frames and masks; pictures are always in 0..255.

    Raises:
        InputError: another observation space.
    """

    def __init__(self, observation_space: spaces.Dict, features_dim: int = 64, white: float = 1.0) -> None:
        check_space(observation_space, pictures=(None, 4, None, None))
        super().__init__(observation_space, features_dim)
        self.white = white
        layers: list[nn.Module] = []
        inner = 8
        for outer, kernel, stride in LAYERS:
            layers += [nn.Conv2d(inner, outer, kernel, stride, padding=kernel // 2), nn.ReLU()]
            inner = outer
        self.cnn = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(6 * inner, features_dim), nn.ReLU())

    def forward(self, observations: Mapping[str, Tensor]) -> Tensor:
        """Features ``(B, features_dim)``."""
        seen = observations.get("pictures")
        if seen is None:
            seen = stacked(observations["frames"], observations["masks"]) * (255 / self.white)
        return self.head(summarised(self.cnn, seen))


class PaperPolicy(ClosedLoopPolicy):
    """`ClosedLoopPolicy` that looks at full resolution and knows no hand-made features."""

    extractor: ClassVar[type[BaseFeaturesExtractor]] = FullResolutionExtractor

    @classmethod
    def input_for(cls, action_shape: tuple[int, ...]) -> PolicyInput:
        """See `ClosedLoopPolicy`."""
        return PolicyInput(picture_space, lambda frames, masks: {"pictures": stacked(frames, masks)})
