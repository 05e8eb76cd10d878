"""Reference policies on frozen suites: random, two constants, and two searches that see the true video.

Where actions are by cell, random draws for every cell, constants do the same in all of them, and both searches also try
cell after cell (:func:`videoinpaint.agents.evaluation.oracle.oracle_return`), skipping too where that is allowed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from videoinpaint.agents.evaluation.oracle import best_fixed, oracle_return
from videoinpaint.agents.evaluation.record import EpisodeRecord
from videoinpaint.agents.policies.baselines import FixedPolicy
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import PROTOCOL, envelope, write_json
from videoinpaint.benchmarks.protocol.episodes import Arena
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite
from videoinpaint.benchmarks.protocol.statistics import mean_interval
from videoinpaint.benchmarks.protocol.suite_references import quality_gain, ranked_by, ranked_score
from videoinpaint.controls import Controls, action_to_controls
from videoinpaint.envs.ids import with_precision
from videoinpaint.errors import InputError

PRECISION = "float32"
DRAW_SEED = 0
"""Of the constants that random search tries."""

Entry = dict[str, Any]


@dataclass(frozen=True)
class Search:
    """How references are found.

    Attributes:
        candidates: the grid of the best fixed setting and of both oracles.
        choice_seeds: episodes of the suite's kind on which constants are chosen.
        draws: constants that random search tries there.
        beam: partial episodes that the beam oracle keeps.
        device: where it computes.
    """

    candidates: Sequence[Controls]
    choice_seeds: Sequence[int]
    draws: int
    beam: int
    device: str

    def as_dict(self) -> dict[str, Any]:
        """What results depend on."""
        choice = [self.choice_seeds[0], self.choice_seeds[-1]]
        return asdict(self) | {"candidates": [c.as_dict() for c in self.candidates], "choice_seeds": choice}


def random_settings(draws: int) -> list[Controls]:
    """Constants drawn as a random policy draws its actions.

    Raises:
        InputError: fewer than one.
    """
    if draws < 1:
        raise InputError(f"random search tries 1 setting or more, got {draws}")
    drawn = action_to_controls(np.random.default_rng(DRAW_SEED).uniform(-1, 1, (draws, 5)).astype(np.float32))
    return [Controls.from_array(row) for row in drawn]


def measure_suites(suites: Sequence[FrozenSuite], search: Search, output: Path | None) -> dict[str, Any]:
    """Measure suites one after the other, and write after every policy; what a file has already is not measured again.

    Raises:
        InputError: the file holds something else, or references that were found in another way or on other episodes.
    """
    results = _results(output)
    for suite in suites:
        entry = results["suites"].setdefault(suite.name, {}).setdefault(suite.env_id, {})
        if entry and (entry["digest"], entry["search"]) != (suite.digest, search.as_dict()):
            raise InputError(
                f"{output} holds references of {suite.name} for {suite.env_id} that were found otherwise: "
                "take them out, or write to another file"
            )
        measure(suite, search, entry, lambda: output and write_json(output, results))
    return results


def measure(suite: FrozenSuite, search: Search, entry: Entry, save: Callable[[], Any]) -> Entry:
    """Fill in what a suite's entry lacks.

    Args:
        suite: every episode is played, in batches of one, in float32.
        search: see the class.
        entry: what is known already; it grows.
        save: called whenever it has grown.
    """
    kwargs = suite.env_kwargs | {"device": search.device}
    entry |= {"digest": suite.digest, "search": search.as_dict(), "precision": PRECISION}
    policies, seconds = entry.setdefault("policies", {}), entry.setdefault("cpu_seconds", {})

    def timed(name: str, call: Callable[[], Any]) -> Any:
        start = time.process_time()
        found = call()
        seconds[name] = round(time.process_time() - start, 1)
        return found

    with Arena(suite.env_id, kwargs, 1, PRECISION) as arena:
        for key, tried in (("best_fixed", list(search.candidates)), ("random_search", random_settings(search.draws))):
            if key not in entry:
                found = timed(f"choice of {key}", partial(_choose, arena, tried, search.choice_seeds))
                entry[key] = found.as_dict()
                save()
        players: dict[str, Any] = {"random": "random"}
        players |= {
            key.replace("_", " "): FixedPolicy(Controls(**entry[key])) for key in ("best_fixed", "random_search")
        }
        for name, policy in players.items():
            if name not in policies:
                policies[name] = row(timed(name, partial(arena.play, policy, suite.seeds, name)))
                save()
    if not {"greedy oracle", "beam oracle"} <= set(policies):
        greedy, beam = timed("oracles", lambda: _oracles(suite, kwargs, search))
        policies["greedy oracle"] = row(greedy)
        constants = [policies[name]["episodes"] for name in players if name != "random"]
        policies["beam oracle"] = row(beam, constants, ranked_by(suite.env_id))
    if "software" not in entry:
        told = envelope(
            "references", {"device": search.device}, env_id=suite.env_id, env_kwargs=kwargs, precision=PRECISION
        )
        entry |= {name: told[name] for name in ("protocol", "software", "commit", "machine") if name in told}
        save()
    return entry


def _choose(arena: Arena, tried: Sequence[Controls], seeds: Sequence[int]) -> Controls:
    return best_fixed(grid=tried, seeds=seeds, env=arena.env, score=ranked_score(arena.env_id)).controls


def _oracles(
    suite: FrozenSuite, kwargs: Mapping[str, Any], search: Search
) -> tuple[list[EpisodeRecord], list[EpisodeRecord]]:
    """Greedy and beam search of every episode; the second is never worse than the first."""
    env = gymnasium.make(suite.env_id, disable_env_checker=True, **with_precision(suite.env_id, kwargs, PRECISION))
    value = ranked_score(suite.env_id)
    greedy, beam = [], []
    for seed in suite.seeds:
        known: dict[Any, Any] = {}
        found = [
            oracle_return(env, search.candidates, seed=seed, width=width, score=value, known=known).record
            for width in (1, search.beam)
        ]
        greedy.append(found[0])
        beam.append(max(found, key=value))
    env.close()
    return greedy, beam


def row(records: Sequence[EpisodeRecord], others: Sequence[Sequence[Entry]] = (), key: str = "return") -> Entry:
    """What one policy reached: means with intervals, and each episode.

    Args:
        records: in the order of the suite.
        others: episodes of other policies; where one of them has more of `key`, it stands in.
        key: "return" or "quality_gain".
    """
    own = [_episode(record) for record in records]
    episodes = [max(each, key=lambda episode: episode[key]) for each in zip(own, *others)]
    means = {name: mean_interval([one[name] for one in episodes]) for name in ("return", "quality_gain", "psnr_hole")}
    rest = {name: float(np.mean([one[name] for one in episodes])) for name in ("iterations", "gflops")}
    return means | rest | {"episodes": episodes}


def _episode(record: EpisodeRecord) -> Entry:
    told: Entry = {
        "seed": record.seed,
        "return": record.episode_return,
        "quality_gain": quality_gain(record),
        "psnr_hole": record.metrics["psnr_hole"],
        "iterations": record.length,
        "gflops": record.gflops,
        "actions": [_once(action) for action in record.actions],
    }
    others = ("measures", "gflops_begin", "gflops_detector", "seconds_per_frame")  # searches do not know them
    told |= {name: getattr(record, name) for name in others if getattr(record, name)}
    return json.loads(json.dumps(told))


def _once(action: Any) -> Any:
    """An action by cell as the five numbers of one, where all cells do the same: it fills the shape again."""
    cells = np.reshape(action, (-1, 5))
    return cells[0].tolist() if (cells == cells[0]).all() else action


def _results(output: Path | None) -> dict[str, Any]:
    if output is None or not output.is_file():
        return {"protocol": dict(PROTOCOL), "benchmark": "suite references", "suites": {}}
    try:
        found = json.loads(output.read_text(encoding="utf-8"))
        if found["benchmark"] == "suite references" and found["protocol"] == PROTOCOL:
            return dict(found)
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(f"{output} holds no references of suites under this protocol: write to another file")


def show_suite(title: str, entry: Entry) -> None:
    """Print a suite's references, in the order in which they were measured."""
    rows = [
        [
            name,
            *(tables.interval(one[key], 4) for key in ("return", "quality_gain")),
            tables.interval(one["psnr_hole"], 2),
            tables.number(one["iterations"], 2),
            tables.number(one["gflops"], 1),
        ]
        for name, one in entry["policies"].items()
    ]
    told = [
        f"{name}: " + ", ".join(f"{control} {value:g}" for control, value in entry[name].items())
        for name in ("best_fixed", "random_search")
    ]
    columns = ["policy", "return", "quality gained", "PSNR hole", "iterations", "GFLOPs of passes"]
    tables.show(title, columns, rows, "\n".join([*told, f"CPU seconds: {sum(entry['cpu_seconds'].values()):.0f}"]))
