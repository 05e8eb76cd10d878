"""The flags that describe an environment, shared by `train` and `evaluate`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from videoinpaint.errors import InputError


@dataclass(frozen=True)
class EnvironmentFlags:
    """Keyword arguments of the environment under their own names; docs/environment.md explains them."""

    env_id: str = "VideoInpaint-v0"
    """VideoInpaint-v0; VideoInpaintBudget-v0 with a price on compute; VideoInpaintOneShot-v0, where only the first
    frame's mask is known."""
    clips: str | None = None
    """Where clips come from: studio (the default), studio:easy|hard|fast|large, a video, a folder, module:attribute, or
    several of these with commas between; one-shot: one_shot (the default) or one_shot:FOLDER."""
    masks: str = "stationary"
    """Holes: stationary, square, object, mixed, a mask file or folder, module:attribute; not read one-shot."""
    propagator: str | None = None
    """One-shot only: what carries the first frame's mask: flow (the default), cutie, internal, module:attribute."""
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
    reward: Literal["absolute", "improvement"] | None = None
    """The reward of a step: R_n as in the paper, or R_n - R_(n-1); by default as the environment's id says (v0:
    absolute; Budget-v0: improvement)."""
    reward_weights: Literal["action", "fixed"] | None = None
    """Whether the action weighs the reward; by default as the environment's id says (v0: action)."""
    compute_price: float | None = None
    """Reward given up for a pass with all heads; by default as the environment's id says (v0: 0)."""
    device: str = "auto"
    """auto (the GPU where there is one), cpu, cuda, ..."""

    def env_kwargs(self) -> dict[str, Any]:
        """Keyword arguments for `gym.make`, without the id; what the id decides is left out unless asked for.

        Raises:
            InputError: a propagator for an environment whose masks are given.
        """
        one_shot = "OneShot" in self.env_id
        if self.propagator is not None and not one_shot:
            raise InputError(f"--propagator: only with --env-id VideoInpaintOneShot-v0, not {self.env_id}")
        left_out = {"env_id"} | ({"masks"} if one_shot else set())
        names = [field.name for field in fields(EnvironmentFlags) if field.name not in left_out]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}
