"""Whether the detector sees: average precision of M_n against the true error map, inside the hole.

    python -m videoinpaint.benchmarks.networks.detector --clips FOLDER --output detector.json

A pixel is truly poor where the mean absolute error over the channels exceeds 0.06. A constant mask scores the share of
such pixels, so the lift, average precision over that share, is 1 for a detector that knows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from torch import Tensor

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.flags import ClipFlags
from videoinpaint.benchmarks.protocol.statistics import mean_interval
from videoinpaint.benchmarks.protocol.suite import pairing
from videoinpaint.benchmarks.repair.random_feedback import RandomDetector
from videoinpaint.benchmarks.repair.timed import WINDOW, repair
from videoinpaint.composition import EMPTY_BELOW
from videoinpaint.detectors import make_detector
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.inpainters import make_inpainter

POOR_ABOVE = 0.06
"""Mean absolute error over the channels, values in [0, 1], above which a repaired pixel counts as poor."""


@dataclass(frozen=True, kw_only=True)
class DetectorPrecision(ClipFlags):
    """What to detect on what."""

    masks: tuple[str, ...] = ("stationary", "object")
    """Mask sources."""
    inpainters: tuple[str, ...] = ("compact", "propagation", "telea")
    """Whose repairs to look at."""
    detector: str = "compact"
    """A name, or module:attribute of your own; the control experiment moves its flags to random places."""
    iteration: int = 1
    """The repair after this many iterations."""
    window: int = WINDOW
    """Frames looked at together."""


def run(flags: DetectorPrecision) -> dict[str, Any]:
    """Score the detector on every inpainter's repairs; see the module's description.

    Returns:
        ``suites``: per mask source its pairing and per inpainter: ``mean`` (average precision, of the constant and of
        the randomly placed mask), ``lift`` with its interval over clips, ``clips``.

    Raises:
        InputError, UnknownNameError, MissingWeightsError: before any work starts.
    """
    detectors = (make_detector(flags.detector, device=flags.device), RandomDetector(flags.device, base=flags.detector))
    loops = {}
    for spec in flags.inpainters:
        inpainter = make_inpainter(spec, device=flags.device)
        loops[inpainter.name] = [ClosedLoop(inpainter, detector, flags.device) for detector in detectors]
    suites = {spec: flags.suite(spec) for spec in flags.masks}
    bar, advance = tables.progress("detecting", sum(map(len, suites.values())))
    results = {}
    with bar:
        for spec, suite in suites.items():
            scores: dict[str, dict[str, dict[str, float]]] = {name: {} for name in loops}
            pairs = []
            for pair in suite:
                truth, holes = (tensor.to(flags.device) for tensor in pair.tensors())
                pairs.append((pair.name, pair.digest))
                for name, (loop, control) in loops.items():
                    scores[name][pair.name] = _score(loop, control, truth, holes, flags.iteration, flags.window)
                advance()
            summary = {name: summarise(clips) for name, clips in scores.items()}
            results[spec] = {"pairing": pairing(pairs), "inpainters": summary}
    settings = flags.asked()
    return envelope("detector", settings | {"poor_above": POOR_ABOVE}, suites=results)


def _score(
    loop: ClosedLoop, control: ClosedLoop, truth: Tensor, holes: Tensor, iteration: int, window: int
) -> dict[str, float]:
    result = repair(loop, truth, holes, iterations=iteration, window=window)[-1]
    poor, flagged = inside_hole(result.frames, truth, result.masks, holes)
    moved = control.detector.detect(result.frames, holes).masks
    scores = precision(poor, flagged)
    return scores | {
        "random": precision(poor, inside_hole(result.frames, truth, moved, holes)[1])["average_precision"],
        "flagged": float((flagged >= EMPTY_BELOW).mean()),
    }


def inside_hole(
    repaired: Tensor, truth: Tensor, masks: Tensor, holes: Tensor
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Of every pixel inside the hole: whether it is truly poor, and how strongly it is flagged."""
    inside = holes[0, :, 0] > 0
    error = (repaired - truth).abs().mean(2)[0]
    return (error[inside] > POOR_ABOVE).cpu().numpy(), masks[0, :, 0][inside].float().cpu().numpy()


def precision(poor: NDArray[np.bool_], flagged: NDArray[np.float32]) -> dict[str, float]:
    """Average precision, that of a constant mask, and their ratio; NaN where all pixels are poor or none is."""
    constant = float(poor.mean())
    if constant in (0.0, 1.0):
        return {"average_precision": float("nan"), "constant": constant, "lift": float("nan")}
    average = float(average_precision_score(poor, flagged))
    return {"average_precision": average, "constant": constant, "lift": average / constant}


def summarise(clips: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Means over the clips that have both kinds of pixels, and two lifts: of the means, and clip by clip."""
    known = [scores for scores in clips.values() if np.isfinite(scores["lift"])]
    if not known:
        return {"mean": {}, "lift": {}, "lift_of_means": float("nan"), "clips": dict(clips)}
    mean = {name: float(np.mean([scores[name] for scores in known])) for name in known[0]}
    return {
        "mean": mean,
        "lift": mean_interval([scores["lift"] for scores in known]),
        "lift_of_means": mean["average_precision"] / mean["constant"],
        "clips": dict(clips),
    }


def report(results: Mapping[str, Any]) -> None:
    """Print one table per mask source."""
    for spec, suite in results["suites"].items():
        rows = [
            [name, *(entry["mean"].get(m) for m in ("average_precision", "constant", "random")),
             entry["lift_of_means"], tables.interval(entry["lift"], 2), entry["mean"].get("flagged")]
            for name, entry in suite["inpainters"].items()
        ]  # fmt: skip
        tables.show(
            f"detector {results['settings']['detector']} on {spec} holes",
            ["repairs by", "AP", "constant AP", "random AP", "lift of means", "lift per clip", "flagged"],
            rows,
            f"{len(suite['pairing']['pairs'])} clips; pairing {suite['pairing']['digest']}",
        )


if __name__ == "__main__":
    tables.main(DetectorPrecision, run, report, __doc__ or "")
