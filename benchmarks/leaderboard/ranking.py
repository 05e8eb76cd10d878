"""`rank`: submissions and their verifications become a board: rows with intervals, ranks, ties, cost and flags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoinpaint import files
from videoinpaint.agents.evaluation.run_record import software
from videoinpaint.benchmarks.leaderboard.marks import MARKS
from videoinpaint.benchmarks.leaderboard.measuring import score_name
from videoinpaint.benchmarks.leaderboard.rows import Row, Run, matrix_of, normal
from videoinpaint.benchmarks.leaderboard.submission import check_versions
from videoinpaint.benchmarks.leaderboard.verification import ranked, too_good
from videoinpaint.benchmarks.protocol.envelope import PROTOCOL
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite
from videoinpaint.benchmarks.protocol.statistics import (
    interquartile_mean,
    mean_interval,
    middle_difference,
    middle_interval,
    pareto_front,
    performance_profile,
    probability_of_improvement,
    significant,
    tied_ranks,
)
from videoinpaint.benchmarks.protocol.suite_references import HIGH, LOW, suite_references
from videoinpaint.errors import InputError
from videoinpaint.naming import one_line

FORMAT = "videoinpaint-leaderboard-1"
RANDOM, BEST_FIXED, ORACLE = LOW, "best fixed", HIGH
COSTS = ("gflops_begin", "gflops", "gflops_detector", "gflops_total", "seconds_per_frame")
CONSTANT = frozenset(f"builtin:{name}" for name in (
    "default", "heads4", "heads8", "heads12", "fusion65", "fusion80", "fixed-bias", "fixed-average"))  # fmt: skip
"""Policies that always choose the same, as those of the form ``fixed:`` do."""
BLIND = frozenset(f"builtin:{name}" for name in ("random", "heads4then2", "heads6then2", "heads6once", "heads12once"))
"""Those that do not look at what they see either, and choose otherwise from pass to pass."""
_THRESHOLDS = 41


def reference_episodes(suite: FrozenSuite, file: Path | None = None) -> dict[str, list[dict[str, Any]]]:
    """Episodes of a suite's references, by name.

    Args:
        suite: that they played.
        file: what `python -m videoinpaint.benchmarks.policies.references --suites` wrote; by default what ships.

    Raises:
        InputError: nothing was measured on it.
    """
    if file is None:
        known = suite_references(suite)
    else:
        suites = files.read_json(file, "references of suites").get("suites", {})
        known = suites.get(suite.name, {}).get(suite.env_id)
    if known is None or known.get("digest") != suite.digest:
        where = "ships without references" if file is None else f"has no references in {file}"
        raise InputError(f"suite {suite.name} of {suite.env_id} {where}: a board needs them")
    return {name: list(one["episodes"]) for name, one in known["policies"].items()}


def rank(runs: Sequence[Run], references: Mapping[str, Sequence[dict[str, Any]]], suite: FrozenSuite) -> dict[str, Any]:
    """The board as JSON has it, without pictures.

    Args:
        runs: of submissions to one suite.
        references: episodes of what ships with the suite, by name: random and the beam oracle at least.
        suite: that all of them played.

    Raises:
        InputError: no runs, or of another suite, or there are no references.
    """
    if not runs:
        raise InputError("name the folders of submissions")
    for run in runs:
        check_versions(run.submission, suite)
    if missing := [name for name in (RANDOM, BEST_FIXED, ORACLE) if name not in references]:
        raise InputError(f"suite {suite.name} has no reference episodes of {', '.join(missing)}: a board needs them")
    seeds = _held_out_seeds(runs)
    held_out, score = bool(seeds), score_name(suite)
    methods = _by_method(runs)
    known = {name: Row(name, (), normal(found, suite, score), score, held_out) for name, found in references.items()}
    rows = [Row(_free(name, known), tuple(found), (), score, held_out) for name, found in methods.items()]
    entries = [_entry(row, known, score) for row in (*rows, *known.values())]
    _add_ranks(entries, [*rows, *known.values()])
    _add_pareto(entries)
    _add_equal_compute(entries, rows)
    salts = {run.salt for run in runs if run.salt}
    return {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "suite": {
            "name": suite.name,
            "env_id": suite.env_id,
            "digest": suite.digest,
            "episodes": len(suite.episodes),
            "held_out": len(seeds),
            "salt_sha256": ", ".join(sorted(salts)) or None,
        },
        "software": software(),
        "protocol": dict(PROTOCOL),
        "score": _shown(score),
        "references": {name: entry["score"]["mean"] for entry in entries for name in _roles(entry)},
        "entries": sorted(entries, key=lambda one: (one["rank"] or 10**6, -one["score"]["mean"])),
        "clips": [],
    }


def _entry(row: Row, references: Mapping[str, Row], score: str) -> dict[str, Any]:
    matrix = row.matrix()
    low, high = (interquartile_mean(references[name].matrix()) for name in (RANDOM, ORACLE))
    public = interquartile_mean(matrix_of(row.public, sorted(row.public[0])))  # on the episodes of the references
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
        "remarks": "" if row.runs else _about(row.name),
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
        "episodes": [_episode(*one, score) for one in row.episodes],
        "log": _log(row),
    }


def _flags(row: Row, references: Mapping[str, Row]) -> list[str]:
    """What a reader should know of a method beyond its numbers."""
    found = [flag for run in row.runs for flag in (run.verification or {}).get("flags", [])]
    found += [f"{one_line(run.folder.name)} was not verified" for run in row.runs if run.verification is None]
    if row.held_out and any(ranked(run.verification) and not run.held_out for run in row.runs):
        found.append("without the held-out episodes that this board ranks by")
    trained = Counter(run.submission.training_seed for run in row.runs)
    if repeated := [str(seed) for seed, count in trained.items() if count > 1]:
        found.append(f"more than one run says that its training seed was {', '.join(repeated)}")
    weights = Counter(str(sorted(run.submission.weights.values())) for run in row.runs if run.submission.weights)
    if any(count > 1 for count in weights.values()):
        found.append("runs of different training seeds have the same weights")
    actions = Counter(str([one["actions"] for one in run.episodes]) for run in row.runs)
    if any(count > 1 for count in actions.values()):
        found.append("runs of different training seeds choose the very same actions")
    if row.runs:
        found += too_good(*row.against(references[ORACLE]))
    return [one_line(flag) for flag in dict.fromkeys(found)]


def _add_ranks(entries: list[dict[str, Any]], rows: list[Row]) -> None:
    """Ranks of what was verified; others have none."""
    chosen = [index for index, row in enumerate(rows) if row.ranked]
    if not chosen:
        return

    def differs(a: int, b: int) -> bool:
        return significant(middle_difference(*rows[chosen[a]].against(rows[chosen[b]])))

    ranks = tied_ranks([entries[index]["score"]["mean"] for index in chosen], differs)
    for index, place in zip(chosen, ranks):
        entries[index]["rank"] = place


def _add_pareto(entries: list[dict[str, Any]]) -> None:
    """The front over whole cost among what was verified; oracles see the true video, and search is not counted."""
    chosen = [one for one in entries if one["ranked"] and one["cost"]["gflops_total"] is not None]
    if chosen:
        costs = [one["cost"]["gflops_total"] for one in chosen]
        for one, on_it in zip(chosen, pareto_front(costs, [one["score"]["mean"] for one in chosen])):
            one["pareto"] = on_it


def _add_equal_compute(entries: list[dict[str, Any]], rows: list[Row]) -> None:
    """Name the constant that costs most nearly what the best policy costs that looks at what it sees."""
    counted = [
        (entry, row.runs[0].submission.policy)
        for entry, row in zip(entries, rows)
        if entry["ranked"] and entry["cost"]["gflops_total"]
    ]
    constants = [one for one, policy in counted if policy in CONSTANT or policy.startswith("fixed:")]
    looking = [one for one, policy in counted if one not in constants and policy not in BLIND]
    if looking and constants:
        best = max(looking, key=lambda one: one["score"]["mean"])
        cost = best["cost"]["gflops_total"]
        nearest = min(constants, key=lambda one: abs(one["cost"]["gflops_total"] - cost))
        told = f"the fixed setting here whose computation comes nearest to that of {best['name']}"
        nearest["remarks"] = f"{told} ({nearest['cost']['gflops_total']:.0f} and {cost:.0f} GFLOPs)"
        nearest["equal_compute"] = True


def _roles(entry: dict[str, Any]) -> list[str]:
    """Under which names an entry is a reference of the board."""
    found = [entry["name"]] if entry["kind"] == "reference" else []
    found += ["oracle"] if found == [ORACLE] else []
    return found + (["fixed at equal compute"] if entry.pop("equal_compute", False) else [])


def _about(name: str) -> str:
    told = {
        RANDOM: "every control uniform over its range",
        BEST_FIXED: "the best constant of a grid, chosen on other episodes",
        "random search": "the best of constants drawn at random, chosen on other episodes",
        "greedy oracle": "tries the grid in every state and sees the true video",
        ORACLE: "beam search over a coarse grid, which sees the true video; outside of the grid a policy may exceed it",
    }
    return told.get(name, "")


def _held_out_seeds(runs: Sequence[Run]) -> tuple[int, ...]:
    """The held-out episodes that are ranked by: those of all runs that have some and can be ranked, if they are the
    same. Runs without any have no rank then, so that nobody makes a board public again by failing there.
    """
    found = {tuple(sorted(one["seed"] for one in run.held_out)) for run in runs if ranked(run.verification)} - {()}
    return found.pop() if len(found) == 1 else ()


def _by_method(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by the name of their row: those of one method, which are its training seeds. Of other authors it is another
    row, so that nobody's numbers or marks are changed by what somebody else sends in under the same name.
    """
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.submission.method, run.submission.authors), []).append(run)
    named: dict[str, list[Run]] = {}
    for (method, authors), found in groups.items():
        shared = sum(key[0] == method for key in groups) > 1
        named[_free(f"{method} ({authors})" if shared else method, named)] = found
    return named


def _profile(matrix: NDArray[np.float64], references: Mapping[str, Row]) -> list[list[float]]:
    """Between the worst episode of a random policy and the best of the beam oracle."""
    ends = references[RANDOM].matrix().min(), references[ORACLE].matrix().max()
    thresholds = np.linspace(*ends, _THRESHOLDS)
    return [[float(x), float(y)] for x, y in zip(thresholds, performance_profile(matrix, thresholds))]


def _measures(row: Row) -> dict[str, dict[str, float]]:
    """Means over training seeds and clips of every metric that all episodes have."""
    found = {}
    counted = [one for _, held, one in row.episodes if held == _counts(row)]
    for name in counted[0].get("measures", {}) if counted else ():
        by_run: dict[Any, list[float]] = {}
        for seed, held, one in row.episodes:
            if held == _counts(row) and name in one.get("measures", {}):
                by_run.setdefault(seed, []).append(one["measures"][name])
        if sum(map(len, by_run.values())) == len(counted) and len(set(map(len, by_run.values()))) == 1:
            found[name] = mean_interval(list(by_run.values()))
    return found


def _counts(row: Row) -> bool:
    return row.by_held_out


def _seconds(row: Row) -> float | None:
    """Of episodes that were played by whoever verified: what a submission says of its own machine nobody can check."""
    return _mean(row, "seconds_per_frame") if row.by_held_out or not row.runs else None


def _mean(row: Row, name: str) -> float | None:
    values = [one.get(name) for _, held, one in row.episodes if held == _counts(row)]
    return float(np.mean([float(v) for v in values if v is not None])) if values and None not in values else None


def _episode(seed: int | None, held_out: bool, record: Mapping[str, Any], score: str) -> dict[str, Any]:
    return {
        "seed": record["seed"],
        "clip": one_line(record.get("clip", "")),
        "training_seed": seed,
        "score": record[score],
        "return": record["episode_return"],
        "quality_gain": record.get("quality_gain"),
        "measures": record.get("measures", {}),
        "controls": record.get("controls", []),
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


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """A method's name, told apart from that of a reference."""
    while name in taken:
        name += " (submitted)"
    return name


def _shown(score: str) -> str:
    return "return" if score == "episode_return" else score
