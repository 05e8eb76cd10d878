"""Whether training helps, and when: policies saved along training runs, played on held-out episodes.

    python -m videoinpaint.benchmarks.policies.learning_curve runs/seed0 runs/seed1 runs/seed2 --plot curve.png

Reads what `videoinpaint train` leaves in each folder: run.json, curve.json (returns while exploring) and the policies
of its checkpoints. The runs are training seeds of one method; steps that not all of them saved are left out.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from videoinpaint.agents.policies.baselines import FixedPolicy
from videoinpaint.benchmarks.policies.returns import scores
from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.episodes import Arena, EpisodeFlags, fixed_return
from videoinpaint.benchmarks.protocol.statistics import mean_interval, paired_difference
from videoinpaint.errors import InputError
from videoinpaint.files import read_json, write_bytes
from videoinpaint.registry import names_from

_STEP = re.compile(r"step-(\d+)")


@dataclass(frozen=True, kw_only=True)
class LearningCurve(EpisodeFlags):
    """Which runs to look at, and on what."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of training runs, a training seed each."""
    clips: str | None = None
    """Another clip source than the training's."""
    masks: str | None = None
    """Other holes than the training's."""
    trust: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A module:attribute, or module:Id of an environment, that run.json names and that may run (several may be given).
    Without it nothing that a folder names is imported."""
    plot: Path | None = None
    """Draw the curve here (PNG)."""


@dataclass(frozen=True)
class Run:
    """A training run's folder, read.

    Attributes:
        folder: where it lies.
        config: what it was trained with.
        curve: one row per rollout: ``steps``, ``return``, ...
        policies: steps -> policy file.
    """

    folder: Path
    config: dict[str, Any]
    curve: list[dict[str, Any]]
    policies: dict[int, Path]


def read_run(folder: Path) -> Run:
    """What a training run left.

    Raises:
        InputError: no training run lies there, or no policy of it.
    """
    what = "what `videoinpaint train` wrote"
    config: Any = read_json(folder / "run.json", what).get("config")
    curve = read_json(folder / "curve.json", what, list)
    told = isinstance(config, dict) and isinstance(config.get("env_id"), str) and isinstance(config.get("env"), dict)
    if not told or not all(isinstance(row, dict) and isinstance(row.get("steps"), int) for row in curve):
        raise InputError(f"{folder} is no training run: name a folder `videoinpaint train` wrote")
    policies: dict[int, Path] = {}
    for path in sorted(folder.glob("**/*.safetensors")):
        place = path.relative_to(folder)
        found = _STEP.search(str(place))
        if found and not any(part.startswith(".") for part in place.parts):  # drafts of a run that was killed
            policies[int(found[1])] = path
    final = folder / "policy.safetensors"
    if final.is_file() and curve:
        policies[int(curve[-1]["steps"])] = final
    if not policies:
        raise InputError(f"{folder} holds no policy: train for a checkpoint at least")
    return Run(folder, config, curve, policies)


def run(flags: LearningCurve) -> dict[str, Any]:
    """Evaluate every saved policy; see the module's description.

    Returns:
        ``points``: per number of steps the held-out return, the fixed-weight return and the difference to the best
        fixed setting, each with its interval; ``training``: every run's own curve; ``baselines``.

    Raises:
        InputError: no run, a folder that is none, runs of different environments or without a step that all of them
            saved, or run.json names code.
    """
    runs = [read_run(folder) for folder in flags.runs]
    if not runs:
        raise InputError("name the folder of a training run at least")
    if any(_env(other) != _env(runs[0]) for other in runs):
        raise InputError(
            "the runs were trained in different environments: compare them with benchmarks.policies.returns"
        )
    steps = sorted(set.intersection(*(set(entry.policies) for entry in runs)))
    if not steps:
        raise InputError("the runs saved no policy after the same number of steps: look at fewer of them")
    env_id, kwargs = _env(runs[0])
    kwargs |= {"device": flags.device} | {k: v for k in ("clips", "masks") if (v := getattr(flags, k)) is not None}
    candidates, seeds = flags.candidates, flags.seeds
    bar, advance = tables.progress("evaluating", len(candidates) + 2 + len(steps) * len(runs))
    trusted = [*flags.trust, *filter(None, (flags.clips, flags.masks))]
    with bar, names_from(runs[0].folder / "run.json", trusted), Arena(env_id, kwargs, flags.num_envs) as arena:
        best = arena.best_fixed(candidates, flags.choice_seeds, advance).controls
        baselines = {}
        for name, policy in (("best fixed", FixedPolicy(best)), ("random", "random")):
            baselines[name] = arena.play(policy, seeds, name)
            advance()
        points = []
        for step in steps:
            played = []
            for entry in runs:
                played.append(arena.play(entry.policies[step], seeds))
                advance()
            points.append({"steps": step} | _point(played, baselines["best fixed"]))
    results = envelope(
        "learning_curve",
        flags.asked("plot"),
        env_id=env_id,
        env_kwargs=kwargs,
        best_fixed=best.as_dict(),
        points=points,
        baselines={name: mean_interval(scores([records])) for name, records in baselines.items()},
        training={str(entry.folder): entry.curve for entry in runs},
    )
    if flags.plot is not None:
        write_plot(flags.plot, results)
    return results


def _env(entry: Run) -> tuple[str, dict[str, Any]]:
    return entry.config["env_id"], dict(entry.config["env"])


def _point(played: Sequence[Any], best: Any) -> dict[str, Any]:
    returns, base = scores(played), scores([best])
    longest = max(record.length for records in (*played, best) for record in records)
    return {
        "return": mean_interval(returns),
        "fixed_return": mean_interval(scores(played, partial(fixed_return, iterations=longest))),
        "difference": paired_difference(returns, base),
        "by_run": returns.mean(1).tolist(),
    }


def write_plot(path: Path, results: Mapping[str, Any]) -> Path:
    """Draw held-out returns with their band, each run's training returns, and the baselines; whole or not at all."""
    figure = Figure(figsize=(7.6, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for curve in results["training"].values():
        rows = [row for row in curve if "return" in row]
        axes.plot([row["steps"] for row in rows], [row["return"] for row in rows], color="#a9b6c6", linewidth=1)
    points = results["points"]
    steps = [point["steps"] for point in points]
    mean, low, high = (np.array([point["return"][key] for point in points], float) for key in ("mean", "low", "high"))
    axes.plot(steps, mean, color="#2563eb", marker="o", label=f"held-out, {len(points[0]['by_run'])} training seeds")
    axes.fill_between(steps, low, high, color="#2563eb", alpha=0.2, linewidth=0)
    axes.plot([], [], color="#a9b6c6", label="training episodes, exploring")
    for (name, entry), colour in zip(results["baselines"].items(), ("#d55e00", "#009e73")):
        axes.axhline(entry["mean"], color=colour, linestyle="--", label=name)
    axes.set_xlabel("environment steps")
    axes.set_ylabel("return per episode")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return write_bytes(path, buffer.getvalue())


def report(results: Mapping[str, Any]) -> None:
    """Print a line per number of steps."""
    rows = [
        [
            str(point["steps"]),
            tables.interval(point["return"]),
            tables.interval(point["difference"], 4, True),
            tables.interval(point["fixed_return"]),
        ]
        for point in results["points"]
    ]
    rows += [[name, tables.interval(entry), "", ""] for name, entry in results["baselines"].items()]
    episodes = results["settings"]["episodes"]
    caption = f"{results['env']['id']}, {episodes} held-out episodes, {tables.intervals(episodes)}"
    tables.show("learning curve", ["steps", "return", "- best fixed", "fixed-weight return"], rows, caption)


if __name__ == "__main__":
    tables.main(LearningCurve, run, report, __doc__ or "")
