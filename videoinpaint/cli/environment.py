"""The flags that describe an environment, shared by `train` and `evaluate`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal


@dataclass(frozen=True)
class EnvironmentFlags:
    """Keyword arguments of the environment under their own names; docs/environment.md explains them."""

    env_id: str = "VideoInpaint-v0"
    """VideoInpaint-v0, or VideoInpaintBudget-v0 with a price on compute."""
    clips: str = "studio"
    """Where clips come from: studio, studio:easy|hard|fast|large, a video, a folder, module:attribute."""
    masks: str = "stationary"
    """Holes: stationary, square, object, mixed, a mask file or folder, module:attribute."""
    num_frames: int = 8
    """Frames of a clip."""
    height: int = 120
    """Height of a frame, pixels."""
    width: int = 216
    """Width of a frame, pixels."""
    max_iterations: int = 3
    """Refinements of an episode."""
    inpainter: str = "compact"
    """compact, propagation, telea, or module:attribute."""
    detector: str = "compact"
    """compact, none (flags the whole hole), or module:attribute."""
    backbone: Literal["alex", "vgg16"] = "alex"
    """Network behind LPIPS and the feature terms of the reward."""
    reward: Literal["absolute", "improvement"] = "absolute"
    """The reward of a step: R_n as in the paper, or R_n - R_(n-1)."""
    reward_weights: Literal["action", "fixed"] | None = None
    """Whether the action weighs the reward; by default as the environment's id says (v0: action)."""
    compute_price: float | None = None
    """Reward given up for a pass with all heads; by default as the environment's id says (v0: 0)."""
    device: str = "auto"
    """auto (the GPU where there is one), cpu, cuda, ..."""

    def env_kwargs(self) -> dict[str, Any]:
        """Keyword arguments for `gym.make`, without the id; what the id decides is left out unless asked for."""
        names = [field.name for field in fields(EnvironmentFlags) if field.name != "env_id"]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}
