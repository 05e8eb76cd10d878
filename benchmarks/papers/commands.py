"""Every experiment by its name, and what the command does with it: run, print, draw, write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from videoinpaint.benchmarks.papers import ciri, clip_rl, figures, iivi, presented, scenes
from videoinpaint.benchmarks.papers.about import ABOUT, SPECIAL, check_taken
from videoinpaint.benchmarks.papers.experiment import BenchFlags, Experiment
from videoinpaint.benchmarks.papers.kept import folder_name
from videoinpaint.benchmarks.papers.running import run
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import set_threads
from videoinpaint.device import resolve_device
from videoinpaint.files import write_bytes

EXPERIMENTS: dict[str, Callable[[BenchFlags], Experiment]] = {
    "table1": clip_rl.table1,
    "table2": clip_rl.table2,
    "table3": clip_rl.table3,
    "figure7": lambda flags: clip_rl.table3(flags, "figure7"),
    "table4": clip_rl.table4,
    "table5": clip_rl.table5,
    "table6": clip_rl.table6,
    "figure5": scenes.figure5,
    "figure6": lambda flags: clip_rl.table2(flags, "figure6"),
    "figure8": clip_rl.figure8,
    "iivi-table1": iivi.table1,
    "iivi-table2": iivi.table2,
    "iivi-table3": iivi.table3,
    "ciri-table1": ciri.table1,
    "ciri-table2": ciri.table2,
}

DRAWN: dict[str, Callable[[dict[str, Any], BenchFlags], bytes]] = {
    "figure5": scenes.draw,
    "figure6": scenes.draw_feedback,
    "figure7": lambda results, _: figures.iterations(results),
    "figure8": lambda results, _: figures.trajectories(results),
}
"""Those that are drawn too: results and flags -> a PNG."""


def execute(name: str, flags: BenchFlags) -> dict[str, Any]:
    """Run an experiment, print its tables, write its files.

    Returns:
        the results, see :func:`videoinpaint.benchmarks.papers.running.run`.

    Raises:
        UnknownNameError: there is no such experiment, suite or policy.
        InputError: flags out of range or of other experiments, or the output folder holds other records.
    """
    check_taken(name, (flag for flag in SPECIAL if getattr(flags, flag) != getattr(BenchFlags(), flag)))
    resolve_device(flags.device)
    flags = _without_defaults(name, flags)
    set_threads(flags.threads)
    experiment = EXPERIMENTS[name](flags)
    bar, advance = tables.progress(ABOUT[name].title, flags.episodes * len(experiment.suites))
    with bar:
        results = run(experiment, flags, advance)
    presented.show(results)
    folder = flags.output / folder_name(experiment.records, flags)
    stem = presented.stem(folder, name, flags.episodes)
    written = presented.write(results, folder, stem)
    if name in DRAWN:
        written.append(write_bytes(folder / f"{stem}.png", DRAWN[name](results, flags)))
    for path in written:
        print(f"wrote {Path(path)}")
    return results


def _without_defaults(name: str, flags: BenchFlags) -> BenchFlags:
    """Flags of which none names what is meant without it: the same records, however they were asked for."""
    suites = () if flags.suites == ABOUT[name].suites else flags.suites
    return replace(flags, suites=suites, policies=() if flags.policies == ("trained",) else flags.policies)
