"""Other views of `VideoInpaint-v0`: with a time axis, channels last, as one image, with actions in natural units."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from videoinpaint.controls import HIGH, LOW, controls_to_action
from videoinpaint.errors import InputError

__all__ = ["ChannelsLast", "NaturalControls", "SingleImage", "TimeAxis"]

Pixels = NDArray[np.uint8]


class TimeAxis(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """Frames as ``(T, H, W, 3)`` and masks as ``(T, H, W, 1)``, for video networks.

    Stable-Baselines3's stock policies flatten 4-D observations: they want the environment as it is.

    Example:
        >>> import gymnasium as gym, videoinpaint
        >>> from videoinpaint.envs.wrappers import TimeAxis
        >>> env = TimeAxis(gym.make("VideoInpaint-v1", inpainter="telea", detector="none"))
        >>> env.observation_space["frames"].shape
        (8, 120, 216, 3)
    """

    def __init__(self, env: gymnasium.Env) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        frames, height, width = _size(env)
        self.observation_space = spaces.Dict(
            frames=_pixels(frames, height, width, 3), masks=_pixels(frames, height, width, 1)
        )

    def observation(self, observation: dict[str, Pixels]) -> dict[str, Pixels]:
        """Split time from the channels and move channels last."""
        masks = observation["masks"]
        frames = observation["frames"].reshape(len(masks), 3, *masks.shape[1:])
        return {"frames": np.ascontiguousarray(frames.transpose(0, 2, 3, 1)), "masks": masks[..., None]}


class ChannelsLast(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """Frames as ``(H, W, 3T)`` and masks as ``(H, W, T)``, for libraries that expect images channels-last."""

    def __init__(self, env: gymnasium.Env) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        frames, height, width = _size(env)
        self.observation_space = spaces.Dict(
            frames=_pixels(height, width, 3 * frames), masks=_pixels(height, width, frames)
        )

    def observation(self, observation: dict[str, Pixels]) -> dict[str, Pixels]:
        """Move the channels last."""
        return {key: np.ascontiguousarray(np.moveaxis(value, 0, -1)) for key, value in observation.items()}


class SingleImage(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """One uint8 Box ``(4T, H, W)``: all frames' channels, then all masks; for policies that take no Dict."""

    def __init__(self, env: gymnasium.Env) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        frames, height, width = _size(env)
        self.observation_space = _pixels(4 * frames, height, width)

    def observation(self, observation: dict[str, Pixels]) -> Pixels:
        """Stack both images."""
        return np.concatenate([observation["frames"], observation["masks"]])


class NaturalControls(gymnasium.ActionWrapper, RecordConstructorArgs):
    """Actions in natural units: heads 2..12, fusion 0.5..0.8, alpha 0.8..1.0, beta 0.3..0.6, gamma 0.1..0.3.

    For people and hand-written policies; trainers want the symmetric unit range.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        self.action_space = spaces.Box(LOW.astype(np.float32), HIGH.astype(np.float32), dtype=np.float32)

    def action(self, action: Any) -> NDArray[np.float32]:
        """Natural units ``(5,)`` to the unit range.

        Raises:
            InputError: another shape, or not finite.
        """
        if np.shape(action) != (5,):
            raise InputError(f"an action has shape (5,), got {np.shape(action)}")
        return controls_to_action(np.asarray(action)[None])[0]


def _size(env: gymnasium.Env) -> tuple[int, int, int]:
    """(T, H, W) of an environment with the original observation.

    Raises:
        InputError: its observation was already changed by another wrapper.
    """
    space = env.observation_space
    if not isinstance(space, spaces.Dict) or set(space) != {"frames", "masks"}:
        raise InputError(f"wrap VideoInpaint-v0 itself: this environment observes {space}")
    frames, masks = space["frames"].shape, space["masks"].shape
    if frames is None or masks is None or len(masks) != 3 or frames != (3 * masks[0], *masks[1:]):
        raise InputError(f"wrap VideoInpaint-v0 itself: this environment observes {space}")
    return masks[0], masks[1], masks[2]


def _pixels(*shape: int) -> spaces.Box:
    return spaces.Box(0, 255, shape, np.uint8)
