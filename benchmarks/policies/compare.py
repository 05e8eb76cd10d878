"""Policies on the same held-out episodes: who takes part, and what `videoinpaint evaluate` and the demo play."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from videoinpaint.agents import POLICIES, Policy, make_policy
from videoinpaint.agents.evaluation.record import EpisodeRecord
from videoinpaint.agents.evaluation.tasks import Task, batches, play_on_cluster, play_tasks
from videoinpaint.agents.policies.baselines import FixedPolicy
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite
from videoinpaint.errors import InputError
from videoinpaint.files import user_path

Records = dict[str, list[list[EpisodeRecord]]]
"""Name -> one list of episodes a training seed; one list for what was not trained."""


@dataclass(frozen=True)
class Contestant:
    """A policy in a comparison.

    Attributes:
        name: how tables and plots call it.
        policy: anything that `make_policy` takes.
        trained: whether it is what the comparison is about.
        seeds: the same method under further training seeds; all of them together are one row.
    """

    name: str
    policy: str | Path | Policy
    trained: bool = False
    seeds: tuple[str | Path | Policy, ...] = ()


def contestant(spec: str) -> Contestant:
    """A contestant as the command line names it.

    Args:
        spec: anything that `make_policy` takes, or ``name=path,path,...``: one method under several training seeds. A
            path may have wildcards, ``name=runs/a/seed*``.

    Raises:
        InputError: a method without a name or without a policy, or wildcards that nothing matches.
    """
    name, equals, listed = spec.partition("=")
    if not equals or os.path.exists(spec):
        return Contestant(spec, spec, trained=spec not in POLICIES.names())
    policies: list[str] = []
    for part in filter(None, (part.strip() for part in listed.split(","))):
        found = sorted(glob.glob(str(user_path(part)))) if glob.has_magic(part) else [part]
        if not found:
            raise InputError(f"no policy matches {part!r} (in {spec!r})")
        policies += found
    if not name or not policies:
        raise InputError(f"{spec!r} names no group of policies: write name=path,path,...")
    return Contestant(name, policies[0], trained=True, seeds=tuple(policies[1:]))


def play(
    contestants: Sequence[Contestant],
    seeds: Sequence[int],
    env_id: str,
    env_kwargs: Mapping[str, Any],
    num_envs: int = 4,
    on_done: Callable[[str], None] | None = None,
    precision: str = "auto",
    suite: FrozenSuite | None = None,
    workers: int = 1,
    cluster: str | None = None,
) -> Records:
    """Records by name, every policy on the same episodes, in environments of its own.

    A policy is code that runs in this process, and is trusted: one that changes its environment harms itself alone, but
    one that reaches for the package's own parts can falsify what comes after it.

    Args:
        contestants: names must differ.
        seeds: of the episodes.
        env_id: a registered environment.
        env_kwargs: its arguments.
        num_envs: episodes at a time.
        on_done: called with a policy's name when it has played.
        precision: in which the environment's networks multiply, see :mod:`videoinpaint.precision`.
        suite: play its episodes, one at a time; `env_kwargs` go beside its own, `seeds` and `num_envs` are not read.
        workers: processes that play at once, see :func:`videoinpaint.agents.evaluation.tasks.play_tasks`.
        cluster: the address of a Ray cluster that plays instead, see :func:`videoinpaint.cluster.on_cluster`.

    Raises:
        InputError: names repeat, or fewer than two seeds.
        UnknownNameError, MissingWeightsError: a policy cannot be made; nothing has been played then.
    """
    names = [c.name for c in contestants]
    if len(set(names)) != len(names):
        raise InputError(f"two policies bear one name in {names}: name each of them once")
    tasks = (
        batches(env_id, env_kwargs, seeds, num_envs, precision)
        if suite is None
        else tasks_of(suite, env_kwargs, precision)
    )
    if sum(len(task.seeds) for task in tasks) < 2:
        raise InputError(f"an interval needs 2 episodes or more, got {sum(len(task.seeds) for task in tasks)}")
    if cluster is not None and workers != 1:
        raise InputError("workers are processes of this machine: leave them out where a cluster plays")
    actors = [[make_policy(policy) for policy in (c.policy, *c.seeds)] for c in contestants]
    specs = [(c.policy, *c.seeds) for c in contestants]
    records: Records = {}
    seen: dict[tuple[float, ...], str] = {}
    for name, group, spec in zip(names, actors, specs):
        # Some of the paper's baselines are one setting under several names: play it once.
        alone = group[0] if len(group) == 1 else None
        setting = tuple(alone.action.tolist()) if type(alone) is FixedPolicy else ()
        same = seen.get(setting) if setting else None
        # A process of its own makes the policy by itself.
        players = group if workers == 1 and cluster is None else spec
        if cluster is None:
            each = partial(play_tasks, tasks=tasks, workers=workers, name=name)
        else:
            each = partial(play_on_cluster, tasks=tasks, address=cluster, name=name)
        records[name] = records[same] if same else [each(player) for player in players]
        if setting:
            seen.setdefault(setting, name)
        if on_done is not None:
            on_done(name)
    return records


def tasks_of(suite: FrozenSuite, env_kwargs: Mapping[str, Any], precision: str) -> list[Task]:
    """A suite's episodes, each a batch of its own.

    Networks of policies round differently in a batch of another size, so the size is a part of what a suite is.

    Args:
        suite: its clips, masks and sizes are its own.
        env_kwargs: further arguments, such as the device.
        precision: of the environment.
    """
    return [
        Task(suite.env_id, dict(env_kwargs) | suite.kwargs(one), (one.seed,), 1, precision, suite.options(one))
        for one in suite.episodes
    ]
