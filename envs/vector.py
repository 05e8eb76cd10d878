"""Many environments as one batch: inpainting, detection and scoring run once for all of them."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from videoinpaint.checks import MAX_COUNT, MAX_SEED, check_extent, seed_number, shown, whole_number
from videoinpaint.controls import as_numbers
from videoinpaint.envs.calls import Calls
from videoinpaint.envs.common import Common
from videoinpaint.envs.core import Core
from videoinpaint.envs.env import VideoInpaintEnv
from videoinpaint.envs.observing import Observation
from videoinpaint.envs.running import Running, Seen
from videoinpaint.envs.settings import Settings
from videoinpaint.envs.states.episodes import Episode, check_options
from videoinpaint.errors import InputError
from videoinpaint.naming import check_arguments

OUTPUTS = ("numpy", "torch")


@dataclass(frozen=True)
class BatchStep:
    """One step of every environment, before it is dressed as Gymnasium's or as Stable-Baselines3's.

    Attributes:
        observation: after autoresets, new arrays.
        rewards: float64 ``(num_envs,)``.
        terminated: bool ``(num_envs,)``.
        truncated: bool ``(num_envs,)``.
        infos: one dict an environment; that of the new episode where one began.
        finals: for environments that began anew within this step, the old episode's last observation and info.
    """

    observation: Observation
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    infos: list[dict[str, Any]]
    finals: dict[int, tuple[Observation, dict[str, Any]]] = field(default_factory=dict)


class VideoInpaintVectorEnv(Common, Calls, VectorEnv[Observation, NDArray[np.float32], NDArray[Any]]):
    """`VideoInpaintEnv`, `num_envs` times, as one batch on the device.

    Environment i, reset with seed s, plays the episodes that a single environment reset with seed s + i plays.

    Args:
        num_envs: environments in the batch.
        autoreset_mode: what happens to an environment whose episode ended: "NextStep" begins the next episode at the
            following step (whose action is ignored), "SameStep" at once (the last observation is in
            ``infos["final_obs"]``), "Disabled" leaves it to ``reset(options={"reset_mask": ...})``.
        max_episode_steps: truncate episodes after this many steps, unless they have terminated by then.
        render_mode: "rgb_array" or None.
        output: "numpy", or "torch": observations, rewards, terminations and truncations are new tensors on the device
            at every step, and actions may be tensors. Infos stay arrays. Gymnasium's own wrappers take arrays only.
        **settings: as for `VideoInpaintEnv`.

    Raises:
        InputError, UnknownNameError, MissingWeightsError, CorruptWeightsError: before any work starts.
    """

    single: ClassVar[type[VideoInpaintEnv]] = VideoInpaintEnv
    """The environment of which this is many."""
    defaults: ClassVar[dict[str, Any]] = {}
    """Settings that differ from those of `VideoInpaintEnv`."""
    closed = True  # until it is built: older versions of Gymnasium close what __init__ refused
    _spec: EnvSpec | None = None

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        output: str = OUTPUTS[0],
        **settings: Any,
    ) -> None:
        if not isinstance(output, str) or output not in OUTPUTS:
            raise InputError(f"unknown output {shown(output)}: use {' or '.join(map(repr, OUTPUTS))}")
        self.output = output
        whole_number(num_envs, "num_envs", 1, MAX_COUNT)
        if max_episode_steps is not None:
            whole_number(max_episode_steps, "max_episode_steps", 1, 10**9)
        if render_mode is not None and render_mode != "rgb_array":
            raise InputError(
                f"unknown render_mode {shown(render_mode)}: a vector environment knows 'rgb_array' and None"
            )
        self.autoreset_mode = _autoreset(autoreset_mode)
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": 4, "autoreset_mode": self.autoreset_mode}
        self.num_envs, self.max_episode_steps, self.render_mode = int(num_envs), max_episode_steps, render_mode
        asked = self._settings(settings)
        check_extent(asked.num_frames, asked.height, asked.width, self.num_envs)
        self._core = Core(asked)
        self._running = Running(self._core, self.num_envs)
        self.single_observation_space, self.single_action_space = self._core.spaces()
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.closed = False

    @property
    def spec(self) -> EnvSpec | None:
        """What `gymnasium.make_vec` was told, by names that JSON can hold."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self._spec = copy.copy(spec)
        if self._spec is not None and "autoreset_mode" in self._spec.kwargs:
            self._spec.kwargs = self._spec.kwargs | {"autoreset_mode": self.autoreset_mode.value}

    @property  # type: ignore[misc]  # never set, as in Gymnasium's wrappers
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The generators of the environments."""
        return tuple(generator for generator, _ in self._running.generators)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seeds of those generators."""
        return tuple(seed for _, seed in self._running.generators)

    @property
    def episodes(self) -> list[Episode]:
        """What each environment's present episode is about, the true clip included; empty before the first reset.

        For whoever measures. A policy that gets hold of it cheats.
        """
        return list(self._running.episodes)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin episodes.

        Args:
            seed: environment i takes ``seed + i``; or one seed an environment.
            options: as for the single environment, the same for all; ``"reset_mask"``, bool ``(num_envs,)``, limits the
                reset to some of them.

        Raises:
            InputError, UnknownNameError: the options name or hold nothing usable.
        """
        options = check_options(options, "reset_mask")
        which = self._reset_mask(options.pop("reset_mask", None))
        seeds: Sequence[int | None] | None = None
        if (isinstance(seed, Sequence) and not isinstance(seed, str)) or (isinstance(seed, np.ndarray) and seed.ndim):
            seeds = list(seed)
        elif seed is not None:  # an array without dimensions is no number either
            first = seed_number(seed, high=MAX_SEED - self.num_envs)
            seeds = [first + i for i in range(self.num_envs)]
        observation, infos = self.reset_each(which, seeds, [options] * self.num_envs)
        return observation, self._merge(dict(zip(which, infos)))

    def reset_each(
        self,
        which: Sequence[int],
        seeds: Sequence[int | None] | None = None,
        options: Sequence[dict[str, Any] | None] | None = None,
    ) -> tuple[Observation, list[dict[str, Any]]]:
        """Begin episodes in the environments `which`.

        Args:
            which: their indices.
            seeds: one an environment (of all of them), None to draw it.
            options: one dict an environment (of all of them).

        Returns:
            the observation of all environments, and the infos of those in `which`.
        """
        for name, values in (("seed", seeds), ("options", options)):
            if values is not None and len(values) != self.num_envs:
                raise InputError(f"{name} needs one entry an environment, {self.num_envs}, got {len(values)}")
        if self._running.empty and len(which) < self.num_envs:
            raise ResetNeeded("the first reset must be of all environments: leave 'reset_mask' out")
        seen, infos = self._running.begin(which, seeds, options)
        return self._observe(seen), infos

    def _settings(self, given: dict[str, Any]) -> Settings:
        known = [name for name in inspect.signature(self.single).parameters if name != "render_mode"]
        check_arguments(given, known, type(self).__name__)
        return Settings(**self.defaults | given)

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[Observation, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """One iteration of every environment, and new episodes where they are due; or, where either fails, nothing.

        Args:
            actions: ``(num_envs, 5)`` in [-1, 1]; with an action grid ``(num_envs, rows, columns, 5)``.

        Raises:
            Exception: whatever failed, with a note that names the episode; the same step can be taken again.
            ResetNeeded: no episode has begun, or one is over and autoreset is disabled.
            InputError: actions of another shape, or not finite.
        """
        result = self.step_each(actions)
        finals = {i: {"final_obs": obs, "final_info": info} for i, (obs, info) in result.finals.items()}
        infos = self._merge(dict(enumerate(result.infos)), self._merge(finals))
        numbers: tuple[Any, ...] = (result.rewards, result.terminated, result.truncated)
        if self.output == "torch":
            numbers = tuple(torch.from_numpy(array).to(self._core.device) for array in numbers)
        return result.observation, *numbers, infos

    def step_each(self, actions: NDArray[np.float32]) -> BatchStep:
        """As :meth:`step`, with one info dict an environment."""
        self._check_running()
        values = as_numbers(actions, "actions", finite=False)  # those of environments that begin anew are ignored
        expected = (self.num_envs, *self._core.settings.action_shape)
        if values.shape != expected:
            raise InputError(f"actions must have shape {expected}, got {values.shape}")
        over = np.flatnonzero(self._running.done).tolist()
        if over and self.autoreset_mode != AutoresetMode.NEXT_STEP:
            raise ResetNeeded(f"the episodes of environments {over} are over: reset them with options['reset_mask']")
        with self._running.undone():
            return self._advance(values, over)

    def _advance(self, values: NDArray[np.float64], over: list[int]) -> BatchStep:
        """Step the environments whose episodes go on, and begin new episodes in those that are `over` or end so."""
        active = np.flatnonzero(~self._running.done).tolist()
        done = self._running.step(values, active, self.max_episode_steps)
        seen, infos, finals = list(done.seen), list(done.infos), {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP and self._running.done.any():
            over, last = np.flatnonzero(self._running.done).tolist(), self._observe(*seen)
            finals = {i: ({key: _own(value[i]) for key, value in last.items()}, infos[i]) for i in over}
        if over:
            begun, told = self._begin_anew(over)
            seen.append(begun)
            for i, info in zip(over, told):
                infos[i] = info
        return BatchStep(self._observe(*seen), done.rewards, done.terminated, done.truncated, infos, finals)

    def _begin_anew(self, over: list[int]) -> tuple[Seen, list[dict[str, Any]]]:
        try:
            return self._running.begin(over)
        except Exception as error:
            error.add_note(
                f"New episodes were due in environments {over}. The whole step was undone, no environment has moved: "
                "take it again, or reset these with options['reset_mask'] and seeds of your own."
            )
            raise

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """The panels of each environment's middle frame, uint8 ``(h, w, 3)``; None without a render mode."""
        if self.render_mode != "rgb_array":
            return None
        self._check_running()
        return tuple(self._running.draw(range(self.num_envs)))

    def get_state(self) -> list[dict[str, Any]]:
        """One state an environment, each as of `VideoInpaintEnv.get_state`, exchangeable with it."""
        self._check_running()
        return [self._running.state(i) for i in range(self.num_envs)]

    def get_brief_state(self) -> list[dict[str, Any]]:
        """One state an environment, each as of `VideoInpaintEnv.get_brief_state`, exchangeable with it."""
        self._check_running()
        return [self._running.brief_state(i) for i in range(self.num_envs)]

    def set_state(self, states: Sequence[dict[str, Any]]) -> Observation:
        """Continue from one state an environment.

        Raises:
            InputError: a wrong number of states, or states of environments with other arguments.
        """
        if not isinstance(states, list | tuple) or len(states) != self.num_envs:
            raise InputError(f"set_state needs a list of {self.num_envs} states, got {shown(states)}")
        self._running.restore(states)
        return self._observe()

    def _observe(self, *seen: Seen) -> Observation:
        whole = self._running.observe(*seen)
        if self.output == "torch":
            return whole  # type: ignore[return-value]  # tensors were asked for
        return {name: picture.cpu().numpy() for name, picture in whole.items()}

    def close_extras(self, **_: Any) -> None:
        """Stop threads, if there are any; what `close` calls, once."""
        self._core.close()

    def _check_running(self) -> None:
        if self._running.empty:
            raise ResetNeeded("no episode has begun: call reset() first")

    def _merge(self, infos: dict[int, dict[str, Any]], merged: dict[str, Any] | None = None) -> dict[str, Any]:
        """Gymnasium's form of vector infos: arrays over environments and a mask of who has them."""
        merged = merged or {}
        for i, info in infos.items():
            # Gymnasium makes arrays of Python's bool, and of objects for NumPy's.
            plain = {k: bool(v) if isinstance(v, np.bool_) else v for k, v in info.items()}
            merged = self._add_info(merged, plain, i)
        return merged

    def _reset_mask(self, mask: Any) -> list[int]:
        if mask is None:
            return list(range(self.num_envs))
        if (
            not isinstance(mask, np.ndarray)
            or mask.shape != (self.num_envs,)
            or mask.dtype != np.bool_
            or not mask.any()
        ):
            raise InputError(f"options['reset_mask'] must be a bool array ({self.num_envs},) with a True, got {mask!r}")
        return np.flatnonzero(mask).tolist()


def _own(value: Any) -> Any:
    """A copy of a part of an array or of a tensor."""
    return value.clone() if isinstance(value, torch.Tensor) else value.copy()


def _autoreset(mode: str | AutoresetMode) -> AutoresetMode:
    if isinstance(mode, AutoresetMode):
        return mode
    if not isinstance(mode, str):
        raise InputError(f"autoreset_mode is a name, got {shown(mode)}")
    known = {name: one for one in AutoresetMode for name in (one.name, one.value)}
    if mode not in known:
        raise InputError(f"unknown autoreset_mode {mode!r}: use one of {', '.join(m.value for m in AutoresetMode)}")
    return known[mode]
