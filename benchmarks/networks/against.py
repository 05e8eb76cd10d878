"""Environment steps a second against another version, or another setting, in turns on the same machine.

    git worktree add ../old COMMIT && pip install --no-deps --target ../old-installed ../old
    python -m videoinpaint.benchmarks.networks.against --other ../old-installed --envs 1 4 --threads 2
    python -m videoinpaint.benchmarks.networks.against --variables NAME=VALUE --arguments bank=runs/bank

Two processes stay ready and play a few steps each, in turns, so that both meet what else the machine does: what is
trusted is the ratio within a turn. Resets are part of what is played.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from videoinpaint.benchmarks.networks import timed_player
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.flags import SmallClips
from videoinpaint.errors import InputError
from videoinpaint.registration import DEFAULT_ID


@dataclass(frozen=True, kw_only=True)
class Against(SmallClips):
    """What to compare."""

    other: Path | None = None
    """A folder that holds another version of the package, installed (pip install --target); by default this one."""
    env_id: str = DEFAULT_ID
    """An environment that both know."""
    envs: tuple[int, ...] = (1, 4)
    """Numbers of environments in a batch."""
    variables: tuple[str, ...] = ()
    """NAME=VALUE: variables of this version's process, not of the other's."""
    arguments: tuple[str, ...] = ()
    """NAME=VALUE: keyword arguments of this version's environments, not of the other's."""
    turns: int = 6
    """How often each plays."""
    steps: int = 6
    """Steps of every environment in a turn; two episodes by default."""
    threads: int = 2
    """CPU threads of each; only one of them works at a time."""


def run(flags: Against) -> dict[str, Any]:
    """Time both; see the module's description.

    Returns:
        ``rows``, one for every number of environments: steps a second of each turn, ``other`` and ``this``, the median
        of each, and of their ``ratio`` in a turn with its lowest and highest value; ``versions``, who was timed.

    Raises:
        InputError: the other version is not there, an argument has no name, or a process ends with an error.
    """
    if flags.other is not None and not (flags.other / "videoinpaint").is_dir():
        raise InputError(
            f"{flags.other} holds no folder videoinpaint: pip install --no-deps --target {flags.other} ..."
        )
    variables, arguments = _named(flags.variables), {n: _value(v) for n, v in _named(flags.arguments).items()}
    rows, told = [], {}
    for number in flags.envs:
        with ExitStack() as stack:
            others = stack.enter_context(_player(flags, number, {}, {}, flags.other))
            these = stack.enter_context(_player(flags, number, variables, arguments, None))
            told = {"other": next(others), "this": next(these)}
            turns = [(float(next(others)), float(next(these))) for _ in range(flags.turns)]
        steps = number * flags.steps / np.array(turns)
        ratios = steps[:, 1] / steps[:, 0]
        medians = dict(zip(("other", "this"), np.median(steps, axis=0).tolist()))
        found = {"ratio": float(np.median(ratios)), "lowest": float(ratios.min()), "highest": float(ratios.max())}
        rows.append({"envs": number, **medians, **found, "turns": steps.tolist()})
    settings = flags.asked()
    return envelope("against", settings, rows=rows, versions=told)


def _named(pairs: tuple[str, ...]) -> dict[str, str]:
    for pair in pairs:
        if not pair.partition("=")[0].isidentifier() or "=" not in pair:
            raise InputError(f"{pair!r} is not NAME=VALUE")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def _value(text: str) -> Any:
    """What a word stands for in Python; a word that stands for nothing is a string."""
    with suppress(ValueError, SyntaxError):
        return ast.literal_eval(text)
    return text


@contextmanager
def _player(
    flags: Against, number: int, variables: Mapping[str, str], arguments: Mapping[str, Any], folder: Path | None
) -> Iterator[Iterator[Any]]:
    """A process that plays; gives what it is first, then the seconds of a turn whenever it is asked."""
    kwargs = flags.env_kwargs() | dict(arguments)
    told = {name: getattr(flags, name) for name in ("env_id", "steps", "threads")} | {"envs": number, "kwargs": kwargs}
    surroundings = os.environ | {"OMP_NUM_THREADS": str(flags.threads)} | dict(variables)
    if folder is not None:
        surroundings |= {"PYTHONPATH": str(folder.resolve())}
    command = [sys.executable, "-P", str(Path(timed_player.__file__)), json.dumps(told)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=surroundings
    ) as process:
        try:
            yield _answers(process)
        finally:
            process.kill()


def _answers(process: subprocess.Popen[str]) -> Iterator[Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    while line := process.stdout.readline():
        yield json.loads(line)
        with suppress(BrokenPipeError):
            process.stdin.write("\n")
            process.stdin.flush()
    raise InputError(f"a process that plays ended with status {process.wait()}: its message is above")


def report(results: Mapping[str, Any]) -> None:
    """Print steps a second and their ratio."""
    versions = {name: f"{told['version']} in {told['folder']}" for name, told in results["versions"].items()}
    rows = [
        [str(row["envs"]), *(tables.number(row[name], 2) for name in ("other", "this")),
         f"{row['ratio']:.2f} ({row['lowest']:.2f} to {row['highest']:.2f})"]
        for row in results["rows"]
    ]  # fmt: skip
    tables.show(
        "steps a second", ["environments", "other", "this", "this / other, median (lowest to highest)"], rows,
        f"other: {versions['other']}; this: {versions['this']}; {results['settings']['threads']} threads",
    )  # fmt: skip


if __name__ == "__main__":
    tables.main(Against, run, report, __doc__ or "")
