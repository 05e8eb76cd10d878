"""What policies reached, side by side: summaries with intervals, and tables of them for people and programs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np

from videoinpaint.agents.evaluation.record import EpisodeRecord
from videoinpaint.benchmarks.policies.compare import Contestant, Records
from videoinpaint.benchmarks.policies.returns import scores
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import PROTOCOL
from videoinpaint.benchmarks.protocol.episodes import episode_return
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite
from videoinpaint.benchmarks.protocol.statistics import Interval, mean_interval, paired_difference
from videoinpaint.benchmarks.protocol.suite_references import ranked_by, suite_score
from videoinpaint.envs.references import normalised_score
from videoinpaint.errors import InputError
from videoinpaint.metrics.measures import METRICS
from videoinpaint.metrics.vfid import frechet_distance


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


def summaries(records: Records, contestants: Sequence[Contestant], baseline: str) -> list[dict[str, Any]]:
    """One entry a policy, in the report's form: see :mod:`videoinpaint.benchmarks.report.page`.

    Args:
        records: from :func:`videoinpaint.benchmarks.policies.compare.play`.
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
        measured = [name for name in METRICS if all(name in record.measures for record in every)]
        entry["measures"] = {name: _over_clips(own, partial(_measure, name=name)) for name in measured}
        # Each run's own: a distance falls as there are more episodes, and a policy may have several training seeds.
        distances = [distance for played in own if (distance := _vfid(played)) is not None]
        if len(distances) == len(own):
            entry["vfid"] = {"mean": float(np.mean(distances)), "low": None, "high": None}
        for key in DESCRIBED:
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


def add_scores(
    policies: Sequence[dict[str, Any]],
    env_id: str,
    env_kwargs: Mapping[str, Any],
    suite: FrozenSuite | None = None,
) -> None:
    """Add the ``score`` of each mean return, where there are references for these episodes.

    Of a suite it is that of what policies are ranked by there, see
    :mod:`videoinpaint.benchmarks.protocol.suite_references`; else see :mod:`videoinpaint.envs.references`.
    """
    for entry in policies:
        if suite is None:
            seeds = {record["seed"] for record in entry["records"]}
            score = normalised_score(env_id, entry["return"]["mean"], env_kwargs, seeds)
        else:
            same = not set(env_kwargs) - {"device"}  # with another inpainter, say, the references say nothing
            score = suite_score(suite, entry[ranked_by(env_id)]["mean"]) if same else None
        if score is not None:
            entry["score"] = {"mean": score, "low": None, "high": None}


DESCRIBED = (
    "gflops", "length", "quality_gain", "mask_iou", "mask_j_and_f",
    "gflops_begin", "gflops_detector", "gflops_total", "seconds_per_frame",
)  # fmt: skip
"""What a record says beside its scores and metrics, where it does."""

COLUMNS: tuple[tuple[str, str, int, bool], ...] = (
    ("psnr_hole", "PSNR hole", 2, False),
    ("ssim_hole", "SSIM hole", 4, False),
    ("lpips_hole", "LPIPS hole", 4, False),
    ("quality", "quality", 4, False),
    ("quality_difference", "quality - {baseline}", 4, True),
    ("return", "return", 3, False),
    ("difference", "return - {baseline}", 3, True),
    ("score", "score", 2, False),
    ("ssim", "SSIM", 4, False),
    ("lpips", "LPIPS", 4, False),
    ("vfid", "VFID", 3, False),
    ("mask_j_and_f", "mask J&F", 3, False),
    ("iterations", "iterations", 1, False),
    ("gflops", "GFLOPs of passes", 1, False),
    ("gflops_total", "GFLOPs", 1, False),
    ("seconds_per_frame", "s/frame", 3, False),
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
    metrics = list(dict.fromkeys([*policies[0].get("measures", {}), *policies[0]["metrics"]]))
    keys = [key for key, _, _, _ in COLUMNS if key not in metrics]
    keys += ["quality_gain", "mask_iou", "gflops_begin", "gflops_detector", *metrics]
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
    """Of what the protocol measures, else of the reward's raw terms, else of the entry itself."""
    return entry.get("measures", {}).get(key) or entry["metrics"].get(key) or entry.get(key)


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


def _measure(record: EpisodeRecord, name: str) -> float:
    return record.measures[name]


def _vfid(records: Sequence[EpisodeRecord]) -> float | None:
    """Of one run's repairs against its clips; None without I3D's weights, or of fewer than two episodes."""
    features = [record.features for record in records if record.features is not None]
    if len(features) < max(len(records), 2):
        return None
    real, repaired = (np.concatenate(side) for side in zip(*features))
    return frechet_distance(real, repaired)


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
    return {key: value if math.isfinite(value) else None for key, value in interval.items()}  # type: ignore[misc]  # as JSON has it
