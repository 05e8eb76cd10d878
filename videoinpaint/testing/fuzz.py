"""What anybody may hand to the package, damaged: every case is refused in one line, or gives a plausible result.

    python -m videoinpaint.testing.fuzz --cases 5000

Weight files, policies, checkpoints, states, actions, arguments, JSON files, pictures, videos and flags of
`videoinpaint inpaint` are mutated from a seed. What counts:

- refused: a `VideoInpaintError`, whose message has one line;
- result: it was used, and what came of it is finite;
- foreign: any other exception;
- silent: it was used, and what came of it is not finite;
- hung: no end within the time of a case.

The last three are faults, and the command then ends with exit code 1. ``--only N`` runs one case again, and shows where
it fails.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import io
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from gymnasium.error import ResetNeeded

from videoinpaint.errors import VideoInpaintError
from videoinpaint.memory import peak_bytes
from videoinpaint.testing.fuzz_cases import KINDS, Bench

OUTCOMES = ("refused", "result", "foreign", "silent", "hung")
FAULTS = OUTCOMES[2:]


@dataclass(frozen=True)
class Fuzz:
    """What to run."""

    cases: int = 1000
    """How many, spread over all kinds."""
    seed: int = 0
    """Of all mutations."""
    seconds: float = 60.0
    """Time of one case."""
    only: int | None = None
    """Run this case alone, and show where it fails."""
    kinds: tuple[str, ...] = tuple(KINDS)
    """Which kinds of input."""


@dataclass
class Report:
    """What came of it.

    Attributes:
        counts: kind -> outcome -> cases.
        faults: number and kind of a case, its outcome, and what it said.
    """

    counts: dict[str, collections.Counter[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


class _HungError(BaseException):
    """Out of time; no `except Exception` of the package may swallow it."""


def run(flags: Fuzz) -> Report:
    """Run all cases; see the module's description."""
    report = Report({kind: collections.Counter() for kind in flags.kinds})
    with tempfile.TemporaryDirectory() as folder, _quiet(), _one_thread():
        bench = Bench(Path(folder))
        numbers = range(flags.cases) if flags.only is None else [flags.only]
        for number in numbers:
            kind = flags.kinds[number % len(flags.kinds)]
            rng = np.random.default_rng([flags.seed, number])
            outcome, told = _outcome(functools.partial(KINDS[kind], bench, rng), flags.seconds)
            report.counts[kind][outcome] += 1
            if outcome in FAULTS:
                shown = told if flags.only is None else _where() or told
                report.faults.append(f"case {number} ({kind}): {outcome}: {shown}")
    return report


_LAST: list[BaseException] = []


def _outcome(case: Callable[[], Any], seconds: float) -> tuple[str, str]:
    _LAST.clear()
    with _alarm(seconds):
        try:
            found = case()
        except (VideoInpaintError, ResetNeeded) as error:
            text = str(error)
            return ("refused", "") if "\n" not in text and len(text) < 4000 else ("foreign", f"long: {text[:200]!r}")
        except _HungError:
            return "hung", f"no end within {seconds:g} s"
        except Exception as error:
            _LAST.append(error)
            place = traceback.extract_tb(error.__traceback__)[-1]
            told = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            return "foreign", f"{told} ({Path(place.filename).name}:{place.lineno})"
    return ("result", "") if plausible(found) else ("silent", f"not finite: {found!r:.200}")


def _where() -> str:
    return "\n" + "".join(traceback.format_exception(_LAST[-1])) if _LAST else ""


def plausible(value: Any) -> bool:
    """Whether all numbers in a nested value are finite."""
    if isinstance(value, dict):
        return all(map(plausible, value.values()))
    if isinstance(value, list | tuple):
        return all(map(plausible, value))
    if isinstance(value, torch.Tensor):
        return bool(torch.isfinite(value).all())
    if isinstance(value, float | np.ndarray | np.floating):
        return bool(np.isfinite(value).all())
    return True


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(*_: Any) -> None:
        raise _HungError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def show(report: Report) -> None:
    """Print a line a kind, the faults, and the peak of memory."""
    print(f"{'kind':<14}" + "".join(f"{outcome:>9}" for outcome in OUTCOMES))
    for kind, counts in report.counts.items():
        print(f"{kind:<14}" + "".join(f"{counts[outcome]:>9}" for outcome in OUTCOMES))
    total = sum(report.counts.values(), collections.Counter())
    print(f"{'all':<14}" + "".join(f"{total[outcome]:>9}" for outcome in OUTCOMES))
    print("\n".join(report.faults))
    print(f"peak memory {peak_bytes() / 2**30:.2f} GiB")


if __name__ == "__main__":
    done = run(tyro.cli(Fuzz, description=__doc__))
    show(done)
    sys.exit(1 if done.faults else 0)
