"""Policies against each other on held-out episodes: random, fixed, heuristic, and trained ones.

    python -m videoinpaint.benchmarks.policies.returns --suites studio:easy studio:hard --trained runs/a runs/b runs/c

The files or folders after --trained are one method under several training seeds. "best fixed" is the best of a grid
of constant settings, chosen on other seeds. "fixed weights" is the return that an agent which picks its own reward
weights cannot raise without a better repair; where the two disagree, the reward was gamed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from videoinpaint.agents.evaluation.record import EpisodeRecord, by_clip
from videoinpaint.agents.policies.baselines import FixedPolicy
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope, published
from videoinpaint.benchmarks.protocol.episodes import (
    TRAINED,
    Arena,
    SuiteFlags,
    episode_return,
    fixed_return,
    summary,
)
from videoinpaint.benchmarks.protocol.statistics import (
    Interval,
    mean_interval,
    paired_difference,
    probability_of_improvement,
    stratified_bootstrap,
)
from videoinpaint.controls import Controls
from videoinpaint.registration import DEFAULT_ID

BEST_FIXED = "best fixed"
Runs = dict[str, list[list[EpisodeRecord]]]
"""Method -> a list of records per training seed; one list for a method that was not trained."""


@dataclass(frozen=True, kw_only=True)
class Policies(SuiteFlags):
    """Who plays what."""

    suites: tuple[str, ...] = ("studio",)
    """Clip sources, a table each. A graded studio suite brings its own holes; others take --masks."""
    policies: tuple[str, ...] = ("random", "heads4", "heads8", "heads12", "fixed-bias", "heuristic")
    """Names, or module:attribute of your own."""
    env_id: str = DEFAULT_ID
    """A registered environment."""
    reward_weights: str | None = None
    """action or fixed; left out, the environment's own default."""

    def arguments(self, clips: str) -> dict[str, Any]:
        """See :meth:`SuiteFlags.arguments`."""
        chosen = {} if self.reward_weights is None else {"reward_weights": self.reward_weights}
        return super().arguments(clips) | chosen


def run(flags: Policies) -> dict[str, Any]:
    """Play all policies on all suites; see the module's description.

    Returns:
        ``suites``: per suite ``best_fixed`` (its controls) and per policy its return, fixed-weight return and paired
        difference to the best fixed setting, each with its interval, and mean metrics; ``overall``: interquartile
        means over suites and training seeds, and the probability of improvement over the best fixed setting.

    Raises:
        InputError, UnknownNameError, MissingWeightsError, CorruptWeightsError: before any episode.
    """
    flags.check_players(flags.policies)
    candidates, seeds = flags.candidates, flags.seeds
    plays = len(flags.policies) + len(flags.trained) + 1 + len(candidates)
    bar, advance = tables.progress("playing", len(flags.suites) * plays)
    suites, played = {}, {}
    with bar:
        for spec in flags.suites:
            with Arena(flags.env_id, flags.arguments(spec), flags.num_envs) as arena:
                best = arena.best_fixed(candidates, flags.choice_seeds, advance).controls
                played[spec] = _play(arena, flags, best, seeds, advance)
            suites[spec] = {"best_fixed": best.as_dict(), "policies": table(played[spec])}
    settings = flags.asked()
    rows = {name: published(name) for name in ("clip_rl.table4", "clip_rl.table6")}
    kwargs = {name: v for name, v in flags.arguments(flags.suites[0]).items() if name not in ("clips", "masks")}
    return envelope(
        "policies",
        settings,
        env_id=flags.env_id,
        env_kwargs=kwargs,
        suites=suites,
        overall=overall(list(played.values())),
        published=rows,
    )


def _play(arena: Arena, flags: Policies, best: Controls, seeds: Sequence[int], advance: Any) -> Runs:
    runs: Runs = {BEST_FIXED: [arena.play(FixedPolicy(best), seeds, BEST_FIXED)]}
    advance()
    for spec in flags.policies:
        runs[spec] = [arena.play(spec, seeds, spec)]
        advance()
    for spec in flags.trained:
        runs.setdefault(TRAINED, []).append(arena.play(spec, seeds, TRAINED))
        advance()
    return runs


def scores(runs: Sequence[Sequence[EpisodeRecord]], score: Any = episode_return) -> np.ndarray:
    """``(training seeds, clips)``."""
    return np.array([list(by_clip(records, score).values()) for records in runs])


def table(played: Runs) -> dict[str, dict[str, Any]]:
    """One suite's rows: returns and differences to the best fixed setting with intervals, and mean metrics."""
    longest = max(record.length for runs in played.values() for records in runs for record in records)
    quality = partial(fixed_return, iterations=longest)
    base, base_fixed = (scores(played[BEST_FIXED], score) for score in (episode_return, quality))
    rows = {}
    for name, runs in played.items():
        mine, mine_fixed = scores(runs), scores(runs, quality)
        rows[name] = {
            "training_seeds": len(runs),
            "return": mean_interval(mine),
            "fixed_return": mean_interval(mine_fixed),
            "difference": None if name == BEST_FIXED else paired_difference(mine, base),
            "fixed_difference": None if name == BEST_FIXED else paired_difference(mine_fixed, base_fixed),
            "wins": float((mine.mean(0) > base[0]).mean()),
            "metrics": summary([record for records in runs for record in records]),
            "clips": dict(zip(by_clip(runs[0]), mine.mean(0).tolist())),
        }
    return rows


def overall(played: Sequence[Runs]) -> dict[str, dict[str, Any]]:
    """Over all suites as tasks: interquartile mean with a stratified bootstrap, and P(better than the best fixed).

    Returns are divided by nothing: a task's return is that of its episodes' mean.
    """
    rows = {}
    for name in played[0]:
        by_task = np.stack([scores(runs[name]).mean(1) for runs in played], axis=1)  # (training seeds, suites)
        base = np.stack([scores(runs[BEST_FIXED]).mean(1) for runs in played], axis=1)
        iqm: Interval = stratified_bootstrap(by_task)
        rows[name] = {"iqm": iqm, "probability_of_improvement": probability_of_improvement(by_task, base)}
    return rows


def report(results: Mapping[str, Any]) -> None:
    """Print a table per suite and one over all of them."""
    metrics = ("psnr_hole", "psnr", "ssim", "lpips", "wta", "heads", "gflops", "iterations")
    for spec, suite in results["suites"].items():
        rows = [
            [
                name if row["training_seeds"] == 1 else f"{name} ({row['training_seeds']} seeds)",
                tables.interval(row["return"]),
                tables.interval(row["difference"], 4, True),
                tables.interval(row["fixed_difference"], 4, True),
                *(tables.number(row["metrics"][m], 4 if m in ("ssim", "lpips", "wta") else 2) for m in metrics),
            ]
            for name, row in sorted(suite["policies"].items(), key=lambda item: -item[1]["fixed_return"]["mean"])
        ]  # fmt: skip
        chosen = ", ".join(f"{name} {value:g}" for name, value in suite["best_fixed"].items())
        episodes = results["settings"]["episodes"]
        tables.show(
            f"{results['settings']['env_id']} on {spec}",
            ["policy", "return", "- best fixed", "- best fixed, fixed weights", *metrics],
            rows,
            f"{episodes} episodes, {tables.intervals(episodes, over='over clips and training seeds')}; "
            f"best fixed: {chosen}",
        )
    rows = [
        [name, tables.interval(row["iqm"]), tables.number(row["probability_of_improvement"], 2)]
        for name, row in results["overall"].items()
    ]
    tables.show("all suites", ["policy", "interquartile mean", "P(> best fixed)"], rows)


if __name__ == "__main__":
    tables.main(Policies, run, report, __doc__ or "")
