"""How much there is to gain: an oracle that tries the controls in every state, minus the best single fixed setting.

    python -m videoinpaint.benchmarks.policies.headroom --suites studio:easy studio:hard --trained runs/a runs/b

Environments, at their registered sizes unless told otherwise: VideoInpaint-v1 (plain), VideoInpaintBudget-v0 (budget),
VideoInpaintRegions-v0 (regions), or any registered id. Named policies and trained ones (--trained, a training seed
each) play the same episodes; their score is 0 where they gain what the best fixed setting gains, and 1 where they gain
what the oracle gains. The oracle's episode is the better of a beam search and of the best constant setting for that
episode. The fixed setting it is compared with comes from the same grid, once chosen on other seeds (what one could know
beforehand) and once in hindsight on the very episodes, which is harder to beat. No headroom, no environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from videoinpaint.agents.evaluation.oracle import oracle_return
from videoinpaint.agents.evaluation.record import EpisodeRecord, by_clip
from videoinpaint.benchmarks.policies.returns import scores
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.episodes import TRAINED, Arena, SuiteFlags, summary
from videoinpaint.benchmarks.protocol.flags import GradedSuites
from videoinpaint.benchmarks.protocol.statistics import mean_interval, paired_difference, significant
from videoinpaint.controls import Controls
from videoinpaint.errors import InputError

ENVIRONMENTS = {
    "plain": "VideoInpaint-v1",
    "budget": "VideoInpaintBudget-v0",
    "regions": "VideoInpaintRegions-v0",
}
"""Name -> a registered id."""

DESCRIBED = ("psnr_hole", "lpips", "ssim")
"""Metrics of the final repair in the table of policies."""


@dataclass(frozen=True, kw_only=True)
class Headroom(GradedSuites, SuiteFlags):
    """Where to search, and how finely."""

    environments: tuple[str, ...] = ("plain", "budget")
    """plain, budget, regions, or registered ids."""
    policies: tuple[str, ...] = ("random", "default", "heuristic")
    """Who plays beside the best fixed setting and the oracle: names, policy files, or module:attribute of your own."""
    action_grid: tuple[int, int] | None = None
    """Rows and columns of cells with actions of their own, as the id registers it unless given."""
    table: Path | None = None
    """Write the table of policies here: .md, .csv or .tex."""
    episodes: int = 16
    """Episodes to search: seeds 0, 1, ..."""
    beam: int = 1
    """Partial episodes the oracle keeps after each iteration; 1 is greedy."""

    def arguments(self, clips: str) -> dict[str, Any]:
        """See :meth:`SuiteFlags.arguments`."""
        return super().arguments(clips) | ({} if self.action_grid is None else {"action_grid": self.action_grid})


def run(flags: Headroom) -> dict[str, Any]:
    """Search all suites in all environments; see the module's description.

    Returns:
        ``environments``: per environment, per suite: the returns of the oracle, of the best fixed setting (beforehand,
        in hindsight), of the best constant setting episode by episode, the paired ``headroom`` over both, what trained
        policies capture of it, and ``policies``, see :func:`standings`.

    Raises:
        InputError, UnknownNameError, MissingWeightsError: before any episode.
    """
    unknown = [name for name in flags.environments if name not in ENVIRONMENTS and name not in gymnasium.registry]
    if unknown:
        raise InputError(f"unknown environments {unknown}: use {', '.join(ENVIRONMENTS)}, or registered ids")
    if flags.table is not None and flags.table.suffix not in (".md", ".csv", ".tex"):
        raise InputError(f"cannot write {flags.table}: end the name in .md, .csv or .tex")
    if flags.beam < 1:
        raise InputError("beam must be 1 or more")
    flags.check_players(flags.policies)
    candidates, seeds = flags.candidates, flags.seeds
    players = len(flags.policies) + len(flags.trained)
    steps = len(flags.environments) * len(flags.suites) * (2 * len(candidates) + flags.episodes + players)
    bar, advance = tables.progress("searching", steps)
    with bar:
        results = {
            name: {spec: _search(flags, name, spec, candidates, seeds, advance) for spec in flags.suites}
            for name in flags.environments
        }
    settings = flags.asked("table")
    whole = envelope("headroom", settings, environments=results)
    if flags.table is not None:
        tables.write_table(flags.table, *policy_table(whole))
    return whole


def _search(
    flags: Headroom, environment: str, clips: str, candidates: list[Controls], seeds: Sequence[int], advance: Any
) -> dict[str, Any]:
    env_id, kwargs = ENVIRONMENTS.get(environment, environment), flags.arguments(clips)
    with Arena(env_id, kwargs, flags.num_envs) as arena:
        best = arena.best_fixed(candidates, flags.choice_seeds, advance).controls
        found = arena.best_fixed(candidates, seeds, advance)
        hindsight, constant = found.controls, found.records
        trained, played = [], {}
        for spec in flags.policies:
            played[spec] = [arena.play(spec, seeds, spec)]
            advance()
        for spec in flags.trained:
            trained.append(arena.play(spec, seeds))
            advance()
    searched = _oracle(env_id, kwargs, candidates, seeds, flags.beam, advance)
    oracle = _no_worse(searched, constant)
    everyone = {"best fixed": [constant[best]]} | played | ({TRAINED: trained} if trained else {})
    result = compared(oracle, constant, best, hindsight, trained)
    return result | {"policies": standings(everyone | {"oracle": [oracle]})}


def _oracle(
    env_id: str, kwargs: Mapping[str, Any], candidates: list[Controls], seeds: Sequence[int], beam: int, advance: Any
) -> list[EpisodeRecord]:
    env = gymnasium.make(env_id, disable_env_checker=True, **kwargs)
    records = []
    for seed in seeds:
        records.append(oracle_return(env, candidates, seed=seed, width=beam).record)
        advance()
    env.close()
    return records


def _no_worse(
    searched: Sequence[EpisodeRecord], constant: Mapping[Controls, Sequence[EpisodeRecord]]
) -> list[EpisodeRecord]:
    """A search that looks one step ahead can miss what a constant setting finds: an oracle must not lose to one."""
    return [max(tried, key=lambda record: record.episode_return) for tried in zip(searched, *constant.values())]


def standings(played: Mapping[str, Sequence[Sequence[EpisodeRecord]]]) -> dict[str, dict[str, Any]]:
    """What everybody reached on the same episodes.

    Args:
        played: per policy a list of records for each training seed; "best fixed" and "oracle" among them.

    Returns:
        per policy the ``return`` and its paired ``gain`` over the best fixed setting; ``score``, that gain as a share
        of the oracle's mean gain (0: best fixed, 1: oracle; the interval is that of the gain, NaN where there is no
        headroom); the final repair's metrics and the paired ``psnr_hole_gain``; ``gflops`` of all passes, and their
        ``gflops_share`` of the best fixed setting's.
    """
    base, spent = scores(played["best fixed"]), scores(played["best fixed"], _gflops)
    holes = scores(played["best fixed"], partial(_metric, name="psnr_hole"))
    room = paired_difference(scores(played["oracle"]), base)
    rows = {}
    for name, runs in played.items():
        gain = paired_difference(scores(runs), base)
        share = 1 / room["mean"] if significant(room) else float("nan")
        rows[name] = {
            "training_seeds": len(runs),
            "return": mean_interval(scores(runs)),
            "gain": gain,
            "score": {end: value * share for end, value in gain.items()},
            "psnr_hole_gain": paired_difference(scores(runs, partial(_metric, name="psnr_hole")), holes),
            "gflops": mean_interval(scores(runs, _gflops)),
            "gflops_share": float(scores(runs, _gflops).mean() / spent.mean()) if spent.any() else float("nan"),
            **{metric: mean_interval(scores(runs, partial(_metric, name=metric))) for metric in DESCRIBED},
        }
    return rows


def _gflops(record: EpisodeRecord) -> float:
    return record.gflops


def _metric(record: EpisodeRecord, name: str) -> float:
    return record.metrics[name]


def compared(
    oracle: Sequence[EpisodeRecord],
    constant: Mapping[Controls, Sequence[EpisodeRecord]],
    best: Controls,
    hindsight: Controls,
    trained: Sequence[Sequence[EpisodeRecord]] = (),
) -> dict[str, Any]:
    """The numbers of one suite in one environment.

    Args:
        oracle: its episodes.
        constant: every fixed setting's records of the same episodes.
        best: the setting chosen beforehand.
        hindsight: the setting best on these episodes.
        trained: a list of records per training seed.
    """
    oracle = _no_worse(oracle, constant)
    top, fixed, late = scores([oracle])[0], scores([constant[best]])[0], scores([constant[hindsight]])[0]
    every = np.stack([scores([records])[0] for records in constant.values()])
    labels = [", ".join(f"{k} {v:g}" for k, v in c.as_dict().items()) for c in constant]
    result: dict[str, Any] = {
        "best_fixed": best.as_dict(),
        "best_in_hindsight": hindsight.as_dict(),
        "returns": {
            "oracle": mean_interval(top),
            "best constant per clip": mean_interval(every.max(0)),
            "best fixed": mean_interval(fixed),
            "best in hindsight": mean_interval(late),
        },
        "headroom": paired_difference(top, fixed),
        "headroom_in_hindsight": paired_difference(top, late),
        # Where one setting wins everywhere, no policy has anything to decide.
        "best_constant_shares": {
            label: float(share) for label, share in zip(labels, np.bincount(every.argmax(0), minlength=len(labels))
                                                        / every.shape[1])
        },
        "metrics": {"oracle": summary(oracle), "best fixed": summary(constant[best])},
        "clips": {clip: {"oracle": a, "best fixed": b} for clip, a, b in zip(by_clip(oracle), top, fixed)},
    }  # fmt: skip
    if trained:
        reached = scores(trained)
        gain, room = paired_difference(reached, fixed), result["headroom"]
        # A share of a headroom that may be zero means nothing.
        captured = gain["mean"] / room["mean"] if significant(room) else float("nan")
        result |= {"trained": mean_interval(reached), "gain": gain, "captured": captured}
    return result


def policy_table(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of everybody in all environments and suites, best return first."""
    titles = ["environment", "suite", "policy", "return", "- best fixed", "captured", "PSNR hole", "- best fixed"]
    rows = []
    for name, suites in results["environments"].items():
        for spec, suite in suites.items():
            for policy, row in sorted(suite["policies"].items(), key=lambda item: -item[1]["return"]["mean"]):
                seeds = "" if row["training_seeds"] == 1 else f" ({row['training_seeds']} seeds)"
                rows.append([
                    ENVIRONMENTS.get(name, name), spec, policy + seeds,
                    tables.interval(row["return"], 4), tables.interval(row["gain"], 4, True),
                    tables.interval(row["score"], 2, True), tables.interval(row["psnr_hole"], 2),
                    tables.interval(row["psnr_hole_gain"], 2, True), tables.number(row["lpips"]["mean"], 4),
                    tables.number(row["gflops"]["mean"], 1), tables.number(row["gflops_share"], 2),
                ])  # fmt: skip
    return [*titles, "LPIPS", "GFLOPs", "of best fixed's"], rows


def report(results: Mapping[str, Any]) -> None:
    """Print a table per environment, and one of all policies."""
    episodes = results["settings"]["episodes"]
    for name, suites in results["environments"].items():
        rows = [
            [
                spec,
                *(tables.interval(row["returns"][key]) for key in ("oracle", "best fixed")),
                tables.interval(row["headroom"], 4, True),
                tables.interval(row["headroom_in_hindsight"], 4, True),
                tables.interval(row.get("gain"), 4, True),
                tables.number(row.get("captured"), 2),
                str(sum(share > 0 for share in row["best_constant_shares"].values())),
                *(tables.number(row["metrics"][who]["iterations"], 2) for who in ("oracle", "best fixed")),
            ]
            for spec, row in suites.items()
        ]
        tables.show(
            f"headroom in {ENVIRONMENTS.get(name, name)}",
            [
                "suite",
                "oracle",
                "best fixed",
                "headroom",
                "over hindsight",
                "trained gain",
                "captured",
                "settings",
                "iter. oracle",
                "iter. fixed",
            ],
            rows,
            f"{episodes} episodes, {tables.intervals(episodes, 'paired')}; settings: how many of the grid are "
            "somewhere the best constant",
        )
    told = tables.intervals(episodes, over="over clips and training seeds")
    caption = f"{told}; captured: 0 is the best fixed setting, 1 the oracle"
    tables.show("policies", *policy_table(results), caption)


if __name__ == "__main__":
    tables.main(Headroom, run, report, __doc__ or "")
