"""Policies on the same held-out episodes: what `videoinpaint evaluate` and the demo measure and write down."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from videoinpaint.agents import Policy, make_policy
from videoinpaint.agents.evaluation.episodes import EpisodeRecord
from videoinpaint.agents.policies.baselines import FixedPolicy
from videoinpaint.benchmarks.protocol.envelope import PROTOCOL
from videoinpaint.benchmarks.protocol.episodes import Arena, by_clip, episode_return, fixed_return
from videoinpaint.benchmarks.protocol.statistics import Interval, mean_interval, paired_difference
from videoinpaint.errors import InputError

Records = dict[str, list[EpisodeRecord]]


@dataclass(frozen=True)
class Contestant:
    """A policy in a comparison.

    Attributes:
        name: how tables and plots call it.
        policy: anything that `make_policy` takes.
        trained: whether it is what the comparison is about.
    """

    name: str
    policy: str | Path | Policy
    trained: bool = False


def quality(record: EpisodeRecord) -> float:
    """Eq. 6 of the final repair with alpha 0.9, beta 0.45, gamma 0.2, whatever the action said.

    What policies are ranked by: neither the weights that a policy chooses nor the number of iterations, each of which
    adds to the return, can raise it.
    """
    return fixed_return(replace(record, metrics_by_iteration=[record.metrics]))


SCORES = (("return", "difference", episode_return), ("quality", "quality_difference", quality))
"""Key of a score, key of its difference to the baseline, and the score."""


def play(
    contestants: Sequence[Contestant],
    seeds: Sequence[int],
    env_id: str,
    env_kwargs: Mapping[str, Any],
    num_envs: int = 4,
    on_done: Callable[[str], None] | None = None,
) -> Records:
    """Records by name, every policy on the same episodes.

    Args:
        contestants: names must differ.
        seeds: of the episodes.
        env_id: a registered environment.
        env_kwargs: its arguments.
        num_envs: episodes at a time.
        on_done: called with a policy's name when it has played.

    Raises:
        InputError: names repeat, or fewer than two seeds.
        UnknownNameError, MissingWeightsError: a policy cannot be made; nothing has been played then.
    """
    names = [c.name for c in contestants]
    if len(set(names)) != len(names):
        raise InputError(f"two policies bear one name in {names}: name each of them once")
    if len(seeds) < 2:
        raise InputError(f"an interval needs 2 episodes or more, got {len(seeds)}")
    actors = [make_policy(c.policy) for c in contestants]
    records: Records = {}
    seen: dict[tuple[float, ...], str] = {}
    with Arena(env_id, env_kwargs, num_envs) as arena:
        for name, actor in zip(names, actors):
            # Some of the paper's baselines are one setting under several names: play it once.
            setting = tuple(actor.action.tolist()) if isinstance(actor, FixedPolicy) else ()
            same = seen.get(setting) if setting else None
            records[name] = records[same] if same else arena.play(actor, seeds, name)
            if setting:
                seen.setdefault(setting, name)
            if on_done is not None:
                on_done(name)
    return records


def summaries(records: Records, contestants: Sequence[Contestant], baseline: str) -> list[dict[str, Any]]:
    """One entry a policy, in the report's form: see :mod:`videoinpaint.benchmarks.report.page`.

    Args:
        records: from :func:`play`.
        contestants: who played.
        baseline: the policy that differences are to.

    Raises:
        InputError: the baseline did not play.
    """
    if baseline not in records:
        raise InputError(f"the baseline {baseline!r} is not among the policies {', '.join(records)}: add it")
    base = records[baseline]
    entries = []
    for contestant in contestants:
        own = records[contestant.name]
        entry: dict[str, Any] = {"name": contestant.name, "trained": contestant.trained}
        for key, difference, score in SCORES:
            values = list(by_clip(own, score).values())
            entry[key] = _checked(mean_interval(values))
            # A policy that does the very same as the baseline has no difference to show.
            same = contestant.name == baseline or own is base
            reference = list(by_clip(base, score).values())
            entry[difference] = None if same else _checked(paired_difference(values, reference))
        entry["metrics"] = {name: _over_clips(own, partial(_last_metric, name=name)) for name in own[0].metrics}
        entry["gflops"] = _over_clips(own, lambda r: r.gflops)
        entry["iterations"] = _over_clips(own, lambda r: r.length)
        entry["by_iteration"] = {name: _by_iteration(own, name) for name in own[0].metrics}
        entry["records"] = [record.as_dict() | {"policy": contestant.name} for record in own]
        entries.append(entry)
    return entries


def measured_how(seeds: Sequence[int]) -> dict[str, Any]:
    """What the numbers are: protocol, seeds, and how intervals were made."""
    return {
        "protocol": f"{PROTOCOL['name']} {PROTOCOL['version']}",
        "evaluation": f"{seeds[0]} to {seeds[-1]}",
        "intervals": "95%, bootstrap over clips",
    }


def _over_clips(records: Sequence[EpisodeRecord], score: Callable[[EpisodeRecord], float]) -> Interval:
    return _checked(mean_interval(list(by_clip(records, score).values())))


def _last_metric(record: EpisodeRecord, name: str) -> float:
    return record.metrics[name]


def _by_iteration(records: Sequence[EpisodeRecord], name: str) -> list[float]:
    """Means after each iteration; an episode that ended early keeps its last value."""
    longest = max(record.length for record in records)
    rows = []
    for record in records:
        values = [step[name] for step in record.metrics_by_iteration]
        rows.append(values + [values[-1]] * (longest - len(values)))
    return np.mean(rows, axis=0).tolist()


def _checked(interval: Interval) -> Interval:
    """The interval; without ends where one clip cannot tell how clips differ."""
    return {key: value if math.isfinite(value) else None for key, value in interval.items()}  # type: ignore[misc]
