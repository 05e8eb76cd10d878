"""Trying plans on training episodes: what each of them returns, cell by cell of an action grid.

A plan is one setting for the first pass and one for those after it, for all cells alike. Its episode is played from the
same beginning as every other plan's, to the end, and the environment's reward maps say what arose in which cell, pass
by pass: where an agent may stop, they also tell what going on was worth. Controls act where
they are set, so that one such table tells, nearly, what any map of settings would return; docs/agents.md
says how nearly.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from videoinpaint.agents.policies.cells import CHANNELS
from videoinpaint.agents.ppo.view import by_cell
from videoinpaint.checks import seed_number, whole_number
from videoinpaint.controls import DEFAULT, OBJECTIVES, Controls, controls_to_action
from videoinpaint.envs.episodes import TRAINING_SEEDS
from videoinpaint.envs.ids import argument_of, check_env, effective_kwargs
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.files import locked, user_path, writing
from videoinpaint.regions import influence
from videoinpaint.weights import read_file, save_safetensors

FORMAT = "videoinpaint-trial-6"
ENTRIES = ("first", "later", "returns", "influence")
_BESIDE = ("bank", "compile", "device", "flat_info", "precision", "prefetch", "reward_map")
"""Arguments of an environment that say how it computes and not what."""
FIRST = (2, 4, 6, 8, 12)
"""Heads of the first pass; passes after it have 2, which look on where the first one stopped. Of the compact network 6
look 4 frames far and 8 look 7: between those two, and not between 6 and 12, lies what clips of 8 frames gain."""
ENDS = (2, 12)
"""Heads of the first pass with which the other objective is tried."""
OBJECTIVE = "texture"
"""What is tried beside the default's, "average". Other fusions, and "fidelity", were tried too, and were worse in all
but few episodes, which nothing that a policy sees tells apart (docs/agents.md)."""


def _plans() -> tuple[tuple[Controls, Controls], ...]:
    settings = [(heads, DEFAULT.fusion, *OBJECTIVES["average"]) for heads in FIRST]
    settings += [(heads, DEFAULT.fusion, *OBJECTIVES[OBJECTIVE]) for heads in ENDS]
    return tuple((Controls(*one), Controls(FIRST[0], *one[1:])) for one in settings)


PLANS = _plans()
"""First pass and later ones: the numbers of heads at the default objective, then the fewest and the most of them at the
other one. The fusion is the default's."""


@dataclass(frozen=True)
class Trials:
    """What plans returned on some episodes.

    Attributes:
        first: features of cells before the first pass, ``(N, CHANNELS, rows, columns)``.
        later: before the passes after it, ``(N, plans, passes - 1, CHANNELS, rows, columns)``.
        returns: what arose in which pass and cell, price included, ``(N, plans, passes, rows, columns)``.
        influence: of the settings around it, how much each counts in a cell's missing pixels, ``(N, 9, rows, columns)``
            (:func:`videoinpaint.regions.influence`).
        environment: ``env_id`` and ``env``, the arguments, of the environment that was played.
    """

    first: Tensor
    later: Tensor
    returns: Tensor
    influence: Tensor
    environment: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many episodes."""
        return len(self.first)

    @property
    def skips(self) -> bool:
        """Whether an agent may stop in the environment that was played."""
        return bool(self.environment.get("env", {}).get("skips"))

    @staticmethod
    def load(*folders: str | Path) -> Trials:
        """What :func:`build_trials` wrote, several processes perhaps, each into a folder of its own.

        Raises:
            InputError: there is nothing in one of them, or episodes of different environments, or one episode twice.
            CorruptWeightsError: a file is damaged or is something else.
        """
        paths = []
        for folder in folders:
            found_here = sorted(user_path(folder).glob("*.safetensors"))
            if not found_here:
                raise InputError(f"no trials in {folder}: make them with `videoinpaint trials build {folder}`")
            paths += found_here
        where = " and ".join(map(str, folders))
        if not paths:
            raise InputError("no folder of trials was named: make one with `videoinpaint trials build`")
        if len({path.name for path in paths}) < len(paths):
            raise InputError(f"{where} hold the same episodes: give each folder a --first-seed of its own")
        found, told = zip(*(_read(path) for path in paths))
        if len(set(told)) > 1:
            raise InputError(f"trials in {where} are of different environments: keep them in folders of their own")
        whole = {name: torch.stack([one[name].float() for one in found]) for name in ENTRIES}
        return Trials(**whole, environment=json.loads(told[0]))


def _read(path: Path) -> tuple[dict[str, Tensor], str]:
    """What a file holds, and of which environment it is."""
    tensors, metadata = read_file(path)
    told = f"{path} is no trial of this version: delete it, and build it again"
    if metadata.get("format") != FORMAT or set(tensors) != set(ENTRIES):
        raise CorruptWeightsError(told)
    grid, passes = tensors["first"].shape[1:], tensors["later"].shape[1:2]
    wanted = {"first": (CHANNELS, *grid), "later": (len(PLANS), *passes, CHANNELS, *grid)}
    wanted |= {"returns": (len(PLANS), *(later + 1 for later in passes), *grid), "influence": (9, *grid)}
    if any(tuple(tensors[name].shape) != shape or not tensors[name].isfinite().all() for name, shape in wanted.items()):
        raise CorruptWeightsError(told)
    return tensors, metadata.get("environment", "{}")


def build_trials(
    folder: str | Path,
    env_id: str = "VideoInpaintRegions-v1",
    env_kwargs: Mapping[str, Any] | None = None,
    *,
    episodes: int = 500,
    first_seed: int = TRAINING_SEEDS,
    on_done: Callable[[], Any] | None = None,
) -> int:
    """Play every plan on the episodes of these seeds, a file for each; what is there already is not played again.

    Args:
        folder: where the files go.
        env_id: an environment with an action grid whose reward is the improvement.
        env_kwargs: its arguments.
        episodes: how many.
        first_seed: of the first; the others follow.
        on_done: called after every episode.

    Returns:
        how many were played in this run.

    Raises:
        UnknownNameError: nobody registered the id.
        InputError: the environment cannot tell where its reward arose, the folder holds trials of another one, or
            another process builds here.
    """
    whole_number(episodes, "episodes", 1, 10**9)
    seed_number(first_seed)
    place, kwargs = user_path(folder), dict(env_kwargs or {}) | {"reward_map": True}
    check_env(env_id, kwargs)
    passes = int(argument_of(env_id, kwargs, "max_iterations") or 0)
    if passes < 2:
        raise InputError(f"{env_id}: plans differ in what follows the first pass: give max_iterations of 2 or more")
    chosen = {name: value for name, value in effective_kwargs(env_id, kwargs).items() if name not in _BESIDE}
    told = json.dumps({"env_id": env_id, "env": chosen}, sort_keys=True)
    env, made = gymnasium.make(env_id, **kwargs), 0
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
    with locked(place, f"another process builds trials in {place}: wait for it, or name another folder"):
        earlier = next(place.glob("*.safetensors"), None)
        if earlier is not None and _read(earlier)[1] != told:
            raise InputError(f"{place} holds trials of another environment than {env_id} as asked: name another folder")
        for seed in range(first_seed, first_seed + episodes):
            path = place / f"{seed:010d}.safetensors"
            if not path.exists():
                save_safetensors(path, try_plans(env, seed, passes), {"format": FORMAT, "environment": told})
                made += 1
            if on_done is not None:
                on_done()
    env.close()
    return made


def try_plans(env: gymnasium.Env, seed: int, passes: int) -> dict[str, Tensor]:
    """One episode, of at most so many passes, under every plan: the entries of :class:`Trials`, without their first
    dimension.
    """
    rows, columns = env.action_space.shape[:2]  # type: ignore[index]
    base: Any = env.unwrapped
    start_observation, _ = env.reset(seed=seed)
    start = base.get_state()
    first = _cells(start_observation, (rows, columns))
    later, returns = [], []
    for plan in PLANS:
        base.set_state(start)
        arose, seen = np.zeros((passes, rows, columns)), []
        for iteration in range(passes):
            setting = controls_to_action(plan[min(iteration, 1)].to_array()[None])[0]
            observation, _, ended, _, info = env.step(np.broadcast_to(setting, (rows, columns, 5)).copy())
            arose[iteration] = info["reward_map"]
            seen.append(_cells(observation, (rows, columns)))
            if ended:
                break
        # An episode that is repaired early goes on looking as it did.
        seen += [seen[-1]] * (passes - len(seen))
        later.append(np.stack([first, *seen])[1:passes])
        returns.append(arose)
    found = {"first": first, "later": np.stack(later).astype(np.float16), "returns": np.stack(returns)}
    tensors = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in found.items()}
    missing = torch.from_numpy(start_observation["masks"]).float().mean(0)
    return tensors | {"influence": influence(missing[None], (rows, columns))[0]}


def _cells(observation: Mapping[str, np.ndarray], grid: tuple[int, int]) -> np.ndarray:
    return by_cell({name: values[None] for name, values in observation.items()}, grid=grid)["cells"][0]
