"""The environment: single, as one batch, for Stable-Baselines3, and the closed loop they share."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from videoinpaint.envs.env import VideoInpaintEnv
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.envs.one_shot import VideoInpaintOneShotEnv, VideoInpaintOneShotVectorEnv
from videoinpaint.envs.vector import VideoInpaintVectorEnv
from videoinpaint.envs.wrappers import (
    ChannelsLast,
    FloatObservation,
    NaturalControls,
    SingleImage,
    SquareImage,
    Thumbnails,
    TimeAxis,
)

if TYPE_CHECKING:
    from videoinpaint.envs.sb3 import SB3VecEnv, make_sb3_vec

__all__ = [
    "ChannelsLast",
    "ClosedLoop",
    "FloatObservation",
    "NaturalControls",
    "SB3VecEnv",
    "SingleImage",
    "SquareImage",
    "Thumbnails",
    "TimeAxis",
    "VideoInpaintEnv",
    "VideoInpaintOneShotEnv",
    "VideoInpaintOneShotVectorEnv",
    "VideoInpaintVectorEnv",
    "make_sb3_vec",
]


def __getattr__(name: str) -> Any:
    # Stable-Baselines3 takes seconds to import, and an environment alone does not need it.
    if name in ("SB3VecEnv", "make_sb3_vec"):
        return getattr(importlib.import_module("videoinpaint.envs.sb3"), name)
    raise AttributeError(f"module 'videoinpaint.envs' has no attribute {name!r}")
