"""One-shot inpainting with masks that are wrong: CIRI around the compact network against the compact network alone.

    python -m videoinpaint.benchmarks.repair.ciri --clips FOLDER --outlines FOLDER --predicted FOLDER

Targets are pasted before the clips, so that the background is known. Their masks come with errors (eroded, shifted),
with --predicted as real methods predicted them, or with --propagator from a mask propagator; the first frame's mask is
always exact. LOCAL metrics are taken inside the true masks of the frames after it. The compact network gets the same
masks, widened as the environment does, and once as they are; what it makes of the true masks stands last.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.flags import AutoComputing
from videoinpaint.benchmarks.protocol.statistics import paired_difference
from videoinpaint.benchmarks.repair import ciri_cases as cases
from videoinpaint.benchmarks.repair.ciri_cases import KINDS, Case, CaseFlags, tensor
from videoinpaint.benchmarks.report import panels
from videoinpaint.benchmarks.report.pictures import save_png
from videoinpaint.checks import MAX_COUNT, whole_number
from videoinpaint.clips.types import Clip
from videoinpaint.composition import WIDEN
from videoinpaint.controls import DEFAULT
from videoinpaint.detectors import make_detector
from videoinpaint.device import resolve_device
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.errors import InputError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.inpainters.ciri.inpainter import CIRIInpainter
from videoinpaint.inpainters.ciri.removal_config import removal_config
from videoinpaint.inpainters.propagators import GivenTracker, make_propagator
from videoinpaint.metrics import contour_accuracy, region_similarity
from videoinpaint.metrics.measures import Reference
from videoinpaint.protocols import Inpainter, Tracker

CEILING = "compact, true masks"
PLAIN = "compact, not widened"
SHOWN = ("psnr_hole", "ssim_hole", "lpips_hole", "psnr", "ssim", "lpips", "j_and_f", "seconds")


@dataclass(frozen=True, kw_only=True)
class CIRIFlags(CaseFlags, AutoComputing):
    """Which clips, which errors, and which repairs."""

    predicted: Path | None = None
    """A folder of SEQUENCE/osvos and SEQUENCE/rvos: targets with the first as their shape, the second as prediction."""
    kinds: tuple[str, ...] = KINDS
    """Errors of the masks."""
    propagator: str | None = None
    """Predict masks with this propagator instead; kinds and predicted have no effect then."""
    severity: float = 0.6
    """Of the errors, in (0, 1]."""
    ablation: Path | None = None
    """Weights of `videoinpaint pretrain one-shot --ablate`: target inactivation alone."""
    weights: Path | None = None
    """Weights of CIRI; by default the shipped ones."""
    removal: bool = False
    """Also remove residues online, by the contextual loss alone and with the residue loss; needs --propagator."""
    iterations: int = 1
    """Rounds of repair and detection."""
    pictures: Path | None = None
    """Draw every clip here: the target, its predicted masks, and what every method makes of it."""


def run(flags: CIRIFlags) -> dict[str, Any]:
    """Repair every clip with every method; see the module's description.

    Raises:
        InputError: flags that do not go together, or a folder that cannot be read.
        UnknownNameError: no such kind of error.
    """
    cases.check_kinds(flags.kinds)
    whole_number(flags.iterations, "iterations", 1, 10**6)
    if flags.limit is not None:
        whole_number(flags.limit, "limit", 1, MAX_COUNT)
    if flags.removal and flags.propagator is None:
        raise InputError("--removal fine-tunes a propagator: name one with --propagator")
    methods = _methods(flags)
    given = list(cases.unpredicted(flags, flags.propagator) if flags.propagator else _given(flags))
    rows: list[dict[str, Any]] = []
    bar, advance = tables.progress("repairing", len(given) * len(methods))
    with bar:
        for case in given:
            row: dict[str, Any] = {"kind": case.kind, "clip": case.clip.name, "background": case.background}
            seen: dict[str, Tensor] = {}
            for name, loop in methods.items():
                known = replace(case, predicted=case.clip.objects)
                row[name], shown = _measured(flags, known if name == CEILING else case, loop)
                seen |= {"predicted": shown["predicted"], name: shown["repaired"]} if name != CEILING else {}
                advance()
            if flags.pictures is not None:
                draw(flags.pictures / f"{case.kind}-{case.clip.name}.png", case.clip, seen)
            rows.append(row)
    chosen = flags.asked("pictures")
    return envelope("ciri", chosen, methods=list(methods), rows=rows, summary=_summary(rows, list(methods)))


def _given(flags: CIRIFlags) -> Iterator[Case]:
    yield from cases.falsified(flags, flags.kinds, flags.severity)
    if flags.predicted is not None:
        yield from cases.really_predicted(flags, flags.predicted)


def _methods(flags: CIRIFlags) -> dict[str, ClosedLoop]:
    """In the order of CIRI's Table 2."""
    weights, device = str(flags.weights) if flags.weights else None, resolve_device(flags.device)
    compact, detector = make_inpainter("compact", device=device), make_detector("compact", device=device)
    methods: dict[str, Inpainter] = {"compact": compact, PLAIN: compact}
    if flags.ablation:
        methods["T.I."] = CIRIInpainter(device, weights=str(flags.ablation))
    methods["T.I. + D.C."] = CIRIInpainter(device, weights=weights)
    if flags.removal:
        both = removal_config(str(flags.propagator))
        methods["+ C.L."] = CIRIInpainter(device, weights=weights, removal=replace(both, residue_weight=0.0))
        methods["+ C.L. + R.L."] = CIRIInpainter(device, weights=weights, removal=both)
    methods[CEILING] = compact
    return {
        name: ClosedLoop(part, detector, device=device, widen=0 if name == PLAIN else WIDEN)
        for name, part in methods.items()
    }


def _measured(flags: CIRIFlags, case: Case, loop: ClosedLoop) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Metrics of one repair, and its frames and masks ``(T, C, H, W)``."""
    parts = (tensor(case.clip.observed), tensor(case.clip.frames), cases.mask_tensor(case.clip.objects))
    observed, background, truth = (part.to(loop.device) for part in parts)
    began = time.perf_counter()
    tracker: Tracker
    if case.predicted is None:
        tracker = make_propagator(flags.propagator or "flow", device=loop.device).start(observed[0], truth[0, 0])
    else:
        tracker = GivenTracker(cases.mask_tensor(case.predicted)[0].to(loop.device))
    state, predicted = loop.begin_one_shot(observed, [tracker])
    for _ in range(flags.iterations):
        state, _, _ = loop.refine(state, DEFAULT.to_array()[None])
    seconds = time.perf_counter() - began
    after = slice(1, None)
    reference = Reference(background[:, after], truth[:, after])
    found = (predicted[:, after] > 0.5).float()
    score = (region_similarity(found, truth[:, after]) + contour_accuracy(found, truth[:, after])).mean() / 2
    metrics = reference.measure(state["repaired"][:, after]) | {"j_and_f": float(score), "seconds": seconds}
    return metrics, {"predicted": predicted[0].cpu(), "repaired": state["repaired"][0].cpu()}


def draw(path: Path, clip: Clip, seen: Mapping[str, Tensor]) -> None:
    """One picture: rows of what was seen, predicted and repaired, columns of four frames."""
    times = np.linspace(1, len(clip.frames) - 1, 4).round().astype(int)
    rows = {"seen": tensor(clip.observed)[0]} | dict(seen) | {"true background": tensor(clip.frames)[0]}
    drawn = []
    for name, frames in rows.items():
        pixels = frames.expand(-1, 3, -1, -1).clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
        drawn.append(panels.labelled(panels.beside([pixels[time] for time in times]), name))
    save_png(path, panels.below(drawn))


def _summary(rows: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> dict[str, Any]:
    """Means by kind of error and method, and the differences to compact, paired."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    return {kind: _means(rows, methods, kinds if kind == "all" else [kind]) for kind in (*kinds, "all")}


def _means(rows: Sequence[Mapping[str, Any]], methods: Sequence[str], kinds: Sequence[str]) -> dict[str, Any]:
    """Means over backgrounds, and differences of local PSNR to the first method (``gain``) and to `PLAIN`.

    What shares a background is no independent sample: it is averaged before an interval is taken.
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["kind"] in kinds:
            groups.setdefault(row["background"], []).append(row)
    values = {name: {key: [float(np.nanmean([row[name][key] for row in group])) for group in groups.values()]
                     for key in SHOWN} for name in methods}  # fmt: skip
    local = {name: found["psnr_hole"] for name, found in values.items()}
    return {
        name: {key: float(np.nanmean(found)) for key, found in values[name].items()}
        | {"gain": paired_difference(local[name], local[methods[0]])}
        | {"gain_plain": paired_difference(local[name], local[PLAIN])}
        for name in methods
    }


def report(results: Mapping[str, Any]) -> None:
    """Print a table of all kinds, and the means over all of them."""
    methods, summary = results["methods"], results["summary"]
    rows = [[kind, *(f"{means[name]['psnr_hole']:.2f}" for name in methods)] for kind, means in summary.items()]
    tables.show("PSNR inside the target, dB", ["masks", *methods], rows)
    for key, other in (("gain", methods[0]), ("gain_plain", PLAIN)):
        compared = [name for name in methods if name != other]
        rows = [[kind, *(tables.interval(means[name][key], 2, signed=True) for name in compared)]
                for kind, means in summary.items()]  # fmt: skip
        tables.show(f"minus {other}", ["masks", *compared], rows)
    means = results["summary"]["all"]
    body = [[name, *(f"{means[name][key]:.{2 if 'psnr' in key else 4}f}" for key in SHOWN)] for name in methods]
    tables.show("Means of all", ["method", *(key.replace("_hole", " local") for key in SHOWN)], body)


if __name__ == "__main__":
    tables.main(CIRIFlags, run, report, __doc__ or "")
