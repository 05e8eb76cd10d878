"""What the board says of one row: its score and marks, measures and cost, episodes, flags and log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from videoinpaint.benchmarks.leaderboard.board.asked import asked_for
from videoinpaint.benchmarks.leaderboard.board.rows import Row, matrix_of
from videoinpaint.benchmarks.leaderboard.judging.marks import MARKS
from videoinpaint.benchmarks.leaderboard.judging.verification import ranked, too_good
from videoinpaint.benchmarks.protocol.statistics import (
    Interval,
    interquartile_mean,
    mean_interval,
    mean_known,
    middle_difference,
    middle_interval,
    performance_profile,
    probability_of_improvement,
)
from videoinpaint.benchmarks.protocol.suite_references import HIGH, LOW
from videoinpaint.naming import one_line

RANDOM, BEST_FIXED, ORACLE = LOW, "best fixed", HIGH
COSTS = ("gflops_begin", "gflops", "gflops_detector", "gflops_total", "seconds_per_frame")
_THRESHOLDS = 41


def board_entry(row: Row, references: Mapping[str, Row], score: str, space: spaces.Box) -> dict[str, Any]:
    """Everything that the board says of a row but its rank, which is among others.

    Args:
        row: a method, or a reference.
        references: rows by name, random, best fixed and the beam oracle at least.
        score: which entry of an episode is ranked by.
        space: of the actions.
    """
    matrix = row.matrix()
    low, high = (interquartile_mean(references[name].matrix()) for name in (RANDOM, ORACLE))
    public = interquartile_mean(matrix_of(row.public))  # on the episodes of the references
    mean = middle_interval(matrix)
    versus_fixed = None if row.name == BEST_FIXED else row.against(references[BEST_FIXED])
    first = row.runs[0].submission if row.runs else None
    return {
        "name": one_line(row.name),
        "authors": one_line(first.authors) if first else "videoinpaint",
        "licence": one_line(first.licence) if first else "",
        "method": one_line(row.name),
        "policy": one_line(first.policy) if first else "",
        "kind": "policy" if row.runs else "reference",
        "training_seeds": len(row.runs),
        "ranked": row.ranked,
        "rank": None,
        "marks": {mark: bool(row.runs) and all(run.marks[mark] for run in row.runs) for mark in MARKS},
        "flags": _flags(row, references),
        "contamination": one_line("; ".join(dict.fromkeys(run.submission.contamination for run in row.runs)) or "none"),
        "remarks": "" if row.runs else _about(row.name, len(space.shape) == 3),
        "score": mean,
        "normalised": (public - low) / (high - low) if high > low else None,
        "difference": None if versus_fixed is None else middle_difference(*versus_fixed),
        "probability_of_improvement": None if versus_fixed is None else probability_of_improvement(*versus_fixed),
        "measures": _measures(row),
        "iterations": _mean(row, "length"),
        "cost": {name: _mean(row, name) for name in COSTS if name != "seconds_per_frame"}
        | {"seconds_per_frame": _seconds(row)},
        "pareto": False,
        "profile": _profile(matrix, references),
        "episodes": [_episode(*one, score, space) for one in row.episodes],
        "log": _log(row),
    }


def _flags(row: Row, references: Mapping[str, Row]) -> list[str]:
    """What a reader should know of a method beyond its numbers."""
    found = [flag for run in row.runs for flag in (run.verification or {}).get("flags", [])]
    found += [f"{one_line(run.folder.name)} was not verified" for run in row.runs if run.verification is None]
    if any(ranked(run.verification) and not row.has_played(run) for run in row.runs):
        found.append("without the held-out episodes that this board ranks by")
    trained = Counter(run.submission.training_seed for run in row.runs)
    if repeated := [str(seed) for seed, count in trained.items() if count > 1]:
        found.append(f"more than one run says that its training seed was {', '.join(repeated)}")
    weights = Counter(str(sorted(run.submission.weights.values())) for run in row.runs if run.submission.weights)
    if any(count > 1 for count in weights.values()):
        found.append("runs of different training seeds have the same weights")
    actions = Counter(str(sorted((one["seed"], one["actions"]) for one in run.public)) for run in row.runs)
    if any(count > 1 for count in actions.values()):
        found.append("runs of different training seeds choose the very same actions")
    if row.runs:
        found += too_good(*row.against(references[ORACLE]))
    return [one_line(flag) for flag in dict.fromkeys(found)]


def _about(name: str, by_cell: bool) -> str:
    told = {
        RANDOM: "every control uniform over its range",
        BEST_FIXED: "the best constant of a grid, chosen on other episodes",
        "random search": "the best of constants drawn at random, chosen on other episodes",
        "greedy oracle": "tries the grid in every state and sees the true video",
        ORACLE: "beam search over a coarse grid, which sees the true video; outside of the grid a policy may exceed it",
    }
    searched = "; one setting for all cells first, then cell after cell, skipping too where that is allowed"
    return told.get(name, "") + (searched if by_cell and name.endswith("oracle") else "")


def _profile(matrix: NDArray[np.float64], references: Mapping[str, Row]) -> list[list[float]]:
    """Between the worst episode of a random policy and the best of the beam oracle."""
    ends = references[RANDOM].matrix().min(), references[ORACLE].matrix().max()
    thresholds = np.linspace(*ends, _THRESHOLDS)
    return [[float(x), float(y)] for x, y in zip(thresholds, performance_profile(matrix, thresholds))]


def _measures(row: Row) -> dict[str, Interval]:
    """Means over runs and clips of every metric that all episodes have."""
    names = row.counted[0][0].get("measures", {})
    return {name: mean_interval(values) for name in names if (values := row.measured(name)) is not None}


def _seconds(row: Row) -> float | None:
    """Of episodes that were played by whoever verified: what a submission says of its own machine nobody can check."""
    return _mean(row, "seconds_per_frame") if row.by_held_out or not row.runs else None


def _mean(row: Row, name: str) -> float | None:
    return mean_known([one.get(name) for episodes in row.counted for one in episodes])


def _episode(
    seed: int | None, held_out: bool, record: Mapping[str, Any], score: str, space: spaces.Box
) -> dict[str, Any]:
    return {
        "seed": record["seed"],
        "clip": one_line(record.get("clip", "")),
        "training_seed": seed,
        "score": record[score],
        "return": record["episode_return"],
        "quality_gain": record.get("quality_gain"),
        "measures": record.get("measures", {}),
        "controls": asked_for(record, space),
        "held_out": held_out,
    }


def _log(row: Row) -> list[str]:
    found = []
    for run in row.runs:
        seed = run.submission.training_seed
        where = f"training seed {seed}: " if seed is not None and len(row.runs) > 1 else ""
        told = ["not verified"] if run.verification is None else run.verification["log"]
        found += [one_line(where + line) for line in told]
    return found
