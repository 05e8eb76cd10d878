"""From records of clips to the rows of a table: metrics by clip, means with intervals, and a verdict in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from videoinpaint.benchmarks.papers.experiment import Experiment, Metrics
from videoinpaint.benchmarks.papers.verdict import overall
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite
from videoinpaint.benchmarks.protocol.statistics import mean_interval
from videoinpaint.envs.ids import effective_kwargs
from videoinpaint.metrics.vfid import frechet_distance, vfid_available

Found = Sequence[tuple[str, Mapping[str, Any]]]
"""Scenario and what is kept of a clip, for every clip."""


def clip_rows(experiment: Experiment, found: Found) -> dict[str, dict[str, Any]]:
    """Scenario -> row -> clip -> metrics; episodes of one clip count as one, as their mean."""
    groups: dict[str, dict[str, dict[str, list[Metrics]]]] = {}
    for scenario, content in found:
        for entrant in experiment.entrants:
            if entrant.name not in content["records"]:
                continue
            for row, metrics in experiment.rows(entrant.name, content["records"][entrant.name]).items():
                clips = groups.setdefault(scenario, {}).setdefault(row, {})
                clips.setdefault(content["clip"], []).append(metrics)
    return {scenario: {row: {clip: _mean(episodes) for clip, episodes in clips.items()} for row, clips in rows.items()}
            for scenario, rows in groups.items()}  # fmt: skip


def untrained(found: Found) -> list[str]:
    """The parts whose networks had random weights in some record."""
    records = [record for _, content in found for record in content["records"].values()]
    return sorted({part for record in records for part in record["random_weights"].split(", ") if part})


def _mean(episodes: list[Metrics]) -> Metrics:
    return {name: float(np.mean([one.get(name, np.nan) for one in episodes])) for name in episodes[0]}


def means(clips: Mapping[str, Metrics]) -> dict[str, Any]:
    """Every metric's mean over clips with its interval; what is not known of every clip is left out."""
    names = next(iter(clips.values()))
    values = {name: [clip.get(name, np.nan) for clip in clips.values()] for name in names}
    return {name: mean_interval(column) for name, column in values.items() if np.isfinite(column).all()}


def add_vfid(experiment: Experiment, found: Found, scenarios: Mapping[str, Any]) -> dict[str, str]:
    """Add VFID to the means of an experiment that shows it: one number over all clips, so without an interval.

    Returns:
        "vfid" and why it is not there, if it is not.
    """
    if "vfid" not in experiment.metrics:
        return {}
    if not vfid_available():
        return {"vfid": "needs weights of I3D: videoinpaint weights fetch i3d"}
    features: dict[tuple[str, str], list[Any]] = {}
    for scenario, content in found:
        for row, record in content["records"].items():
            features.setdefault((scenario, row), []).append(record.get("features"))
    enough = {at: pairs for at, pairs in features.items() if len(pairs) > 1 and None not in pairs}
    for (scenario, row), pairs in enough.items():
        if row in scenarios[scenario]:
            real, repaired = (np.array(side) for side in zip(*pairs))
            distance = frechet_distance(real, repaired)
            scenarios[scenario][row]["means"]["vfid"] = {"mean": distance, "low": None, "high": None}
    return {} if enough else {"vfid": "needs two clips of more than 8 frames or more than 32 pixels a side"}


def too_small(experiment: Experiment, suites: Iterable[FrozenSuite]) -> dict[str, str]:
    """Why SSIM65 is not measured, where an experiment shows it and the frames of all suites are too small for it."""
    sides = [effective_kwargs(suite.env_id, suite.env_kwargs) for suite in suites]
    if "ssim65" not in experiment.metrics or any(min(int(one["height"]), int(one["width"])) >= 65 for one in sides):
        return {}
    return {"ssim65": "the frames are smaller than its window of 65 pixels"}


def by_attribute(found: Found) -> dict[str, dict[str, Metrics]]:
    """Scenario -> clip -> what was measured of the clip itself."""
    told: dict[str, dict[str, Metrics]] = {}
    for scenario, content in found:
        told.setdefault(scenario, {})[content["clip"]] = content["attributes"]
    return told


def verdicts(findings: list[dict[str, Any]]) -> list[dict[str, str]]:
    """One for each scenario and metric."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in findings:
        groups.setdefault((one["scenario"], one["metric"]), []).append(one)
    return [{"scenario": scenario, "metric": metric, "verdict": overall(group)}
            for (scenario, metric), group in groups.items()]  # fmt: skip
