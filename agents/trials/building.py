"""Trials of both kinds: by cell where actions are by cell of a grid, by clip elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium

from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
from videoinpaint.agents.trials import cells, clips, folder
from videoinpaint.agents.trials.cell_fit import fit_by_cell
from videoinpaint.agents.trials.cells import CellTrials
from videoinpaint.agents.trials.clip_fit import fit_by_clip
from videoinpaint.agents.trials.clips import ClipTrials
from videoinpaint.checks import seed_number, whole_number
from videoinpaint.envs.ids import argument_of, check_env
from videoinpaint.envs.states.episodes import TRAINING_SEEDS
from videoinpaint.errors import InputError


def build_trials(
    path: str | Path,
    env_id: str = "VideoInpaintRegions-v1",
    env_kwargs: Mapping[str, Any] | None = None,
    *,
    episodes: int = 500,
    first_seed: int = TRAINING_SEEDS,
    on_done: Callable[[], Any] | None = None,
) -> int:
    """Try everything on the episodes of these seeds, a file for each; what is there already, and whole, is not played
    again.

    Args:
        path: the folder where the files go.
        env_id: an environment whose reward is the improvement. With an action grid, the plans of
            :mod:`videoinpaint.agents.trials.cells` are tried, else the settings of
            :mod:`videoinpaint.agents.trials.clips`.
        env_kwargs: its arguments.
        episodes: how many.
        first_seed: of the first; the others follow.
        on_done: called after every episode.

    Returns:
        how many were played in this run.

    Raises:
        UnknownNameError: nobody registered the id.
        InputError: what would be tried says nothing in this environment, the folder holds trials of another one, or
            another process builds here.
    """
    whole_number(episodes, "episodes", 1, 10**9)
    seed_number(first_seed)
    by_cell = argument_of(env_id, env_kwargs or {}, "action_grid") is not None
    kwargs = dict(env_kwargs or {}) | ({"reward_map": True} if by_cell else {})
    check_env(env_id, kwargs)
    passes = int(argument_of(env_id, kwargs, "max_iterations") or 0)
    (_check_cells if by_cell else _check_clips)(env_id, kwargs)
    kind, tried = (cells.KIND, cells.try_plans) if by_cell else (clips.KIND, clips.try_settings)
    env, made = gymnasium.make(env_id, **kwargs), 0
    place = folder.Folder(path, kind, folder.told_of(env_id, kwargs))
    with place.locked():
        place.check()
        for seed in range(first_seed, first_seed + episodes):
            if not place.has(seed):
                place.write(seed, tried(env, seed, passes))
                made += 1
            if on_done is not None:
                on_done()
    env.close()
    return made


def load_trials(*folders: str | Path) -> CellTrials | ClipTrials:
    """What :func:`build_trials` wrote, several processes perhaps, each into a folder of its own.

    Raises:
        InputError: there is nothing in one of them, or episodes of different environments, or one episode twice, or a
            trial of another kind or version.
        CorruptWeightsError: a file is damaged.
    """
    kind, entries, environment = folder.load((cells.KIND, clips.KIND), *folders)
    made = CellTrials if kind is cells.KIND else ClipTrials
    return made(**entries, environment=environment)


def fit_policy(trials: CellTrials | ClipTrials, *, seed: int = 0, epochs: int = 100) -> ClosedLoopPolicy:
    """A policy whose actor chooses what the trials say is best; its critic stays untrained.

    Args:
        trials: at least two episodes.
        seed: of everything random; the same seed gives the same bits on one machine.
        epochs: passes over the trials; by cell, as many before them in which the best plan is imitated.

    Raises:
        InputError: too few trials or epochs.
    """
    whole_number(epochs, "epochs", 1, 10**6)
    if len(trials) < 2:
        raise InputError(f"{len(trials)} trial is too little to fit a policy to: build more")
    fit: Any = fit_by_cell if isinstance(trials, CellTrials) else fit_by_clip
    return fit(trials, seed=seed, epochs=epochs)


def _check_cells(env_id: str, kwargs: Mapping[str, Any]) -> None:
    if int(argument_of(env_id, kwargs, "max_iterations") or 0) < 2:
        raise InputError(f"{env_id}: plans differ in what follows the first pass: give max_iterations of 2 or more")


def _check_clips(env_id: str, kwargs: Mapping[str, Any]) -> None:
    fits = {"reward": "improvement", "reward_weights": "fixed", "compute_price": 0}
    for name, value in fits.items():
        if argument_of(env_id, kwargs, name) != value:
            raise InputError(
                f"{env_id}: without an action grid fusion and objective are tried, at all heads, which is of use where "
                f"{name} is {value!r}: give that, or an action_grid"
            )
