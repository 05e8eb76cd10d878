"""How much there is to gain: an oracle that tries the controls in every state, minus the best single fixed setting.

    python -m videoinpaint.benchmarks.policies.headroom --suites studio:easy studio:hard --trained runs/a runs/b

Two environments, at their registered sizes unless told otherwise: VideoInpaint-v1 (plain) and VideoInpaintBudget-v0
(budget). The oracle's episode is the better of a beam search and of the best constant setting for that episode. The
fixed setting it is compared with comes from the same grid, once chosen on other seeds (what one could know beforehand)
and once in hindsight on the very episodes, which is harder to beat. No headroom, no environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium
import numpy as np

from videoinpaint.agents.evaluation.oracle import oracle_return
from videoinpaint.agents.evaluation.record import EpisodeRecord, by_clip
from videoinpaint.agents.policies.policy import make_policy
from videoinpaint.benchmarks.policies.returns import scores
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.episodes import Arena, SuiteFlags, summary
from videoinpaint.benchmarks.protocol.statistics import mean_interval, paired_difference, significant
from videoinpaint.controls import Controls
from videoinpaint.errors import InputError

ENVIRONMENTS = {
    "plain": "VideoInpaint-v1",
    "budget": "VideoInpaintBudget-v0",
}
"""Name -> a registered id."""


@dataclass(frozen=True, kw_only=True)
class Headroom(SuiteFlags):
    """Where to search, and how finely."""

    suites: tuple[str, ...] = ("studio:easy", "studio:hard", "studio:fast", "studio:large")
    """Clip sources. A graded studio suite brings its own holes; others take --masks."""
    environments: tuple[str, ...] = ("plain", "budget")
    """plain, budget or both."""
    episodes: int = 16
    """Episodes to search: seeds 0, 1, ..."""
    beam: int = 1
    """Partial episodes the oracle keeps after each iteration; 1 is greedy."""


def run(flags: Headroom) -> dict[str, Any]:
    """Search all suites in all environments; see the module's description.

    Returns:
        ``environments``: per environment, per suite: the returns of the oracle, of the best fixed setting (beforehand,
        in hindsight), of the best constant setting episode by episode, the paired ``headroom`` over both, and what
        trained policies capture of it.

    Raises:
        InputError, UnknownNameError, MissingWeightsError: before any episode.
    """
    unknown = [name for name in flags.environments if name not in ENVIRONMENTS]
    if unknown:
        raise InputError(f"unknown environments {unknown}: use {' and '.join(ENVIRONMENTS)}")
    if flags.beam < 1:
        raise InputError("beam must be 1 or more")
    for spec in flags.trained:
        make_policy(spec)
    candidates, seeds = flags.candidates, flags.seeds
    steps = len(flags.environments) * len(flags.suites) * (2 * len(candidates) + flags.episodes + len(flags.trained))
    bar, advance = tables.progress("searching", steps)
    with bar:
        results = {
            name: {spec: _search(flags, name, spec, candidates, seeds, advance) for spec in flags.suites}
            for name in flags.environments
        }
    settings = {name: value for name, value in asdict(flags).items() if name != "output"}
    return envelope("headroom", settings, environments=results)


def _search(
    flags: Headroom, environment: str, clips: str, candidates: list[Controls], seeds: Sequence[int], advance: Any
) -> dict[str, Any]:
    env_id, kwargs = ENVIRONMENTS[environment], flags.arguments(clips)
    with Arena(env_id, kwargs, flags.num_envs) as arena:
        best = arena.best_fixed(candidates, flags.choice_seeds, advance).controls
        found = arena.best_fixed(candidates, seeds, advance)
        hindsight, constant = found.controls, found.records
        trained = []
        for spec in flags.trained:
            trained.append(arena.play(spec, seeds))
            advance()
    oracle = _oracle(env_id, kwargs, candidates, seeds, flags.beam, advance)
    return compared(oracle, constant, best, hindsight, trained)


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
    # A search that looks one step ahead can miss what a constant setting finds: an oracle must not lose to one.
    oracle = [max(tried, key=lambda record: record.episode_return) for tried in zip(oracle, *constant.values())]
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


def report(results: Mapping[str, Any]) -> None:
    """Print a table per environment."""
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
            f"headroom in {ENVIRONMENTS[name]}",
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
            f"{results['settings']['episodes']} episodes, 95% paired intervals; settings: how many of the grid are "
            "somewhere the best constant",
        )


if __name__ == "__main__":
    tables.main(Headroom, run, report, __doc__ or "")
