"""The flags that describe an environment, shared by `train` and `evaluate`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from videoinpaint.envs.ids import check_env
from videoinpaint.registration import DEFAULT_ID


@dataclass(frozen=True)
class EnvironmentFlags:
    """Arguments of the environment under their own names; what is left out is as the id registers it."""

    env_id: str = DEFAULT_ID
    """VideoInpaint-v1; VideoInpaint-v0 with the paper's reward; VideoInpaintBudget-v0 with a price on compute;
    VideoInpaintRegions-v1 with an action for each cell of a grid, which may be skipped, v0 without skipping;
    VideoInpaintOneShot-v1, where only the first frame's mask is known; or a registered id of your own."""
    clips: str | None = None
    """Where clips come from: studio, studio:easy|hard|fast|large, a video, a folder, module:attribute, or several of
    these with commas between; one-shot: one_shot or one_shot:FOLDER."""
    masks: str | None = None
    """Holes: stationary, square, object, mixed, a mask file or folder, module:attribute; not for one-shot ids."""
    propagator: str | None = None
    """One-shot only: what carries the first frame's mask: appearance, flow, internal, cutie (experimental),
    module:attribute."""
    num_frames: int | None = None
    """Frames of a clip."""
    height: int | None = None
    """Height of a frame, pixels."""
    width: int | None = None
    """Width of a frame, pixels."""
    max_iterations: int | None = None
    """Most iterations of an episode, each a repair and a detection."""
    inpainter: str | None = None
    """compact, propagation, telea, ciri, internal, a published network (experimental), or module:attribute."""
    detector: str | None = None
    """compact, none (flags the whole hole), focal (experimental), or module:attribute."""
    backbone: Literal["alex", "vgg16"] | None = None
    """Network behind LPIPS and the feature terms of the reward."""
    reward: Literal["absolute", "improvement"] | None = None
    """The reward of a step: R_n as in the paper, or R_n - R_(n-1)."""
    reward_weights: Literal["action", "fixed"] | None = None
    """Who sets the weights of the reward's terms: the action, or fixed values (0.9, 0.45, 0.2)."""
    weights: str | None = None
    """Weights of the inpainter: a file, or random."""
    detector_weights: str | None = None
    """Weights of the detector: a file, or random."""
    fusion: Literal["network", "boundary", "none"] | None = None
    """What the control fusion means: the network's own, a blend at the hole's boundary, nothing."""
    action_grid: tuple[int, int] | None = None
    """Rows and columns of a grid over the frame with an action for each cell; left out, one for the frame."""
    psnr_scale: float | None = None
    """dB that count as 1 in the reward."""
    compute_price: float | None = None
    """Reward deducted for a pass with all heads; less for fewer heads."""
    device: str | None = None
    """auto (the GPU where there is one), cpu, cuda, ..."""

    def env_kwargs(self) -> dict[str, Any]:
        """Keyword arguments for `gym.make`, without the id: the flags that were given, and nothing else.

        Raises:
            UnknownNameError: nobody registered the id.
            InputError: the environment of this id does not take a flag that was given.
        """
        names = [field.name for field in fields(EnvironmentFlags) if field.name != "env_id"]
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        check_env(self.env_id, given)
        return given
