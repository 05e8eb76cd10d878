"""The convolutional network of the default policy: features of a clip from its thumbnails."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from videoinpaint.agents.policies.features import FEATURES, clip_features
from videoinpaint.agents.policies.inputs import check_space
from videoinpaint.agents.policies.reveal import evenly
from videoinpaint.agents.policies.thumbnails import thumbnails
from videoinpaint.errors import InputError

LOOKED_AT = 8
"""Frames that the CNN sees, evenly spread over a longer clip; the hand-made features are of all of them."""

WIDTHS = (16, 32, 48)


class ClosedLoopExtractor(BaseFeaturesExtractor):
    """One small CNN for every frame of the batch and its change to the next, pooled over space, then over time.

    The change is what shows a moving camera: pooling over space forgets where things are. It works for any number of
    frames and any size: pooling over space gives mean and maximum, pooling over time gives mean, maximum and the mean
    absolute change between neighbouring frames (0 for a single frame). Of a long clip it sees ``LOOKED_AT`` frames.
    Beside the CNN stand the features of :mod:`videoinpaint.agents.policies.features`, which it need not learn.

    Args:
        observation_space: ``frames (3T, H, W)`` and ``masks (T, H, W)``, or ``thumbnails`` of them; where an
            observation has ``features`` of its thumbnails too, these are not measured again.
        features_dim: size of the result: those features as they are, and as many of the CNN as fit beside them.
        white: what stands for 255 in the frames and masks it is given: 1 under Stable-Baselines3's image
            normalisation, 255 without it. Thumbnails are always in 0..255.

    Raises:
        InputError: another observation space, or a `features_dim` with no place for the CNN.
    """

    def __init__(self, observation_space: spaces.Dict, features_dim: int = 64, white: float = 1.0) -> None:
        check_space(observation_space, thumbnails=(None, 4, None, None), features=(len(FEATURES),))
        if features_dim <= len(FEATURES):
            least = len(FEATURES)
            raise InputError(
                f"features_dim must be above the {least} features of agents/policies/features.py, got {features_dim}"
            )
        super().__init__(observation_space, features_dim)
        self.white = white
        layers: list[nn.Module] = []
        for inner, outer in zip((8, *WIDTHS), WIDTHS):
            layers += [nn.Conv2d(inner, outer, 3, stride=2, padding=1), nn.ReLU()]
        self.cnn = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(6 * WIDTHS[-1], features_dim - len(FEATURES)), nn.ReLU())

    def forward(self, observations: Mapping[str, Tensor]) -> Tensor:
        """Features ``(B, features_dim)``."""
        seen = observations.get("thumbnails")
        if seen is None:
            scale = 255 / self.white
            seen = thumbnails(observations["frames"] * scale, observations["masks"] * scale)
        told = observations["features"] if "features" in observations else clip_features(seen)
        return torch.cat([self.head(summarised(self.cnn, seen)), told], dim=1)


def summarised(cnn: nn.Module, seen: Tensor) -> Tensor:
    """What a CNN finds in frames and in their change to the next, pooled over space, then over time: ``(B, 6 C)``.

    Args:
        cnn: ``(N, 8, h, w)`` to ``(N, C, h', w')``.
        seen: RGB and mask ``(B, T, 4, h, w)`` in 0..255; of a long clip ``LOOKED_AT`` frames are looked at.
    """
    seen = seen[:, evenly(seen.shape[1], LOOKED_AT)]
    batch, time = seen.shape[:2]
    shown = seen.float() / 127.5 - 1
    # The last frame's change is that to the frame before; a single frame has none.
    change = shown.diff(dim=1).abs() if time > 1 else torch.zeros_like(shown)
    changes = torch.cat([change, change[:, -1:]], dim=1)[:, :time]
    images = cnn(torch.cat([shown, changes], dim=2).flatten(0, 1))
    per_frame = torch.cat([images.mean((2, 3)), images.amax((2, 3))], dim=1).view(batch, time, -1)
    drift = per_frame.diff(dim=1).abs().sum(1) / max(time - 1, 1)
    return torch.cat([per_frame.mean(1), per_frame.amax(1), drift], dim=1)
