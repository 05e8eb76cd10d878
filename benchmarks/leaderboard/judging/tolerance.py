"""How far a number may be from the recorded one: what machines, threads and batches do to it, and not more.

    python -m videoinpaint.benchmarks.leaderboard.judging.tolerance

measures it on this machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from videoinpaint.agents.evaluation.episodes import evaluate, make_evaluation_env
from videoinpaint.agents.policies.baselines import FixedPolicy
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope, plain, set_threads
from videoinpaint.benchmarks.protocol.flags import Computing
from videoinpaint.benchmarks.protocol.frozen import frozen_suite
from videoinpaint.checks import is_number
from videoinpaint.controls import Controls

TOLERANCES = {
    "float32": {"psnr": 1e-3, "gflops": 1e-3, "e_warp": 1e-3, "action": 1e-3, "": 1e-4},
    "bfloat16": {"psnr": 1e-2, "gflops": 1e-3, "e_warp": 1e-2, "action": 5e-2, "": 1e-3},
}
"""Precision -> kind of number -> how far it may be off; see :func:`kind_of`. PSNR in dB, E_warp in thousandths, actions
in [-1, 1]. The measurement behind them stands in docs/leaderboard.md."""

MOVED = 1e-3
"""Mean scores that differ by more from an earlier verification are flagged."""

_IGNORED = ("policy", "observations", "actions", "seconds_per_frame")
"""Keys of a record that are not compared: names and times differ from machine to machine, the others are looked at by
themselves."""


def kind_of(path: Sequence[str]) -> str:
    """Which of ``TOLERANCES`` holds for a number of a record, by the names on the way to it."""
    for kind in ("psnr", "gflops", "e_warp"):
        if any(part.startswith(kind) for part in path) and "reward_terms" not in path:
            return kind
    return ""


def no_differences() -> dict[str, float]:
    """Zero for every kind of number in a record."""
    return {kind: 0.0 for kind in TOLERANCES["float32"] if kind != "action"}


def numbers(record: Mapping[str, Any]) -> dict[tuple[str, ...], Any]:
    """Every number and word of a record by the names on the way to it; times, names and observations left out."""
    return dict(_leaves(record, ()))


def differences(
    a: Mapping[str, Any], b: Mapping[str, Any], precision: str = "float32"
) -> tuple[dict[str, float], list[str]]:
    """How far two records are apart.

    Args:
        a: as JSON has it.
        b: of the same episode.
        precision: in which both were made.

    Returns:
        the largest difference of each kind of number, and what cannot be compared or is farther off than it may be.
    """
    first, second = numbers(a), numbers(b)
    largest = no_differences()
    allowed, wrong = TOLERANCES[precision], []
    for path in sorted({*first, *second}):
        x, y, shown = first.get(path), second.get(path), ".".join(path)
        if x is None or y is None or not (is_number(x) and is_number(y)):
            if x != y:
                wrong.append(f"{shown} is {x!r:.40} in one and {y!r:.40} in the other")
            continue
        kind, apart = kind_of(path), abs(x - y)
        largest[kind] = max(largest[kind], apart)
        if not apart <= allowed[kind]:
            wrong.append(f"{shown} differs by {apart:.3g}, more than {allowed[kind]:g}")
    return largest, wrong


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            if path or key not in _IGNORED:
                yield from _leaves(entry, (*path, str(key)))
    elif isinstance(value, list):
        yield (*path, "count"), str(len(value))
        for index, entry in enumerate(value):
            yield from _leaves(entry, (*path, str(index)))
    else:
        yield path, value


@dataclass(frozen=True, kw_only=True)
class Tolerance(Computing):
    """What is measured: the same episodes under other threads, batches and precisions."""

    suite: str = "studio-mixed-v1"
    """A frozen suite."""
    env_ids: tuple[str, ...] = ("VideoInpaint-v1", "VideoInpaintBudget-v0")
    """Environments."""
    episodes: int = 4
    """Of each."""
    policies: tuple[str, ...] = ("heuristic", "trained-budget")
    """Whose actions on what they see are compared, beside the numbers."""
    device: str = "cpu"
    """Where the environments compute, all of them: auto, cpu, cuda, ..."""
    threads: int = 1
    """CPU threads of what is not measured with others."""


SETTINGS = {
    "1 thread, batch 1, float32": (1, 1, "float32"),
    "2 threads": (2, 1, "float32"),
    "batch 4": (1, 4, "float32"),
    "bfloat16": (1, 1, "bfloat16"),
}


def run(flags: Tolerance) -> dict[str, Any]:
    """Play with the same actions under every setting, and once more with each policy's own."""
    found: dict[str, Any] = {}
    bar, advance = tables.progress("measuring", len(flags.env_ids) * len(SETTINGS) * (1 + len(flags.policies)))
    with bar:
        for env_id in flags.env_ids:
            suite = frozen_suite(flags.suite, env_id).first(flags.episodes)
            played: dict[str, Any] = {}
            for name, (threads, batch, precision) in SETTINGS.items():
                set_threads(threads)
                env = make_evaluation_env(batch, env_id, {**suite.env_kwargs, "device": flags.device}, precision)
                players: list[Any] = [FixedPolicy(Controls(heads=6)), *flags.policies]
                for policy in players:
                    records = evaluate(policy, seeds=suite.seeds, env=env)
                    played.setdefault(name, []).append([plain(one.as_dict()) for one in records])
                    advance()
                env.close()
            found[env_id] = {name: _apart(played[name], played[next(iter(SETTINGS))]) for name in list(SETTINGS)[1:]}
    settings = {"suite": flags.suite, "episodes": flags.episodes, "device": flags.device}
    return envelope("leaderboard tolerance", settings, differences=found)


def _apart(these: list[list[Any]], those: list[list[Any]]) -> dict[str, float]:
    """Largest difference of every kind of number under the same actions, of the score, and of policies' actions."""
    largest = no_differences()
    for a, b in zip(these[0], those[0]):
        for kind, apart in differences(a, b)[0].items():
            largest[kind] = max(largest[kind], apart)
    returns = max(abs(a["episode_return"] - b["episode_return"]) for a, b in zip(these[0], those[0]))
    actions = max(
        float(np.abs(np.subtract(p, q)).max())
        for mine, theirs in zip(these[1:], those[1:])
        for a, b in zip(mine, theirs)
        for p, q in zip(a["actions"], b["actions"])
    )
    return {kind or "other": value for kind, value in largest.items()} | {
        "return": returns,
        "action": actions,
    }


def report(results: Any) -> None:
    """Print a table an environment."""
    for env_id, rows in results["differences"].items():
        columns = ["against 1 thread, batch 1, float32", *next(iter(rows.values()))]
        tables.show(env_id, columns, [[name, *(f"{v:.1e}" for v in row.values())] for name, row in rows.items()])


if __name__ == "__main__":
    tables.main(Tolerance, run, report, __doc__ or "")
