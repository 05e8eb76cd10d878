"""The same episodes one after the other, or in several processes at once: records do not depend on which."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gymnasium.vector import VectorEnv

from videoinpaint.agents.evaluation.episodes import evaluate, make_evaluation_env
from videoinpaint.agents.evaluation.record import EpisodeRecord
from videoinpaint.agents.policies.protocol import Policy
from videoinpaint.checks import whole_number
from videoinpaint.cluster import LOCAL, on_cluster
from videoinpaint.processes import in_processes


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
    played = in_processes(partial(work, policy, name=name), tasks, workers, on_done)
    return [record for records in played for record in records]


def play_on_cluster(
    policy: str | Path | Policy,
    tasks: Sequence[Task],
    address: str = LOCAL,
    *,
    name: str | None = None,
    on_done: Callable[[], Any] | None = None,
    **options: Any,
) -> list[EpisodeRecord]:
    """All tasks' records, in order, from a Ray cluster; environments are kept from task to task.

    Args:
        policy, tasks, name, on_done: as of :func:`play_tasks`.
        address, options: of the cluster, see :func:`videoinpaint.cluster.on_cluster`.

    Raises:
        InputError: what `evaluate` refuses, or as of :func:`videoinpaint.cluster.on_cluster`.
    """
    found: dict[int, list[EpisodeRecord]] = {}
    for place, records in on_cluster(partial(work, policy, name=name), tasks, address, **options):
        found[place] = records
        if on_done is not None:
            on_done()
    return [record for place in range(len(tasks)) for record in found[place]]


def _each(
    player: Player, policy: Any, tasks: Sequence[Task], name: str | None, on_done: Callable[[], Any] | None
) -> Iterator[list[EpisodeRecord]]:
    for task in tasks:
        yield player.play(policy, task, name)
        if on_done is not None:
            on_done()


_PLAYER = Player()


def work(policy: Any, task: Task, name: str | None) -> list[EpisodeRecord]:
    """A task in a process that plays several; its environment is kept."""
    return _PLAYER.play(policy, task, name)
