"""What each control does: swept over its range with everything else fixed, on the same states.

    python -m videoinpaint.benchmarks.policies.controls --suites studio:easy studio:hard studio:fast studio:large

Five sweeps are the controls themselves; "objective" moves alpha, beta and gamma together: fidelity (1, 0.3, 0.1),
texture (0.8, 0.6, 0.1), smooth motion (0.8, 0.3, 0.3). States are those of the first and the second iteration (after a
first pass with default controls). No effect here means that a policy has nothing to learn from the control.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope, published
from videoinpaint.benchmarks.protocol.flags import GradedSuites, SmallClips
from videoinpaint.benchmarks.protocol.statistics import paired_difference, significant
from videoinpaint.benchmarks.protocol.suite import Suite, make_suite, pairing
from videoinpaint.controls import DEFAULT, Controls
from videoinpaint.detectors import make_detector
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.errors import InputError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.metrics.measures import HIGHER_IS_BETTER, Reference
from videoinpaint.protocols import Inpainter, State

BASE = DEFAULT
SWEEPS: dict[str, dict[str, Controls]] = {
    "heads": {str(n): replace(BASE, heads=n) for n in (2, 4, 7, 10, 12)},
    "fusion": {str(w): replace(BASE, fusion=w) for w in (0.5, 0.575, 0.65, 0.725, 0.8)},
    "alpha": {str(a): replace(BASE, alpha=a) for a in (0.8, 0.9, 1.0)},
    "beta": {str(b): replace(BASE, beta=b) for b in (0.3, 0.45, 0.6)},
    "gamma": {str(c): replace(BASE, gamma=c) for c in (0.1, 0.2, 0.3)},
    "objective": {
        "fidelity": replace(BASE, alpha=1.0, beta=0.3, gamma=0.1),
        "texture": replace(BASE, alpha=0.8, beta=0.6, gamma=0.1),
        "motion": replace(BASE, alpha=0.8, beta=0.3, gamma=0.3),
    },
}
"""Control -> value's label -> the controls that stand for it."""

EFFECTS = ("psnr_hole", "ssim_hole", "lpips_hole", "e_warp_hole", "psnr", "lpips")
COSTS = ("gflops", "seconds", "transformer_seconds")
JUDGES = ("psnr_hole", "lpips_hole", "e_warp_hole")
"""The metrics by which a state's best value is named."""


@dataclass(frozen=True, kw_only=True)
class ControlEffects(GradedSuites, SmallClips):
    """Where to sweep, and how."""

    masks: str = "stationary"
    """Holes for clips that bring none."""
    inpainter: str = "compact"
    """A name, or module:attribute of your own."""
    detector: str = "compact"
    """Gives the second iteration's mask."""
    iterations: tuple[int, ...] = (1, 2)
    """Iterations whose states are swept."""
    num_frames: int = 8
    """Frames of each clip, repaired together."""
    limit: int = 8
    """Clips of each suite; 0 for all."""
    seed: int = 0
    """With a clip's index, decides its hole."""


def run(flags: ControlEffects) -> dict[str, Any]:
    """Sweep every control on every suite; see the module's description.

    Returns:
        ``suites``: per suite its pairing and per control: per value the means of metrics and costs, the paired
        difference between the ends, the share of states in which each value is best, and whether it is ``causal``
        (some metric differs between two of its values with an interval that excludes zero).

    Raises:
        InputError, UnknownNameError, MissingWeightsError: before any work starts.
    """
    if min(flags.iterations, default=0) < 1:
        raise InputError(f"iterations must be 1 or more, got {flags.iterations}")
    loop = ClosedLoop(
        make_inpainter(flags.inpainter, device=flags.device),
        make_detector(flags.detector, device=flags.device),
        flags.device,
    )
    suites = {spec: _suite(flags, spec) for spec in flags.suites}
    bar, advance = tables.progress("sweeping", sum(map(len, suites.values())))
    with bar:
        results = {spec: sweep(loop, suite, flags.iterations, advance) for spec, suite in suites.items()}
    settings = flags.asked()
    rows = {name: published(name) for name in ("clip_rl.table4", "clip_rl.table5", "clip_rl.table6")}
    honoured = sorted(loop.inpainter.controls)
    return envelope("controls", settings, honoured=honoured, suites=results, published=rows)


def _suite(flags: ControlEffects, spec: str) -> Suite:
    masks = spec if spec.startswith("studio") else flags.masks
    return make_suite(
        spec, masks, num_frames=flags.num_frames, height=flags.height, width=flags.width,
        limit=flags.limit, seed=flags.seed,
    )  # fmt: skip


def sweep(
    loop: ClosedLoop, suite: Suite, iterations: tuple[int, ...] = (1, 2), advance: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Every value of ``SWEEPS`` on every state of a suite.

    Args:
        loop: inpainter and detector.
        suite: clips and holes.
        iterations: which states; 1 is the corrupted clip.
        advance: called after each clip.
    """
    measured: dict[str, dict[str, list[dict[str, float]]]] = {c: {v: [] for v in vs} for c, vs in SWEEPS.items()}
    pairs = []
    for pair in suite:
        truth, holes = (tensor.to(loop.device) for tensor in pair.tensors())
        reference = Reference(truth, holes)
        pairs.append((pair.name, pair.digest))
        state = loop.begin(truth, holes)
        for iteration in range(1, max(iterations) + 1):
            if iteration in iterations:
                _sweep_state(loop, state, reference, measured)
            state = loop.refine(state, BASE.to_array()[None])[0]
        if advance is not None:
            advance()
    controls = {control: summarise(values, len(pairs)) for control, values in measured.items()}
    return {"pairing": pairing(pairs), "controls": controls}


def _sweep_state(
    loop: ClosedLoop, state: State, reference: Reference, measured: dict[str, dict[str, list[dict[str, float]]]]
) -> None:
    """Append each value's metrics and costs; settings that several sweeps share run once."""
    done: dict[Controls, dict[str, float]] = {}
    loop.refine(state, BASE.to_array()[None])  # the first call of a process is slow: not part of any timing
    for control, values in SWEEPS.items():
        for label, controls in values.items():
            if controls not in done:
                done[controls] = _effects(loop, state, reference, controls)
            measured[control][label].append(done[controls])


def _effects(loop: ClosedLoop, state: State, reference: Reference, controls: Controls) -> dict[str, float]:
    with _transformer_time(loop.inpainter) as clock:
        start = time.perf_counter()
        following, gflops, _ = loop.refine(state, controls.to_array()[None])
        seconds = time.perf_counter() - start
    metrics = reference.measure(following["repaired"])
    spent = {"gflops": float(gflops[0]), "seconds": seconds, "transformer_seconds": clock.get("spent", float("nan"))}
    return {name: metrics[name] for name in EFFECTS} | spent


@contextmanager
def _transformer_time(inpainter: Inpainter) -> Iterator[dict[str, float]]:
    """Seconds spent in ``inpainter.network.transformer``, where there is one (CPU only: a GPU runs behind)."""
    clock: dict[str, float] = {}
    part = getattr(getattr(inpainter, "network", None), "transformer", None)
    if not isinstance(part, nn.Module):
        yield clock
        return

    def begin(*_: Any) -> None:
        clock["begun"] = time.perf_counter()

    def end(*_: Any) -> None:
        clock["spent"] = clock.get("spent", 0.0) + time.perf_counter() - clock["begun"]

    hooks = [part.register_forward_pre_hook(begin), part.register_forward_hook(end)]
    try:
        yield clock
    finally:
        for hook in hooks:
            hook.remove()


def summarise(values: Mapping[str, list[dict[str, float]]], clips: int) -> dict[str, Any]:
    """Means per value, the difference last minus first value, and the values that are best state by state.

    Args:
        values: label -> metrics per state, states of a clip next to each other.
        clips: how many clips the states come from; intervals are over clips, as states of one clip are not independent.
    """
    labels = list(values)
    table = {label: {name: np.array([s[name] for s in states]) for name in (*EFFECTS, *COSTS)}
             for label, states in values.items()}  # fmt: skip
    means = {label: {name: float(column.mean()) for name, column in row.items()} for label, row in table.items()}
    # Times spread upwards only: their medians are what a table should show.
    for label, row in table.items():
        means[label] |= {name: float(np.median(row[name])) for name in ("seconds", "transformer_seconds")}
    differences: dict[str, Any] = {}
    for name in EFFECTS:
        by_clip = {label: table[label][name].reshape(clips, -1).mean(1) for label in labels}
        differences[name] = {
            f"{later} - {labels[0]}": paired_difference(by_clip[later], by_clip[labels[0]]) for later in labels[1:]
        }
    best = {}
    for name in JUDGES:
        stacked = np.stack([table[label][name] for label in labels])
        if (stacked == stacked[0]).all():
            best[name] = dict.fromkeys(labels, 0.0)
            continue
        winners = (stacked if name in HIGHER_IS_BETTER else -stacked).argmax(0)
        best[name] = {label: float((winners == index).mean()) for index, label in enumerate(labels)}
    causal = sorted(name for name, entry in differences.items() if any(map(significant, entry.values())))
    return {"means": means, "differences": differences, "best": best, "causal": causal}


def report(results: Mapping[str, Any]) -> None:
    """Print a table per suite: a line per value, then the share of states it is best in."""
    shown = (*EFFECTS, "gflops")
    for spec, suite in results["suites"].items():
        rows = []
        for control, entry in suite["controls"].items():
            for label, means in entry["means"].items():
                cells = [tables.number(means[m], tables.DIGITS.get(m, 4)) for m in shown]
                times = [tables.number(1000 * means[m], 0) for m in ("seconds", "transformer_seconds")]
                best = [f"{100 * entry['best'][m][label]:.0f}%" for m in JUDGES]
                rows.append([f"{control} {label}", *cells, *times, *best])
        count = len(suite["pairing"]["pairs"])
        tables.show(
            f"controls on {spec}",
            ["control", *(tables.TITLES[m] for m in shown), "ms", "transf. ms", "best PSNR", "best LPIPS", "best E_w"],
            rows,
            f"{count} clips; best: share of states; pairing {suite['pairing']['digest']}",
        )
        rows = [
            [f"{control}: {span}",
             *(tables.interval(entry["differences"][m][span], tables.DIGITS.get(m, 4), True) for m in EFFECTS)]
            for control, entry in suite["controls"].items() for span in _ends(entry)
        ]  # fmt: skip
        columns = ["", *(tables.TITLES[m] for m in EFFECTS)]
        tables.show(f"effect over the range on {spec}", columns, rows, tables.intervals(count, "paired"))


def _ends(entry: Mapping[str, Any]) -> list[str]:
    """Last against first value; all of them for the objective, whose values have no order."""
    spans = list(entry["differences"]["psnr"])
    return spans if "fidelity" in spans[0] else spans[-1:]


if __name__ == "__main__":
    tables.main(ControlEffects, run, report, __doc__ or "")
