"""Other views of the environments: with a time axis, channels last, as one image, with actions in natural units."""

from __future__ import annotations

from typing import Any, cast

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from videoinpaint.checks import MAX_SIDE, whole_number
from videoinpaint.controls import HEADS, HIGH, LOW, NAMES, as_numbers, controls_to_action
from videoinpaint.envs.actions import check_action_space
from videoinpaint.envs.observing import frames_of, masks_space
from videoinpaint.errors import InputError
from videoinpaint.motion.neighbourhoods import cell_means

__all__ = [
    "ChannelsLast",
    "FloatObservation",
    "NaturalControls",
    "SingleImage",
    "SquareImage",
    "Thumbnails",
    "TimeAxis",
]

Pixels = NDArray[np.uint8]


class TimeAxis(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """Frames as ``(T, H, W, 3)`` and masks as ``(T, H, W, 1)``, for video networks.

    Stable-Baselines3's stock policies flatten 4-D observations: they want the environment as it is.

    Raises:
        InputError: the observation is not ``frames (3T, H, W)`` and ``masks (T, H, W)``.

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
        kind = masks_space(env)
        self.observation_space = spaces.Dict(
            frames=_like(kind, frames, height, width, 3), masks=_like(kind, frames, height, width, 1)
        )

    def observation(self, observation: dict[str, Pixels]) -> dict[str, Pixels]:
        """Split time from the channels and move channels last."""
        frames = np.ascontiguousarray(frames_of(observation["frames"]))
        return {"frames": frames, "masks": observation["masks"][..., None].copy()}


class ChannelsLast(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """Frames as ``(H, W, 3T)`` and masks as ``(H, W, T)``, or a `SingleImage` as ``(H, W, 4T)``.

    Raises:
        InputError: the channels are last already, or the observation is no image.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        _check_channels_first(env)
        space = env.observation_space
        parts = space.spaces if isinstance(space, spaces.Dict) else {"": space}
        moved: dict[str, spaces.Space[Any]] = {
            key: _like(box, *_shape(box)[1:], _shape(box)[0]) for key, box in parts.items()
        }
        self.observation_space = spaces.Dict(moved) if isinstance(space, spaces.Dict) else moved[""]

    def observation(self, observation: Any) -> Any:
        """Move the channels last."""
        if isinstance(observation, dict):
            return {key: np.ascontiguousarray(np.moveaxis(value, 0, -1)) for key, value in observation.items()}
        return np.ascontiguousarray(np.moveaxis(observation, 0, -1))


class SingleImage(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """One Box instead of two, all frames' channels before all masks; for policies that take no Dict.

    ``(4T, H, W)``; over `ChannelsLast` ``(H, W, 4T)``, over `TimeAxis` ``(T, H, W, 4)``.

    Raises:
        InputError: the observation is not a Dict of frames and masks.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        space = env.observation_space
        if not isinstance(space, spaces.Dict) or set(space) != {"frames", "masks"}:
            raise InputError(f"SingleImage joins frames and masks: this environment observes {space}")
        self._axis = -1 if _has(env, ChannelsLast, TimeAxis) else 0
        shape = list(_shape(space["frames"]))
        shape[self._axis] += _shape(space["masks"])[self._axis]
        self.observation_space = _like(space["masks"], *shape)

    def observation(self, observation: dict[str, Pixels]) -> Pixels:
        """Stack both images."""
        return np.concatenate([observation["frames"], observation["masks"]], axis=self._axis)


class FloatObservation(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """The same pixels as float32 in [0, 1] instead of uint8, four times the memory; over any other view.

    Stable-Baselines3's CNN policies take uint8 and do this themselves.

    Raises:
        InputError: the observation is not of uint8.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        space = env.observation_space
        parts = space.spaces if isinstance(space, spaces.Dict) else {"": space}
        if any(box.dtype != np.uint8 for box in parts.values()):
            raise InputError(f"FloatObservation divides uint8 by 255: this environment observes {space}")
        scaled: dict[str, spaces.Space[Any]] = {
            key: spaces.Box(0.0, 1.0, _shape(box), np.float32) for key, box in parts.items()
        }
        self.observation_space = spaces.Dict(scaled) if isinstance(space, spaces.Dict) else scaled[""]

    def observation(self, observation: Any) -> Any:
        """Scale to [0, 1]."""
        if isinstance(observation, dict):
            return {key: value.astype(np.float32) / np.float32(255) for key, value in observation.items()}
        return observation.astype(np.float32) / np.float32(255)


class Thumbnails(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """Small frames ``(3T, height, width)`` and masks ``(T, height, width)``, uint8 averages over cells of pixels.

    A replay buffer of a million full observations of the default size holds a million times 32 planes of 120x216 bytes,
    829 GB; at 30x54 it is 52 GB. Other views go over this one.

    Args:
        env: observing ``frames (3T, H, W)`` and ``masks (T, H, W)``, uint8.
        height: in pixels; 30 is a quarter of the environment's default. Stable-Baselines3's own network needs 36.
        width: in pixels.

    Raises:
        InputError: other observations, or sizes that are no whole numbers between 1 and the observation's.
    """

    def __init__(self, env: gymnasium.Env, height: int = 30, width: int = 54) -> None:
        RecordConstructorArgs.__init__(self, height=height, width=width)
        super().__init__(env)
        frames, *full = _size(env)
        height = whole_number(height, "the height of thumbnails", 1, full[0])
        width = whole_number(width, "the width of thumbnails", 1, full[1])
        if masks_space(env).dtype != np.uint8:
            raise InputError("Thumbnails average uint8: put FloatObservation over it instead of under it")
        self._small = (height, width)
        self.observation_space = spaces.Dict(
            frames=_pixels(3 * frames, height, width), masks=_pixels(frames, height, width)
        )

    def observation(self, observation: dict[str, Pixels]) -> dict[str, Pixels]:
        """Average over cells."""
        return {key: _averaged(value, self._small) for key, value in observation.items()}


class SquareImage(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """One square uint8 image ``(size, size, 4T)``, as RLlib's default CNN encoders accept it at 84.

    Args:
        env: observing ``frames (3T, H, W)`` and ``masks (T, H, W)``, uint8.
        size: in pixels; smaller frames are enlarged by repetition.

    Raises:
        InputError: other observations, or a size that is no whole number of at least 1.
    """

    def __init__(self, env: gymnasium.Env, size: int = 84) -> None:
        RecordConstructorArgs.__init__(self, size=size)
        super().__init__(env)
        frames, *_ = _size(env)
        if masks_space(env).dtype != np.uint8:
            raise InputError("SquareImage resizes uint8: put FloatObservation over it instead of under it")
        self.size = whole_number(size, "size", 1, MAX_SIDE)
        self.observation_space = _pixels(self.size, self.size, 4 * frames)

    def observation(self, observation: dict[str, Pixels]) -> Pixels:
        """Stack both, resize, and move the channels last."""
        stacked = np.concatenate([observation["frames"], observation["masks"]])
        return np.ascontiguousarray(np.moveaxis(_averaged(stacked, (self.size, self.size)), 0, -1))


class NaturalControls(gymnasium.ActionWrapper, RecordConstructorArgs):
    """Actions in natural units: heads 2..12, fusion 0.5..0.8, alpha 0.8..1.0, beta 0.3..0.6, gamma 0.1..0.3.

    Where cells may be skipped, heads go on down to 0. With an action grid one setting for each cell,
    ``(rows, columns, 5)``. For people and hand-written policies;
    trainers want the symmetric unit range.

    Raises:
        InputError: the environment's actions are not in the unit range: natural already, or rescaled.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        skips = check_action_space(env.action_space, "NaturalControls")
        self._shape = _shape(env.action_space)
        low, high = (np.broadcast_to(end, self._shape).astype(np.float32).copy() for end in (LOW, HIGH))
        low[..., HEADS] = 0 if skips else LOW[HEADS]
        self.action_space = spaces.Box(low, high, dtype=np.float32)

    def action(self, action: Any) -> NDArray[np.float32]:
        """Natural units, as the action space has them, to the unit range.

        Raises:
            InputError: another shape, not finite, or out of the action space.
        """
        values = as_numbers(action)
        if values.shape != self._shape:
            raise InputError(f"an action has shape {self._shape}, got {values.shape}")
        space, slack = cast(spaces.Box, self.action_space), 1e-6  # float32 cannot hold the ends of all ranges
        beyond = np.argwhere((values < space.low - slack) | (values > space.high + slack))
        if len(beyond):
            at = tuple(beyond[0])
            raise InputError(f"{NAMES[at[-1]]} must lie in {space.low[at]:g} to {space.high[at]:g}, got {values[at]:g}")
        return controls_to_action(values[None])[0]


def _size(env: gymnasium.Env) -> tuple[int, int, int]:
    """(T, H, W) of an environment with the original observation.

    Raises:
        InputError: its observation was already changed by another wrapper.
    """
    space = env.observation_space
    if not isinstance(space, spaces.Dict) or set(space) != {"frames", "masks"}:
        raise InputError(f"wrap the environment itself: this environment observes {space}")
    frames, masks = space["frames"].shape, space["masks"].shape
    if frames is None or masks is None or len(masks) != 3 or frames != (3 * masks[0], *masks[1:]):
        raise InputError(f"wrap the environment itself: this environment observes {space}")
    _check_channels_first(env)
    return masks[0], masks[1], masks[2]


def _check_channels_first(env: gymnasium.Env) -> None:
    if _has(env, ChannelsLast, TimeAxis, SquareImage):
        raise InputError(
            f"its channels are last already: this environment observes {env.observation_space}; put this view under it"
        )


def _has(env: gymnasium.Env, *views: type[gymnasium.Wrapper]) -> bool:
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, views):
            return True
        env = env.env
    return False


def _averaged(images: Pixels, size: tuple[int, int]) -> Pixels:
    """Images ``(C, H, W)`` at another size, averages over the pixels that fall into a cell."""
    averages = cell_means(torch.from_numpy(images).float()[None], size)[0]
    return averages.round_().to(torch.uint8).numpy()


def _shape(box: spaces.Space[Any]) -> tuple[int, ...]:
    return tuple(box.shape or ())


def _like(box: spaces.Space[Any], *shape: int) -> spaces.Box:
    """A Box of this shape with another's type and range."""
    return _pixels(*shape) if box.dtype == np.uint8 else spaces.Box(0.0, 1.0, shape, np.float32)


def _pixels(*shape: int) -> spaces.Box:
    return spaces.Box(0, 255, shape, np.uint8)
