"""`rank`: submissions and their verifications become a board: rows with intervals, ranks, ties, cost and flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gymnasium import spaces

from videoinpaint import files
from videoinpaint.agents.evaluation.run_record import software
from videoinpaint.benchmarks.leaderboard.board.board_entry import BEST_FIXED, COSTS, ORACLE, RANDOM, board_entry
from videoinpaint.benchmarks.leaderboard.board.methods import by_method
from videoinpaint.benchmarks.leaderboard.board.rows import Row, Run, normal
from videoinpaint.benchmarks.leaderboard.judging.measuring import score_name
from videoinpaint.benchmarks.leaderboard.judging.tolerance import TOLERANCES
from videoinpaint.benchmarks.leaderboard.judging.verification import ranked
from videoinpaint.benchmarks.leaderboard.submissions.actions import action_space_of, skips_in
from videoinpaint.benchmarks.leaderboard.submissions.submission import check_versions
from videoinpaint.benchmarks.protocol.envelope import PROTOCOL
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite
from videoinpaint.benchmarks.protocol.statistics import (
    middle_difference,
    pareto_front,
    significant,
    tied_ranks,
)
from videoinpaint.benchmarks.protocol.suite_references import suite_references
from videoinpaint.checks import is_number
from videoinpaint.errors import InputError

FORMAT = "videoinpaint-leaderboard-1"
CONSTANT = frozenset(f"builtin:{name}" for name in (
    "default", "heads4", "heads8", "heads12", "fusion65", "fusion80", "fixed-bias", "fixed-average"))  # fmt: skip
"""Policies that always choose the same, as those of the form ``fixed:`` do."""
BLIND = frozenset(f"builtin:{name}" for name in ("random", "heads4then2", "heads6then2", "heads6once", "heads12once"))
"""Those that do not look at what they see either, and choose otherwise from pass to pass."""
EQUAL = 1.5
"""A factor between two costs up to which they are called equal: where policies stop early, no constant comes near."""


def reference_episodes(suite: FrozenSuite, file: Path | None = None) -> dict[str, list[dict[str, Any]]]:
    """Episodes of a suite's references, by name.

    Args:
        suite: that they played.
        file: what `python -m videoinpaint.benchmarks.policies.references --suites` wrote; by default what ships.

    Raises:
        InputError: nothing was measured on it.
    """
    known = suite_references(suite) if file is None else _of_file(file, suite)
    if known is None or known.get("digest") != suite.digest:
        where = "ships without references" if file is None else f"has no references in {file}"
        raise InputError(f"suite {suite.name} of {suite.env_id} {where}: a board needs them")
    return {name: list(one["episodes"]) for name, one in known["policies"].items()}


def _of_file(file: Path, suite: FrozenSuite) -> Any:
    """What a file of references holds of a suite; None for nothing.

    Raises:
        InputError: it is no such file.
    """
    suites = files.read_json(file, "references of suites")
    try:
        known = suites.get("suites", {}).get(suite.name, {}).get(suite.env_id)
        for one in () if known is None else known["policies"].values():
            for episode in one["episodes"]:
                told = [episode[name] for name in ("seed", "return", "iterations")]
                told += [episode[name] for name in (*COSTS, "quality_gain") if episode.get(name) is not None]
                if not all(map(is_number, told)):
                    raise ValueError(f"no numbers in the episode of seed {episode['seed']}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file} holds no references of suites ({error!r}): measure them anew") from error
    return known


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
    held_out, score = _held_out_seeds(runs), score_name(suite)
    known = {name: Row(name, (), normal(found, suite, score), score, held_out) for name, found in references.items()}
    rows = [Row(name, tuple(found), (), score, held_out) for name, found in by_method(runs, references).items()]
    space = action_space_of(suite)
    entries = [board_entry(row, known, score, space) for row in (*rows, *known.values())]
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
            "held_out": len(held_out),
            "salt_sha256": ", ".join(sorted(salts)) or None,
            **_cells(space),
        },
        "software": software(),
        "protocol": dict(PROTOCOL),
        "score": _shown(score),
        "references": {name: entry["score"]["mean"] for entry in entries for name in _roles(entry)},
        "entries": sorted(entries, key=lambda one: (one["rank"] or 10**6, -one["score"]["mean"])),
        "clips": [],
    }


def _cells(space: spaces.Box) -> dict[str, Any]:
    """What a board says of actions that are by cell; nothing where they are for whole frames."""
    return {"cells": list(space.shape[:-1]), "skips": skips_in(space)} if len(space.shape) == 3 else {}


def _add_ranks(entries: list[dict[str, Any]], rows: list[Row]) -> None:
    """Ranks of what was verified; others have none. What threads and precision make of the same actions is a tie."""
    chosen = [index for index, row in enumerate(rows) if row.ranked]
    if not chosen:
        return

    def differs(a: int, b: int) -> bool:
        one, other = rows[chosen[a]], rows[chosen[b]]
        difference = middle_difference(*one.against(other))
        noise = max(TOLERANCES[run.submission.precision][""] for run in (*one.runs, *other.runs))
        return significant(difference) and abs(difference["mean"]) > noise

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
        apart = max(nearest["cost"]["gflops_total"], cost) / min(nearest["cost"]["gflops_total"], cost)
        nearest["nearest_in_cost"] = "fixed at equal compute" if apart <= EQUAL else "fixed nearest in compute"


def _roles(entry: dict[str, Any]) -> list[str]:
    """Under which names an entry is a reference of the board."""
    found = [entry["name"]] if entry["kind"] == "reference" else []
    found += ["oracle"] if found == [ORACLE] else []
    return found + ([entry.pop("nearest_in_cost")] if "nearest_in_cost" in entry else [])


def _held_out_seeds(runs: Sequence[Run]) -> tuple[int, ...]:
    """The held-out episodes that are ranked by: those of all runs that have some and can be ranked, if they are the
    same. Runs without any have no rank then, so that nobody makes a board public again by failing there.
    """
    found = {tuple(sorted(one["seed"] for one in run.held_out)) for run in runs if ranked(run.verification)} - {()}
    return found.pop() if len(found) == 1 else ()


def _shown(score: str) -> str:
    return "return" if score == "episode_return" else score
