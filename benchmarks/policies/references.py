"""Reference returns of every registered environment: random, best fixed setting, oracle, and the policies that ship.

    python -m videoinpaint.benchmarks.policies.references --output videoinpaint/data/references.json

Each id is played as it is registered, on its own held-out episodes (seeds 0, 1, ...). The best fixed setting is the
best of a grid on other seeds; the oracle tries the same grid in every state, greedily, sees the true video, and is no
worse than the best constant of the episode. Scores that tables print lie between random (0) and the oracle (1).

    python -m videoinpaint.benchmarks.policies.references --into videoinpaint/data/references.json --policies trained

plays these policies alone, on the episodes that the file is of, and puts their rows into it: for a policy that is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium

from videoinpaint.agents.evaluation import EpisodeRecord, oracle_return
from videoinpaint.agents.policies.baselines import FixedPolicy
from videoinpaint.benchmarks.policies.suite_references import Search, measure_suites, show_suite
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope, write_json
from videoinpaint.benchmarks.protocol.episodes import Arena, EpisodeFlags
from videoinpaint.benchmarks.protocol.frozen import frozen_suite, suite_env_ids
from videoinpaint.benchmarks.protocol.statistics import mean_interval
from videoinpaint.checks import whole_number
from videoinpaint.errors import InputError
from videoinpaint.files import read_json
from videoinpaint.registration import ENVIRONMENTS


@dataclass(frozen=True, kw_only=True)
class References(EpisodeFlags):
    """What is measured."""

    env_ids: tuple[str, ...] = tuple(one.id for one in ENVIRONMENTS)
    """Registered environments."""
    policies: tuple[str, ...] = ("random", "default", "heuristic", "trained", "trained-budget")
    """Who plays beside the best fixed setting and the oracle."""
    episodes: int = 12
    """Held-out episodes of each id: seeds 0, 1, ..."""
    choice_episodes: int = 6
    """Episodes on which the best fixed setting is chosen: seeds 1000000, ..."""
    heads: tuple[int, ...] = (3, 12)
    """The grid of fixed settings."""
    fusion: tuple[float, ...] = (0.65,)
    """The grid of fixed settings."""
    objectives: tuple[str, ...] = ("average", "fidelity", "texture")
    """The grid of fixed settings: average, fidelity, texture, motion, largest."""
    suites: tuple[str, ...] = ()
    """Frozen suites, for those of --env-ids that they have episodes for."""
    draws: int = 8
    """Constants that random search tries on a suite's other seeds."""
    beam: int = 2
    """Partial episodes that the beam oracle of a suite keeps after each iteration."""
    into: Path | None = None
    """A file of references that gets the rows of --policies; everything else in it stays."""


def run(flags: References) -> dict[str, Any]:
    """Measure every id; see the module's description.

    Returns:
        ``environments``: per id what :func:`videoinpaint.envs.references.references` gives.

    Raises:
        InputError: too few episodes.
        UnknownNameError, MissingWeightsError: before any episode of that id.
    """
    if flags.into is not None and not flags.suites:
        return _put_into(flags.into, flags)
    for name in ("episodes", "choice_episodes"):
        whole_number(getattr(flags, name), name, 1, 10**6)
    if flags.suites:
        return _run_suites(flags)
    steps = len(flags.env_ids) * (2 * len(flags.candidates) + len(flags.policies) + flags.episodes)
    bar, advance = tables.progress("measuring", steps)
    with bar:
        measured = {env_id: _measure(env_id, flags, advance) for env_id in flags.env_ids}
    settings = flags.asked()
    return envelope("references", settings, environments=measured)


def _put_into(path: Path, flags: References) -> dict[str, Any]:
    """Play policies on the episodes of a file of references, and write it with their rows."""
    known = read_json(path, "references")
    if not set(flags.env_ids) <= set(known.get("environments", ())):
        raise InputError(f"{path} holds no references of {' and '.join(flags.env_ids)}: measure them first")
    settings = {"policies": flags.policies, "device": flags.device, "threads": flags.threads}
    record = envelope("references", settings)
    bar, advance = tables.progress("playing", len(flags.env_ids) * len(flags.policies))
    with bar:
        for env_id in flags.env_ids:
            entry = known["environments"][env_id]
            with Arena(env_id, {"device": flags.device}, flags.num_envs) as arena:
                for name in flags.policies:
                    entry["policies"][name] = _row(arena.play(name, range(entry["episodes"]), name))
                    advance()
            told = {key: record[key] for key in ("settings", "commit", "precision", "created", "command")}
            entry["put_in"] = entry.get("put_in", {}) | dict.fromkeys(flags.policies, told)
    write_json(path, known)
    return {**known, "environments": {env_id: known["environments"][env_id] for env_id in flags.env_ids}}


def _run_suites(flags: References) -> dict[str, Any]:
    search = Search(flags.candidates, flags.choice_seeds, flags.draws, flags.beam, flags.device)
    suites = [
        frozen_suite(name, env_id) for name in flags.suites for env_id in flags.env_ids if env_id in suite_env_ids(name)
    ]
    for suite in suites:
        suite.check_pixels()
    return measure_suites(suites, search, flags.output)


def _measure(env_id: str, flags: References, advance: Any) -> dict[str, Any]:
    with Arena(env_id, {"device": flags.device}, flags.num_envs) as arena:
        best = arena.best_fixed(flags.candidates, flags.choice_seeds, advance).controls
        constant = {}
        for controls in flags.candidates:
            constant[controls] = arena.play(FixedPolicy(controls), flags.seeds)
            advance()
        played = {"best fixed": constant[best]}
        for name in flags.policies:
            played[name] = arena.play(name, flags.seeds, name)
            advance()
    env = gymnasium.make(env_id, device=flags.device)
    found = []
    for seed in flags.seeds:
        found.append(oracle_return(env, flags.candidates, seed=seed).record)
        advance()
    env.close()
    # A search that looks one step ahead can miss what a constant finds.
    played["oracle"] = [max(each, key=lambda r: r.episode_return) for each in zip(found, *constant.values())]
    return {
        "episodes": flags.episodes,
        "best_fixed": best.as_dict(),
        "policies": {name: _row(records) for name, records in played.items()},
    }


def _row(records: list[EpisodeRecord]) -> dict[str, Any]:
    gains = [record.quality_gain or 0.0 for record in records]
    hole = [record.metrics["psnr_hole"] for record in records]
    return {
        "return": mean_interval([record.episode_return for record in records]),
        "quality_gain": mean_interval(gains),
        "psnr_hole": mean_interval(hole),
        "gflops": sum(record.gflops for record in records) / len(records),
    }


def report(results: Mapping[str, Any]) -> None:
    """Print a table per id, or per suite and id, best quality first."""
    for name, by_env in results.get("suites", {}).items():
        for env_id, known in by_env.items():
            show_suite(f"{name}, {env_id}", known)
    for env_id, known in results.get("environments", {}).items():
        low, high = (known["policies"][name]["return"]["mean"] for name in ("random", "oracle"))
        rows = [
            [
                name,
                tables.interval(row["quality_gain"], 4),
                tables.interval(row["return"], 4),
                tables.number((row["return"]["mean"] - low) / (high - low), 2),
                tables.number(row["psnr_hole"]["mean"], 2),
                tables.number(row["gflops"], 0),
            ]
            for name, row in sorted(known["policies"].items(), key=lambda item: -item[1]["quality_gain"]["mean"])
        ]
        columns = ["policy", "quality gained", "return", "score", "PSNR hole", "GFLOPs"]
        best = ", ".join(f"{name} {value:g}" for name, value in known["best_fixed"].items())
        told = f"{known['episodes']} episodes, {tables.intervals(known['episodes'])}"
        tables.show(env_id, columns, rows, f"{told}; best fixed: {best}")


if __name__ == "__main__":
    tables.main(References, run, report, __doc__ or "")
