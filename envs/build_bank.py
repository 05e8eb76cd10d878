"""Filling a bank of episodes: file by file, in one process or in several, going on where an earlier run stopped."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.envs.registration import load_env_creator

from videoinpaint.checks import MAX_SEED, whole_number
from videoinpaint.cluster import on_cluster
from videoinpaint.drafts import remove_stale
from videoinpaint.envs.bank.shards import Plan, has_shard, read_plan, shard_of, shard_path
from videoinpaint.envs.core import Core
from videoinpaint.envs.ids import check_env, effective_kwargs
from videoinpaint.envs.settings import Settings
from videoinpaint.envs.states.batch import unstacked
from videoinpaint.envs.states.episodes import TRAINING_SEEDS
from videoinpaint.envs.states.shelf import AT_ONCE
from videoinpaint.errors import InputError
from videoinpaint.files import locked, user_path, write_bytes
from videoinpaint.processes import in_processes
from videoinpaint.registration import DEFAULT_ID


@dataclass(frozen=True)
class Built:
    """What :func:`build_bank` did.

    Attributes:
        episodes: that the bank holds.
        made: of these, in this run.
        bytes_per_episode: on the disk.
    """

    episodes: int
    made: int
    bytes_per_episode: float


def build_bank(
    folder: str | Path,
    env_id: str = DEFAULT_ID,
    env_kwargs: Mapping[str, Any] | None = None,
    *,
    episodes: int = 2_000,
    first_seed: int = TRAINING_SEEDS,
    workers: int = 1,
    cluster: str | None = None,
    on_done: Callable[[], Any] | None = None,
) -> Built:
    """Begin episodes, and keep what that gives in a folder, for ``gym.make(env_id, bank=folder, ...)``.

    A file of the bank that is there already and whole is not made again, so that an interrupted run goes on, and a
    larger number of `episodes` adds to a bank.

    Args:
        folder: which is made, or holds an earlier part of this bank.
        env_id: an environment of this package.
        env_kwargs: its arguments, those with which it will be made.
        episodes: how many: those of `first_seed` and the following seeds.
        first_seed: by default the first that training draws.
        workers: processes, each with one thread; 1 works in this process, with the threads that it has. Another number
            of threads can change the last bits, as it does without a bank.
        cluster: the address of a Ray cluster that works instead, one thread a task; see
            :func:`videoinpaint.cluster.on_cluster`. The files are written here: its machines need not see the folder.
        on_done: called once for every file of the bank, when it is there.

    Raises:
        InputError: the folder holds another bank or is being written by another process, an environment that is not
            this package's, workers of both kinds, no cluster, or what it or the disk refuses.
    """
    whole_number(episodes, "episodes", 1, MAX_SEED)
    whole_number(first_seed, "first_seed", 0, MAX_SEED - episodes)
    whole_number(workers, "workers", 1, 1024)
    if cluster is not None and workers != 1:
        raise InputError("workers are processes of this machine: leave them out where a cluster works")
    settings = settings_of(env_id, env_kwargs)
    core = Core(settings)
    plan = Plan(env_id, core.identity(), first_seed, episodes)
    place = user_path(folder)
    _check_place(place, plan)
    place.mkdir(parents=True, exist_ok=True)
    with locked(place, f"another process is filling {place}: wait for it, or name another folder"):
        plan.write(place)
        parts = plan.shards()
        jobs = [_Job(shard_path(place, number), part) for number, part in enumerate(parts)]
        left = []
        for job in jobs:
            remove_stale(job.path)
            left += [] if has_shard(job.path, job.seeds) else [job]
        tell = on_done or (lambda: None)
        for _ in range(len(jobs) - len(left)):
            tell()
        if cluster is not None and left:
            for number, content in on_cluster(partial(_made_elsewhere, settings), left, cluster):
                write_bytes(left[number].path, content)
                tell()
        elif workers == 1:
            for job in left:
                write_bytes(job.path, _made(core, job))
                tell()
        elif left:
            in_processes(partial(_work, settings), left, workers, tell)
    total = sum(job.path.stat().st_size for job in jobs)
    return Built(episodes, sum(len(job.seeds) for job in left), total / episodes)


def settings_of(env_id: str, env_kwargs: Mapping[str, Any] | None = None) -> Settings:
    """The settings of an environment of this package, without making it.

    Raises:
        InputError: another environment, or an argument that it does not take.
    """
    spec = check_env(env_id, env_kwargs)
    entry = load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point
    known = {field.name for field in dataclasses.fields(Settings)}
    taken = set(inspect.signature(entry).parameters) if entry is not None else set()
    if not {"clips", "inpainter", "detector", "bank"} <= taken & known:
        raise InputError(f"a bank is of an environment of this package, {env_id} is another")
    given = effective_kwargs(env_id) | dict(env_kwargs or {})
    return Settings(**{name: value for name, value in given.items() if name in known - {"bank", "prefetch"}})


@dataclass(frozen=True)
class _Job:
    path: Path
    seeds: range


def _check_place(folder: Path, plan: Plan) -> None:
    """A folder that holds something else is left alone; a bank may grow at its end."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: name a folder for the bank")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    before = read_plan(folder)
    if (before.env_id, before.first) != (plan.env_id, plan.first) or before.identity != plan.identity:
        raise InputError(
            f"{folder} holds the bank of another environment or of other seeds ({before.env_id}, from seed "
            f"{before.first}): name another folder, or delete this one"
        )
    if before.episodes > plan.episodes:
        raise InputError(f"{folder} is a bank of {before.episodes} episodes already: ask for as many or more")


def _made(core: Core, job: _Job) -> bytes:
    episodes = [core.episodes.draw(np.random.default_rng(0), seed, None) for seed in job.seeds]
    states = []
    # Alone, as a single environment begins it: some processors round otherwise in batches of another size.
    count = 1 if core.device.type == "cpu" else AT_ONCE
    for start in range(0, len(episodes), count):
        begun = unstacked(core.begin(episodes[start : start + count]))
        states += [{name: tensor.cpu() for name, tensor in state.items()} for state in begun]
    return shard_of(episodes, states)


_KEPT: list[tuple[Settings, Core]] = []


def _made_elsewhere(settings: Settings, job: _Job) -> bytes:
    """In a process that makes several files; its environment is kept for the next one."""
    if not _KEPT or _KEPT[0][0] != settings:
        _KEPT[:] = [(settings, Core(settings))]
    return _made(_KEPT[0][1], job)


def _work(settings: Settings, job: _Job) -> None:
    """The same in a process of this machine, which writes the file by itself."""
    write_bytes(job.path, _made_elsewhere(settings, job))
