"""Whether passes pay: many cheap passes against one dear pass, by what they cost.

    python -m videoinpaint.benchmarks.repair.passes --clips FOLDER --masks stationary object --inpainter compact2

Every number of heads repairs every clip in one pass and in more; the detector says what the later ones redo. Told is
the best single pass, the best repair of several passes that costs no more, and the best at any price; and what an
oracle would reach that takes, cell by cell, the best of all these repairs: what is there for a policy to choose from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.flags import ClipFlags
from videoinpaint.benchmarks.protocol.statistics import paired_difference
from videoinpaint.benchmarks.protocol.suite import Suite, pairing
from videoinpaint.benchmarks.repair.timed import repair
from videoinpaint.controls import HEADS, HIGH, LOW, Controls
from videoinpaint.detectors import make_detector
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.errors import InputError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.metrics.measures import Reference

CELL = 16
"""Pixels a side of the oracle's cells."""

MEASURED = ("psnr_hole", "lpips_hole", "gflops")

Scores = dict[str, dict[str, float]]
"""Clip -> metric -> value."""


@dataclass(frozen=True, kw_only=True)
class Passes(ClipFlags):
    """What to repair, and how often."""

    inpainter: str = "compact"
    """A name, or module:attribute, of an inpainter that honours heads."""
    detector: str = "compact"
    """Says what later passes redo."""
    heads: tuple[int, ...] = (2, 4, 8, 12)
    """Numbers of heads, each held fixed throughout."""
    passes: int = 3
    """At most."""
    num_frames: int = 8
    """Frames of each clip."""


def run(flags: Passes) -> dict[str, Any]:
    """Measure; see the module's description.

    Returns:
        ``suites``, per mask source: its pairing, the ``rows`` by heads and passes (means over clips of `MEASURED`,
        GFLOPs of all passes per frame), the ``oracle``'s psnr_hole, and ``compared``, see :func:`compared`.

    Raises:
        InputError, UnknownNameError, MissingWeightsError: before any work starts.
    """
    if not flags.heads or not all(LOW[HEADS] <= count <= HIGH[HEADS] for count in flags.heads):
        raise InputError(f"heads are numbers from {LOW[HEADS]:.0f} to {HIGH[HEADS]:.0f}, got {flags.heads}")
    if flags.passes < 2:
        raise InputError(f"passes must be 2 or more, got {flags.passes}")
    inpainter = make_inpainter(flags.inpainter, device=flags.device)
    if "heads" not in inpainter.controls:
        raise InputError(f"the inpainter {inpainter.name!r} has no heads to choose: every pass of it costs the same")
    loop = ClosedLoop(inpainter, make_detector(flags.detector, device=flags.device), flags.device)
    suites = {spec: flags.suite(spec) for spec in flags.masks}
    bar, advance = tables.progress("repairing", sum(map(len, suites.values())) * len(flags.heads))
    with bar:
        results = {spec: _measured(flags, loop, suite, advance) for spec, suite in suites.items()}
    settings = flags.asked()
    return envelope("passes", settings, suites=results)


def _measured(flags: Passes, loop: ClosedLoop, suite: Suite, advance: Any) -> dict[str, Any]:
    scores: dict[tuple[int, int], Scores] = {}
    oracle, pairs = {}, []
    for pair in suite:
        truth, holes = (tensor.to(flags.device) for tensor in pair.tensors())
        reference, repairs = Reference(truth, holes), []
        pairs.append((pair.name, pair.digest))
        for heads in flags.heads:
            done = repair(loop, truth, holes, iterations=flags.passes, controls=Controls(heads=heads))
            for number, result in enumerate(done, 1):
                found = reference.measure(result.frames) | {"gflops": result.gflops}
                scores.setdefault((heads, number), {})[pair.name] = {name: found[name] for name in MEASURED}
                repairs.append(result.frames)
            advance()
        oracle[pair.name] = reference.measure(best_by_cell(repairs, truth))["psnr_hole"]
    rows = [
        {"heads": heads, "passes": number, **{name: _mean(found, name) for name in MEASURED}}
        for (heads, number), found in scores.items()
    ]
    best = float(np.mean(list(oracle.values())))
    return {"pairing": pairing(pairs), "rows": rows, "oracle": best, "compared": compared(scores)}


def _mean(found: Scores, name: str) -> float:
    return float(np.mean([clip[name] for clip in found.values()]))


def best_by_cell(repairs: Sequence[Tensor], truth: Tensor) -> Tensor:
    """Of several repairs ``(1, T, 3, H, W)``, in every cell of every frame the one nearest to the truth."""
    height, width = truth.shape[-2:]
    errors = [F.avg_pool2d((one - truth)[0].square(), CELL, ceil_mode=True).mean(1, keepdim=True) for one in repairs]
    best = torch.stack(errors).argmin(0)
    at = F.interpolate(best.float(), scale_factor=CELL, mode="nearest")[..., :height, :width].long()
    return torch.stack(list(repairs)).gather(0, at.expand(1, 1, *truth.shape[1:]))[0]


def compared(scores: Mapping[tuple[int, int], Scores]) -> dict[str, Any]:
    """The best single pass against the best of several passes, by the mean of psnr_hole.

    Args:
        scores: of ``(heads, passes)``.

    Returns:
        ``single``; ``affordable``, the best of several passes that costs no more GFLOPs, None where there is none; and
        ``any price``: each ``{heads, passes, share}``, of the single pass's GFLOPs, and for the last two the paired
        difference to it in ``psnr_hole`` and ``lpips_hole``; ``cheapest``, the least share that several passes cost.
    """
    single = max((key for key in scores if key[1] == 1), key=lambda key: _mean(scores[key], "psnr_hole"))
    base = _mean(scores[single], "gflops")
    shares = {key: _mean(found, "gflops") / base for key, found in scores.items()}
    several = sorted((key for key in scores if key[1] > 1), key=lambda key: -_mean(scores[key], "psnr_hole"))

    def told(key: tuple[int, int] | None) -> dict[str, Any] | None:
        if key is None:
            return None
        entry: dict[str, Any] = {"heads": key[0], "passes": key[1], "share": shares[key]}
        for metric in ("psnr_hole", "lpips_hole"):
            first, second = ([clip[metric] for clip in scores[one].values()] for one in (key, single))
            entry[metric] = paired_difference(first, second)
        return entry

    affordable = next((key for key in several if shares[key] <= 1), None)
    cheapest = min(shares[key] for key in several)
    return {
        "single": {"heads": single[0], "passes": 1, "share": 1.0},
        "affordable": told(affordable), "any price": told(several[0]), "cheapest": cheapest,
    }  # fmt: skip


def report(results: Mapping[str, Any]) -> None:
    """Print a table per mask source, and what it says."""
    settings = results["settings"]
    for spec, suite in results["suites"].items():
        rows = [[str(row["heads"]), str(row["passes"]), *(tables.number(row[name]) for name in MEASURED)]
                for row in suite["rows"]]  # fmt: skip
        single, lines = suite["compared"]["single"], []
        for name in ("affordable", "any price"):
            entry = suite["compared"][name]
            if entry is None:
                cheapest = suite["compared"]["cheapest"]
                lines.append(f"{name}: none, several passes cost {cheapest:.2f} times as much or more")
                continue
            gains = ", ".join(tables.interval(entry[m], 3, True) for m in ("psnr_hole", "lpips_hole"))
            lines.append(f"{name}: {entry['passes']} of {entry['heads']} heads, {entry['share']:.2f}: {gains}")
        tables.show(
            f"{settings['inpainter']} on {settings['clips']} under {spec} masks",
            ["heads", "passes", *(tables.TITLES.get(name, name) for name in MEASURED)], rows,
            f"best single pass: {single['heads']} heads; against it, cost, PSNR and LPIPS in the hole: "
            f"{'; '.join(lines)}; the best by cell of all: {suite['oracle']:.3f} dB",
        )  # fmt: skip


if __name__ == "__main__":
    tables.main(Passes, run, report, __doc__ or "")
