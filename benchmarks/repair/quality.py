"""How good repairs are: every inpainter on every clip and hole, after each iteration and with each kind of feedback.

    python -m videoinpaint.benchmarks.repair.quality --clips FOLDER --masks stationary object --output quality.json

The full protocol is 432x240, 24 frames, all clips; a look in two or three minutes is
--height 120 --width 216 --num-frames 8 --limit 6.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope, published
from videoinpaint.benchmarks.protocol.flags import ClipFlags
from videoinpaint.benchmarks.protocol.statistics import paired_difference
from videoinpaint.benchmarks.protocol.suite import Suite, pairing
from videoinpaint.benchmarks.repair.random_feedback import RandomDetector
from videoinpaint.benchmarks.repair.timed import WINDOW, Repaired, repair
from videoinpaint.controls import Controls
from videoinpaint.detectors import make_detector
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.inpainters import make_inpainter
from videoinpaint.metrics.grid import grid_level, inner
from videoinpaint.metrics.measures import Reference, VideoDistances, as_written
from videoinpaint.protocols import Inpainter

SHOWN = (
    "psnr_hole",
    "ssim_hole",
    "lpips_hole",
    "e_warp_hole",
    "grid_hole",
    "psnr",
    "ssim",
    "ssim65",
    "lpips",
    "e_warp",
)
COMPARED = ("psnr_hole", "lpips_hole", "e_warp_hole", "psnr", "lpips")


@dataclass(frozen=True, kw_only=True)
class Quality(ClipFlags):
    """What to repair, with what, and how to measure it."""

    inpainters: tuple[str, ...] = ("telea", "propagation", "compact")
    """Names, or module:attribute of your own."""
    feedback: tuple[str, ...] = ("compact", "none", "random")
    """Detectors between the iterations of inpainters that look at them; random flags as much as the first one."""
    iterations: int = 3
    """Rounds of the loop."""
    controls: Controls = field(default_factory=Controls)
    """Held fixed throughout."""
    window: int = WINDOW
    """Frames repaired together."""


def run(flags: Quality) -> dict[str, Any]:
    """Measure all methods; see the module's description.

    Returns:
        ``suites``: per mask source its pairing, per method the means and every clip's metrics, and paired comparisons.

    Raises:
        InputError, UnknownNameError, MissingWeightsError: before any work starts.
    """
    loops = list(_loops(flags))
    suites = {spec: flags.suite(spec) for spec in flags.masks}
    bar, advance = tables.progress("repairing", sum(map(len, suites.values())) * len(loops))
    with bar:
        results = {spec: _measure(flags, suite, loops, advance) for spec, suite in suites.items()}
    settings = flags.asked()
    rows = {"clip_rl.table1": published("clip_rl.table1"), "clip_rl.table2": published("clip_rl.table2")}
    return envelope("quality", settings, suites=results, published=rows)


def _loops(flags: Quality) -> Iterator[tuple[str, str, ClosedLoop, int]]:
    """Inpainter, feedback, loop and iterations; one that honours no control paints the same in every pass."""
    for spec in flags.inpainters:
        inpainter: Inpainter = make_inpainter(spec, device=flags.device)
        if not inpainter.controls:
            yield inpainter.name, "", ClosedLoop(inpainter, make_detector("none"), flags.device), 1
            continue
        for name in flags.feedback:
            base = flags.feedback[0]
            random = name == "random"
            detector = RandomDetector(flags.device, base=base) if random else make_detector(name, device=flags.device)
            yield inpainter.name, name, ClosedLoop(inpainter, detector, flags.device), flags.iterations


def _measure(flags: Quality, suite: Suite, loops: Sequence[Any], advance: Any) -> dict[str, Any]:
    methods: dict[str, dict[str, dict[str, float]]] = {}
    pairs, videos = [], VideoDistances()
    for pair in suite:
        truth, holes = (tensor.to(flags.device) for tensor in pair.tensors())
        reference = Reference(truth, holes)
        videos.add_truth(truth)
        pairs.append((pair.name, pair.digest))
        for inpainter, feedback, loop, iterations in loops:
            results = repair(loop, truth, holes, iterations=iterations, controls=flags.controls, window=flags.window)
            for iteration, result in enumerate(results, 1):
                name = method_name(inpainter, feedback, iteration)
                # The first pass sees the whole hole whatever the feedback: it is measured once.
                if pair.name not in methods.setdefault(name, {}):
                    methods[name][pair.name] = _scores(reference, result)
                    videos.add(name, result.frames)
            advance()
    summary: dict[str, dict[str, Any]] = {
        name: {"mean": {key: _mean([clip[key] for clip in clips.values()]) for key in next(iter(clips.values()))},
               "clips": clips}
        for name, clips in methods.items()
    }  # fmt: skip
    for name, distance in videos.distances().items():
        summary[name]["mean"]["vfid"] = distance
    return {"pairing": pairing(pairs), "methods": summary, "comparisons": comparisons(methods, loops)}


def method_name(inpainter: str, feedback: str, iteration: int) -> str:
    """What a row is called: "telea", "compact x1", "compact x3 (random)"."""
    if not feedback:
        return inpainter
    return f"{inpainter} x{iteration}" + (f" ({feedback})" if iteration > 1 else "")


def _scores(reference: Reference, result: Repaired) -> dict[str, float]:
    flagged = float(result.masks[reference.holes > 0].mean())
    spent = {"seconds_per_frame": result.seconds, "gflops_per_frame": result.gflops, "flagged": flagged}
    dots = grid_level(as_written(result.frames), inner(reference.holes))
    return reference.measure(result.frames) | {"grid_hole": dots} | spent


def _mean(values: Sequence[float]) -> float:
    """Over the clips where it could be measured."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def comparisons(methods: Mapping[str, Mapping[str, Mapping[str, float]]], loops: Sequence[Any]) -> list[dict[str, Any]]:
    """Paired differences that decide whether the loop is worth having: against baselines, over passes, over feedback.

    Returns:
        entries ``{a, b, metrics: {metric: {difference, ratio, worst, wins}}}``: the difference a - b with its interval
        over clips, the ratio of the means, the clip's difference worst for a, and the share of clips where a is better.
    """
    baselines = [name for name, feedback, *_ in loops if not feedback]
    chosen = []
    for inpainter, feedback, _, iterations in loops:
        if not feedback:
            continue
        last, first = method_name(inpainter, feedback, iterations), method_name(inpainter, feedback, 1)
        main = next(f for name, f, *_ in loops if name == inpainter and f)
        chosen += [(last, baseline) for baseline in baselines if feedback == main]
        chosen += [(method_name(inpainter, feedback, n), first) for n in range(2, iterations + 1)]
        if feedback != main and iterations > 1:
            chosen.append((method_name(inpainter, main, iterations), last))
    return [_compared(a, b, methods) for a, b in chosen if a in methods and b in methods]


def _compared(a: str, b: str, methods: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    entry: dict[str, Any] = {"a": a, "b": b, "metrics": {}}
    for metric in COMPARED:
        first, second = (np.array([clip[metric] for clip in methods[name].values()]) for name in (a, b))
        if not (np.isfinite(first).all() and np.isfinite(second).all()):
            continue
        gain = (first - second) * (1 if metric.startswith(("psnr", "ssim")) else -1)
        worst = int(gain.argmin())
        entry["metrics"][metric] = {
            "difference": paired_difference(first, second),
            "ratio": float(first.mean() / second.mean()) if second.mean() else float("nan"),
            "worst": {"clip": list(methods[a])[worst], "difference": float((first - second)[worst])},
            "wins": float((gain > 0).mean()),
        }
    return entry


def report(results: Mapping[str, Any]) -> None:
    """Print a table of methods and one of comparisons per mask source."""
    size = "{height}x{width}, {num_frames} frames".format(**results["settings"])
    for spec, suite in results["suites"].items():
        # VFID stands in the table where I3D's weights were present.
        vfid = ["vfid"] if any("vfid" in entry["mean"] for entry in suite["methods"].values()) else []
        shown = [*SHOWN, *vfid, "seconds_per_frame"]
        columns = [tables.TITLES[m] for m in shown]
        rows = [[*tables.metric_row(name, entry["mean"], shown)]
                for name, entry in suite["methods"].items()]  # fmt: skip
        digest, count = suite["pairing"]["digest"], len(suite["pairing"]["pairs"])
        tables.show(
            f"{results['settings']['clips']} under {spec} masks", ["method", *columns], rows,
            f"mean over {count} clips, {size}; pairing {digest}; protocol v{results['protocol']['version']}",
        )  # fmt: skip
        compared = [
            [f"{c['a']} - {c['b']}",
             *(tables.interval(c["metrics"][m]["difference"], 3, True) if m in c["metrics"] else "-" for m in COMPARED),
             tables.interval({"mean": c["metrics"]["psnr"]["worst"]["difference"]}, 2, True),
             tables.number(c["metrics"]["lpips"]["ratio"], 3)]
            for c in suite["comparisons"]
        ]  # fmt: skip
        if compared:
            headers = [tables.TITLES[m] for m in COMPARED]
            columns = ["", *headers, "worst PSNR", "LPIPS ratio"]
            tables.show("paired over clips", columns, compared, tables.intervals(count))
    rows = [
        [row["method"], *(row["davis_object"][m] for m in ("psnr", "ssim", "lpips"))]
        for row in results["published"]["clip_rl.table1"]["rows"]
    ]
    caption = "other clips and masks: not comparable line by line"
    tables.show(
        "published: DAVIS, object masks (CLIP-RL, Table 1)", ["method", "PSNR", "SSIM65", "LPIPS"], rows, caption
    )


if __name__ == "__main__":
    tables.main(Quality, run, report, __doc__ or "")
