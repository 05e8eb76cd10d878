"""A policy that sees a clip in a few numbers alone: the hand-made features, and how fine its detail is.

Which objective suits a clip depends on the detail beside its holes, and thumbnails have lost the finest of it. So that
is measured at full resolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, cat, stack

from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
from videoinpaint.agents.policies.features import BOUND, FEATURES, clip_features, marked_mean
from videoinpaint.agents.policies.inputs import PolicyInput, check_space
from videoinpaint.agents.policies.thumbnails import thumbnails
from videoinpaint.motion.neighbourhoods import window_max, window_mean

DETAILS = {
    "fine": (-4.1, 0.46),
    "fine_beside": (-4.1, 0.49),
    "coarse": (-3.3, 0.39),
    "coarse_beside": (-3.2, 0.42),
}
"""Name -> mean and deviation over studio and real clips, of the logarithm: how much known pixels differ from the mean
of a window around them, of 3 by 3 pixels (fine) and of 7 by 7 (coarse); everywhere, and beside what is flagged."""

RADII = {"fine": 1, "coarse": 3}
BESIDE = 6
"""Pixels from what is flagged, beyond those whose windows reach into it."""
DESCRIBED = len(FEATURES) + len(DETAILS)
_LEAST = 1e-4  # of a difference of brightness: a picture of one colour has a logarithm too


def measured_details(frames: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """By name, each ``(B,)``, in logarithms; where nothing is known beside what is flagged, those of the whole clip.

    Args:
        frames: ``(B, 3T, H, W)`` in 0..255 of any type.
        masks: ``(B, T, H, W)``, the same.
    """
    grey = frames.unflatten(1, (masks.shape[1], 3)).float().mean(2) / 255
    holes = masks.float().gt(127.5).float()
    found = {}
    for name, radius in RADII.items():
        reached = window_max(holes, radius)
        known, near = 1 - reached, window_max(reached, BESIDE) - reached
        detail = (grey - window_mean(grey, radius, repeat_border=True)).abs()
        everywhere = marked_mean(detail * known, known)
        found[name] = everywhere.clamp_min(_LEAST).log()
        beside = marked_mean(detail * near, near).where(near.flatten(1).any(1), everywhere)
        found[f"{name}_beside"] = beside.clamp_min(_LEAST).log()
    return found


def described(frames: Tensor, masks: Tensor) -> Tensor:
    """Standardised, ``(B, DESCRIBED)`` in [-3, 3]: features of the thumbnails, then details; arguments as above."""
    found = measured_details(frames, masks)
    details = [(found[name] - mean) / deviation for name, (mean, deviation) in DETAILS.items()]
    return cat([clip_features(thumbnails(frames, masks)), stack(details, 1).clamp(-BOUND, BOUND)], 1)


def description_space() -> spaces.Dict:
    """The space of :func:`described`."""
    return spaces.Dict({"description": spaces.Box(-BOUND, BOUND, (DESCRIBED,), np.float32)})


class DescriptionExtractor(BaseFeaturesExtractor):
    """What :func:`described` measures ``(B, DESCRIBED)``; nothing of it is learnt.

    Args:
        observation_space: ``frames (3T, H, W)`` and ``masks (T, H, W)``, or their ``description``.
        white: what stands for 255 in frames and masks.

    Raises:
        InputError: another observation space.
    """

    def __init__(self, observation_space: spaces.Dict, white: float = 1.0) -> None:
        check_space(observation_space, description=(DESCRIBED,))
        super().__init__(observation_space, DESCRIBED)
        self.white = white

    def forward(self, observations: Mapping[str, Any]) -> Tensor:
        """See the class."""
        if "description" in observations:
            return observations["description"]
        scale = 255 / self.white
        return described(observations["frames"] * scale, observations["masks"] * scale)


class DescribedPolicy(ClosedLoopPolicy):
    """`ClosedLoopPolicy` that sees a clip in numbers alone, and has no convolutions."""

    extractor: ClassVar[type[BaseFeaturesExtractor]] = DescriptionExtractor

    @classmethod
    def input_for(cls, action_shape: tuple[int, ...]) -> PolicyInput:
        """See `ClosedLoopPolicy`; the same for clips of any shape."""
        return PolicyInput(
            lambda num_frames, height, width: description_space(),
            lambda frames, masks: {"description": described(frames, masks)},
        )
