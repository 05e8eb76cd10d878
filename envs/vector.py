"""Many environments as one batch: inpainting, detection and scoring run once for all of them."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from videoinpaint.checks import MAX_COUNT, MAX_SEED, check_extent, seed_number, shown, whole_number
from videoinpaint.controls import as_numbers
from videoinpaint.envs import snapshot
from videoinpaint.envs.batch import batch_size, join, take
from videoinpaint.envs.calls import Calls
from videoinpaint.envs.control_map import ControlMap
from videoinpaint.envs.core import Core, Outcome
from videoinpaint.envs.env import VideoInpaintEnv
from videoinpaint.envs.episodes import Episode, check_options, rewound
from videoinpaint.envs.infos import TRUNCATED, Info
from videoinpaint.envs.observing import Observation, pictures
from videoinpaint.envs.settings import Settings
from videoinpaint.envs.shelf import Pile, make_shelf
from videoinpaint.errors import InputError
from videoinpaint.protocols import State

OUTPUTS = ("numpy", "torch")

_OBSERVED = ("loop/repaired", "loop/masks")  # the entries of a state that agents see

Seen = tuple[Sequence[int], State]
"""Numbers of environments, and what agents see of them, in that order."""


@dataclass
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


class VideoInpaintVectorEnv(ControlMap, Calls, VectorEnv[Observation, NDArray[np.float32], NDArray[Any]]):
    """`VideoInpaintEnv`, `num_envs` times, as one batch on the device.

    Environment i, reset with seed s, plays the episodes that a single environment reset with seed s + i plays.

    Args:
        num_envs: environments in the batch.
        autoreset_mode: what happens to an environment whose episode ended: "NextStep" begins the next episode at the
            following step (whose action is ignored), "SameStep" at once (the last observation is in
            ``infos["final_obs"]``), "Disabled" leaves it to ``reset(options={"reset_mask": ...})``.
        max_episode_steps: truncate episodes after this many steps.
        render_mode: "rgb_array" or None.
        output: "numpy", or "torch": observations, rewards and ends are new tensors on the device at every step, and
            actions may be tensors. Infos are arrays all the same. Gymnasium's own wrappers take arrays only.
        **settings: as for `VideoInpaintEnv`.

    Raises:
        InputError, UnknownNameError, MissingWeightsError, CorruptWeightsError: before any work starts.
    """

    single: ClassVar[type[VideoInpaintEnv]] = VideoInpaintEnv
    """The environment of which this is many."""
    defaults: ClassVar[dict[str, Any]] = {}
    """Settings that differ from those of `VideoInpaintEnv`."""

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
        self.single_observation_space, self.single_action_space = self._core.spaces()
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._shelf = make_shelf(self.num_envs, self._core.device)
        self._maps = {}
        self._episodes: list[Episode] = []
        self._done = np.ones(self.num_envs, dtype=np.bool_)
        self._generators: list[tuple[np.random.Generator, int]] = [
            seeding.np_random(None) for _ in range(self.num_envs)
        ]

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The generators of the environments."""
        return tuple(generator for generator, _ in self._generators)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seeds of those generators."""
        return tuple(seed for _, seed in self._generators)

    @property
    def episodes(self) -> list[Episode]:
        """What each environment's present episode is about, the true clip included; empty before the first reset.

        For whoever measures. A policy that gets hold of it cheats.
        """
        return list(self._episodes)

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
        if isinstance(seed, list | tuple) or (isinstance(seed, np.ndarray) and seed.ndim):
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
        seen, infos = self._reset(which, seeds, options)
        return self._observe(seen), infos

    def _reset(
        self,
        which: Sequence[int],
        seeds: Sequence[int | None] | None = None,
        options: Sequence[dict[str, Any] | None] | None = None,
    ) -> tuple[Seen, list[dict[str, Any]]]:
        for name, values in (("seed", seeds), ("options", options)):
            if values is not None and len(values) != self.num_envs:
                raise InputError(f"{name} needs one entry an environment, {self.num_envs}, got {len(values)}")
        if self._shelf.empty and len(which) < self.num_envs:
            raise ResetNeeded("the first reset must be of all environments: leave 'reset_mask' out")
        generators = list(self._generators)
        with rewound([generators[i][0] for i in which]):
            drawn, places = self._drawn(which, generators, seeds, options)
            groups = self._shelf.groups(range(len(drawn)))
            piles, told, seen = zip(*(self._begin([drawn[place] for place in group]) for group in groups), strict=True)
        episodes = [drawn[place] for place in places]
        begun = [info for infos in told for info in infos]
        self._shelf.store(which, piles, places)
        self._generators = generators
        table = dict(enumerate(self._episodes)) | dict(zip(which, episodes))
        self._episodes = [table[i] for i in range(self.num_envs)]
        self._applied(which)
        self._done[list(which)] = False
        for i in which:
            self._core.expect(i, generators[i][0])
        # Environments that share an episode get an info each.
        infos = [self._core.info(copy.deepcopy(begun[place]), e) for place, e in zip(places, episodes)]
        return (which, _ordered(join(seen), places)), infos

    def _drawn(
        self,
        which: Sequence[int],
        generators: list[tuple[np.random.Generator, int]],
        seeds: Sequence[int | None] | None,
        options: Sequence[dict[str, Any] | None] | None,
    ) -> tuple[list[Episode], list[int]]:
        """Episodes, and of each environment the place of its own among them; `generators` get those of given seeds.

        Equal episodes are drawn once: those of one seed, where all environments have the same options.
        """
        shared = options is None or not any(options) or all(asked is options[0] for asked in options)
        drawn: list[Episode] = []
        places: list[int] = []
        known: dict[int, int] = {}  # seed -> place
        for i in which:
            seed = None if seeds is None or seeds[i] is None else seed_number(seeds[i])
            if seed is not None:
                generators[i] = seeding.np_random(seed)
            own, asked = self._core.seed(generators[i][0], seed), options[i] if options else None
            if not shared or own not in known:
                known[own] = len(drawn)
                drawn.append(self._core.draw(own, asked))
            places.append(known[own])
        return drawn, places

    def _settings(self, given: dict[str, Any]) -> Settings:
        known = [name for name in inspect.signature(self.single).parameters if name != "render_mode"]
        if unknown := set(given) - set(known):
            raise TypeError(f"unexpected keyword arguments {sorted(unknown)}: use {', '.join(known)}")
        return Settings(**self.defaults | given)

    def _begin(self, episodes: list[Episode]) -> tuple[Pile, list[Info], State]:
        state = self._core.begin(episodes)
        return self._shelf.begun(state, episodes), self._core.begun_infos(state), pictures(state, "loop/")

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[Observation, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """One iteration of every environment.

        Args:
            actions: ``(num_envs, 5)`` in [-1, 1]; with an action grid ``(num_envs, rows, columns, 5)``.

        Raises:
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
        over = np.flatnonzero(self._done).tolist()
        if over and self.autoreset_mode != AutoresetMode.NEXT_STEP:
            raise ResetNeeded(f"the episodes of environments {over} are over: reset them with options['reset_mask']")
        active = np.flatnonzero(~self._done).tolist()
        result, seen = self._advance(values, active)
        done = result.terminated | result.truncated
        self._done = done.copy()
        if self.autoreset_mode == AutoresetMode.SAME_STEP and done.any():
            over, last = np.flatnonzero(done).tolist(), self._observe(*seen)
            result.finals = {i: ({key: _own(value[i]) for key, value in last.items()}, result.infos[i]) for i in over}
        if over:
            begun, infos = self._reset(over)
            seen.append(begun)
            for i, info in zip(over, infos):
                result.infos[i] = info
        result.observation = self._observe(*seen)
        return result

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:  # type: ignore[override]
        """The panels of each environment's middle frame, uint8 ``(h, w, 3)``; None without a render mode."""
        if self.render_mode != "rgb_array":
            return None
        self._check_running()
        return tuple(self._draw(range(self.num_envs)))

    def get_state(self) -> list[dict[str, Any]]:
        """One state an environment, each as of `VideoInpaintEnv.get_state`, exchangeable with it."""
        self._check_running()
        return [
            snapshot.save(self._core, self._shelf.opened([i]), episode, bool(self._done[i]), *self._generators[i])
            for i, episode in enumerate(self._episodes)
        ]

    def get_brief_state(self) -> list[dict[str, Any]]:
        """One state an environment, each as of `VideoInpaintEnv.get_brief_state`, exchangeable with it."""
        self._check_running()
        return [
            snapshot.save_brief(self._core, self._shelf.packed(i), episode, bool(self._done[i]), *self._generators[i])
            for i, episode in enumerate(self._episodes)
        ]

    def set_state(self, states: Sequence[dict[str, Any]]) -> Observation:
        """Continue from one state an environment.

        Raises:
            InputError: a wrong number of states, or states of environments with other arguments.
        """
        if not isinstance(states, list | tuple) or len(states) != self.num_envs:
            raise InputError(f"set_state needs a list of {self.num_envs} states, got {shown(states)}")
        restored = [snapshot.load(self._core, state) for state in states]
        piles = [self._shelf.begun(one.state, [one.episode], one.changed) for one in restored]
        self._shelf.store(range(self.num_envs), piles)
        self._episodes = [one.episode for one in restored]
        self._applied(range(self.num_envs))
        self._done = np.array([one.done for one in restored])
        self._generators = [one.generator for one in restored]
        return self._observe()

    def _observe(self, *seen: Seen) -> Observation:
        """The observation of all environments; what was not seen is looked up. What was seen last counts."""
        known = {i for which, _ in seen for i in which}
        unseen = [i for i in range(self.num_envs) if i not in known]
        groups = self._shelf.groups(unseen) if unseen else []
        rows = [(group, pictures(self._shelf.opened(group, _OBSERVED), "loop/")) for group in groups] + list(seen)
        numbers = [i for which, _ in rows for i in which]
        places = {i: place for place, i in enumerate(numbers)}
        whole = _ordered(join([part for _, part in rows]), [places[i] for i in range(self.num_envs)])
        if self.output == "torch":
            return whole  # type: ignore[return-value]
        return {name: picture.cpu().numpy() for name, picture in whole.items()}

    def close_extras(self, **_: Any) -> None:
        """Stop threads, if there are any; what `close` calls, once."""
        self._core.close()

    def _check_running(self) -> None:
        if self._shelf.empty:
            raise ResetNeeded("no episode has begun: call reset() first")

    def _advance(self, actions: NDArray[np.float64], active: list[int]) -> tuple[BatchStep, list[Seen]]:
        """Step the environments `active`; the others keep their state and get reward 0 and an empty info.

        Returns:
            the step without its observation, and what is to be seen of the environments that were stepped.
        """
        rewards, terminated = np.zeros(self.num_envs), np.zeros(self.num_envs, np.bool_)
        truncated = np.zeros(self.num_envs, np.bool_)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        piles: list[Pile] = []
        seen: list[Seen] = []
        for group in self._shelf.groups(active) if active else []:
            pile, outcome, iterations, picture = self._step(group, actions[group])
            piles.append(pile)
            seen.append((group, picture))
            self._applied(group, outcome.infos)
            rewards[group], terminated[group] = outcome.rewards, outcome.terminated
            if self.max_episode_steps is not None:
                truncated[group] = iterations >= self.max_episode_steps
            for i, info in zip(group, outcome.infos):
                cut = truncated[i] and not terminated[i]
                infos[i] = self._core.info(info | ({"end": TRUNCATED} if cut else {}), self._episodes[i])
        if active:
            self._shelf.store(active, piles)
        return BatchStep({}, rewards, terminated, truncated, infos), seen

    def _step(self, group: list[int], actions: NDArray[np.float64]) -> tuple[Pile, Outcome, NDArray[np.int64], State]:
        before = self._shelf.opened(group)
        after, outcome = self._core.step(before, actions)
        # What was opened ends here: the next group finds its memory free.
        return self._shelf.stepped(group, before, after), outcome, after["iteration"].numpy(), pictures(after, "loop/")

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


def _ordered(state: State, places: Sequence[int]) -> State:
    """The episodes at `places`; the same tensors where that changes nothing."""
    return state if list(places) == list(range(batch_size(state))) else take(state, places)


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
