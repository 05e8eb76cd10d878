"""Policies on the same held-out episodes: what `videoinpaint evaluate` and the demo measure and write down."""

from __future__ import annotations

import glob
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from videoinpaint.agents import POLICIES, Policy, make_policy
from videoinpaint.agents.evaluation.episodes import EpisodeRecord
from videoinpaint.agents.policies.baselines import FixedPolicy
from videoinpaint.benchmarks.policies.returns import scores
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import PROTOCOL
from videoinpaint.benchmarks.protocol.episodes import Arena, episode_return
from videoinpaint.benchmarks.protocol.statistics import Interval, mean_interval, paired_difference
from videoinpaint.envs.references import normalised_score
from videoinpaint.errors import InputError

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
        found = sorted(glob.glob(part)) if glob.has_magic(part) else [part]
        if not found:
            raise InputError(f"no policy matches {part!r} (in {spec!r})")
        policies += found
    if not name or not policies:
        raise InputError(f"{spec!r} names no group of policies: write name=path,path,...")
    return Contestant(name, policies[0], trained=True, seeds=tuple(policies[1:]))


def quality(record: EpisodeRecord) -> float:
    """The quality of the final repair.

    Raises:
        InputError: the environment does not tell it.
    """
    if record.quality is None:
        raise InputError("the environment's infos have neither quality nor the metrics it is made of")
    return record.quality


SCORES = (("return", "difference", episode_return), ("quality", "quality_difference", quality))
"""Key of a score, key of its difference to the baseline, and the score."""


def play(
    contestants: Sequence[Contestant],
    seeds: Sequence[int],
    env_id: str,
    env_kwargs: Mapping[str, Any],
    num_envs: int = 4,
    on_done: Callable[[str], None] | None = None,
    precision: str = "auto",
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

    Raises:
        InputError: names repeat, or fewer than two seeds.
        UnknownNameError, MissingWeightsError: a policy cannot be made; nothing has been played then.
    """
    names = [c.name for c in contestants]
    if len(set(names)) != len(names):
        raise InputError(f"two policies bear one name in {names}: name each of them once")
    if len(seeds) < 2:
        raise InputError(f"an interval needs 2 episodes or more, got {len(seeds)}")
    actors = [[make_policy(policy) for policy in (c.policy, *c.seeds)] for c in contestants]
    records: Records = {}
    seen: dict[tuple[float, ...], str] = {}

    def played(actor: Policy, name: str) -> list[EpisodeRecord]:
        with Arena(env_id, env_kwargs, num_envs, precision) as arena:
            return arena.play(actor, seeds, name)

    for name, group in zip(names, actors):
        # Some of the paper's baselines are one setting under several names: play it once.
        alone = group[0] if len(group) == 1 else None
        setting = tuple(alone.action.tolist()) if type(alone) is FixedPolicy else ()
        same = seen.get(setting) if setting else None
        records[name] = records[same] if same else [played(actor, name) for actor in group]
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
        every = [record for played in own for record in played]
        entry: dict[str, Any] = {
            "name": contestant.name,
            "trained": contestant.trained,
            "training_seeds": len(own),
            "episodes": len(own[0]),
        }
        for key, difference, score in SCORES:
            # A policy that does the very same as the baseline has no difference to show.
            same = contestant.name == baseline or own is base
            entry[key] = _over_clips(own, score)
            values, reference = scores(own, score), scores(base, score)
            entry[difference] = None if same else _checked(paired_difference(values, reference))
        entry["metrics"] = {name: _over_clips(own, partial(_last_metric, name=name)) for name in every[0].metrics}
        for key in ("gflops", "length", "quality_gain", "mask_iou", "mask_j_and_f"):
            if all(getattr(record, key) is not None for record in every):
                entry["iterations" if key == "length" else key] = _over_clips(own, attrgetter(key))
        entry["ends"] = dict(Counter(record.end for record in every))
        entry["by_iteration"] = {name: _by_iteration(every, name) for name in every[0].metrics}
        entry["records"] = [
            record.as_dict() | {"policy": contestant.name, "training_seed": seed}
            for seed, played in enumerate(own)
            for record in played
        ]
        entries.append(entry)
    return entries


def add_scores(policies: Sequence[dict[str, Any]], env_id: str, env_kwargs: Mapping[str, Any]) -> None:
    """Add the ``score`` of each mean return, where there are references for these episodes; see `envs.references`."""
    for entry in policies:
        score = normalised_score(env_id, entry["return"]["mean"], env_kwargs)
        if score is not None:
            entry["score"] = {"mean": score, "low": None, "high": None}


COLUMNS: tuple[tuple[str, str, int, bool], ...] = (
    ("quality", "quality", 4, False),
    ("quality_difference", "quality - {baseline}", 4, True),
    ("return", "return", 3, False),
    ("difference", "return - {baseline}", 3, True),
    ("score", "score", 2, False),
    ("psnr_hole", "PSNR hole", 2, False),
    ("ssim", "SSIM", 4, False),
    ("lpips", "LPIPS", 4, False),
    ("mask_j_and_f", "mask J&F", 3, False),
    ("iterations", "iterations", 1, False),
    ("gflops", "GFLOPs", 1, False),
)
"""Of the table of a comparison: the entry (or metric), the title, digits, and whether it is a difference."""


def comparison_table(policies: Sequence[Mapping[str, Any]], baseline: str) -> tuple[list[str], list[list[str]]]:
    """Titles and rows for people, best quality first; scores have intervals, what describes them only means.

    Args:
        policies: from :func:`summaries`.
        baseline: what the differences are to.
    """
    shown = [column for column in COLUMNS if any(_interval_of(p, column[0]) for p in policies)]
    rows = []
    for p in ranked(policies):
        row = [p["name"] if p["training_seeds"] == 1 else f"{p['name']} ({p['training_seeds']} seeds)"]
        for key, _, digits, signed in shown:
            value = _interval_of(p, key)
            whole = key in ("quality", "return") or signed
            mean = None if value is None else value["mean"]
            row.append(tables.interval(value, digits, signed) if whole else tables.number(mean, digits))
        rows.append(row)
    return ["policy", *(title.format(baseline=baseline) for _, title, _, _ in shown)], rows


def comparison_numbers(policies: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Titles and rows for programs: every score and metric with the ends of its interval, best quality first."""
    metrics = list(policies[0]["metrics"])
    keys = [key for key, _, _, _ in COLUMNS if key not in metrics] + ["quality_gain", "mask_iou", *metrics]
    keys = [key for key in keys if any(_interval_of(p, key) for p in policies)]
    titles = ["policy", "training_seeds", "episodes", *(f"{key}{end}" for key in keys for end in ("", "_low", "_high"))]
    rows = []
    for p in ranked(policies):
        ends = [(_interval_of(p, key) or {}).get(end) for key in keys for end in ("mean", "low", "high")]
        rows.append([p["name"], p["training_seeds"], p["episodes"], *ends])
    return titles, rows


def ranked(policies: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Best first, by the quality of the final repair: a return can be raised without a better one."""
    return sorted(policies, key=lambda p: -p["quality"]["mean"])


def _interval_of(entry: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
    return entry["metrics"].get(key) or entry.get(key)


def measured_how(seeds: Sequence[int]) -> dict[str, Any]:
    """What the numbers are: protocol, seeds, and how intervals were made."""
    return {
        "protocol": f"{PROTOCOL['name']} {PROTOCOL['version']}",
        "evaluation": f"{seeds[0]} to {seeds[-1]}",
        "intervals": "95%, bootstrap over clips and training seeds",
    }


def _over_clips(runs: Sequence[Sequence[EpisodeRecord]], score: Callable[[EpisodeRecord], float]) -> Interval:
    return _checked(mean_interval(scores(runs, score)))


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
