"""The same episodes one after the other, or in several processes at once: records do not depend on which."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import torch
from gymnasium.vector import VectorEnv

from videoinpaint.agents.evaluation.episodes import EpisodeRecord, evaluate, make_evaluation_env
from videoinpaint.agents.policies.policy import Policy
from videoinpaint.checks import whole_number
from videoinpaint.errors import InputError, VideoInpaintError

ATTEMPTS = 3
"""How often a batch of episodes is begun whose process dies."""


@dataclass(frozen=True)
class Task:
    """A batch of episodes: what one process plays without stopping.

    Attributes:
        env_id, env_kwargs, precision, num_envs: of the environment, see
            :func:`videoinpaint.agents.evaluation.episodes.evaluate`.
        seeds: of the episodes, `num_envs` at most.
        options: of the reset.
    """

    env_id: str
    env_kwargs: Mapping[str, Any]
    seeds: tuple[int, ...]
    num_envs: int = 1
    precision: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)


def batches(
    env_id: str, env_kwargs: Mapping[str, Any], seeds: Sequence[int], num_envs: int = 1, precision: str = "auto"
) -> list[Task]:
    """The tasks of an evaluation that `evaluate` would play as one."""
    size = min(num_envs, max(len(seeds), 1))
    parts = [tuple(seeds[start : start + size]) for start in range(0, len(seeds), size)]
    return [Task(env_id, env_kwargs, part, size, precision) for part in parts]


class Player:
    """Plays tasks in this process; an environment is kept until a task asks for another."""

    def __init__(self) -> None:
        self._made: tuple[Any, VectorEnv] | None = None

    def play(self, policy: str | Path | Policy, task: Task, name: str | None = None) -> list[EpisodeRecord]:
        """A task's records, in the order of its seeds."""
        return evaluate(policy, seeds=task.seeds, env=self._env(task), name=name, options=task.options)

    def close(self) -> None:
        """Close what was made."""
        if self._made is not None:
            self._made[1].close()
            self._made = None

    def _env(self, task: Task) -> VectorEnv:
        settings = (task.env_id, dict(task.env_kwargs), task.num_envs, task.precision)
        if self._made is None or self._made[0] != settings:
            self.close()
            self._made = settings, make_evaluation_env(task.num_envs, task.env_id, task.env_kwargs, task.precision)
        return self._made[1]


def play_tasks(
    policy: str | Path | Policy,
    tasks: Sequence[Task],
    *,
    workers: int = 1,
    name: str | None = None,
    on_done: Callable[[], Any] | None = None,
) -> list[EpisodeRecord]:
    """All tasks' records, in order.

    Args:
        policy: anything that `make_policy` takes; with several workers something that can be pickled, a name at best.
        tasks: each is played from beginning to end by one process.
        workers: processes, each with one thread; 1 plays in this process, with the threads that it has. A worker that
            dies is replaced, and its task is played again.
        name: what records call the policy.
        on_done: called whenever a task is done.

    Raises:
        InputError: what `evaluate` refuses, or a task whose process died again and again.
    """
    whole_number(workers, "workers", 1, 1024)
    if workers == 1:
        player = Player()
        try:
            return [record for played in _each(player, policy, tasks, name, on_done) for record in played]
        finally:
            player.close()
    found: dict[int, list[EpisodeRecord]] = {}
    for _ in range(ATTEMPTS):
        missing = [index for index in range(len(tasks)) if index not in found]
        if not missing:
            break
        with _pool(min(workers, len(missing))) as pool:
            _collect(pool, policy, tasks, missing, name, found, on_done)
    if len(found) < len(tasks):
        raise InputError(f"the processes that evaluate died {ATTEMPTS} times: is there enough memory for {workers}?")
    return [record for index in range(len(tasks)) for record in found[index]]


def _each(
    player: Player, policy: Any, tasks: Sequence[Task], name: str | None, on_done: Callable[[], Any] | None
) -> Iterator[list[EpisodeRecord]]:
    for task in tasks:
        yield player.play(policy, task, name)
        if on_done is not None:
            on_done()


def _collect(
    pool: ProcessPoolExecutor,
    policy: Any,
    tasks: Sequence[Task],
    missing: Sequence[int],
    name: str | None,
    found: dict[int, list[EpisodeRecord]],
    on_done: Callable[[], Any] | None,
) -> None:
    """Play what is missing; what a dead process did not finish stays missing."""
    running: dict[Future[list[EpisodeRecord]], int] = {}
    try:
        for index in missing:
            running[pool.submit(_work, policy, tasks[index], name)] = index
        for future in as_completed(running):
            found[running[future]] = future.result()
            if on_done is not None:
                on_done()
    except BrokenProcessPool:
        done = [f for f in running if f.done() and not f.cancelled() and f.exception() is None]
        found.update({running[future]: future.result() for future in done})


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    # Not forked: a copy of a process whose libraries run threads may wait for ever.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), one_thread)
    try:
        yield pool
    except (KeyboardInterrupt, VideoInpaintError):
        pool.shutdown(cancel_futures=True)
        raise
    finally:
        pool.shutdown()


def one_thread() -> None:
    """Limit this process: several of them share a machine, and numbers must not depend on how many."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


_PLAYER = Player()


def _work(policy: Any, task: Task, name: str | None) -> list[EpisodeRecord]:
    return _PLAYER.play(policy, task, name)
