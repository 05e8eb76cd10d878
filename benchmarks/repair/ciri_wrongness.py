"""What wrong masks cost around a published network: CIRI against the same network that takes masks for right.

    python -m videoinpaint.benchmarks.repair.ciri_wrongness --clips FOLDER --weights a.safetensors b.safetensors ...

Every file is one training of `videoinpaint pretrain one-shot --arch`, of the same settings with other seeds. Targets
are pasted before the clips, so that the background is known; the first frame's mask is always right, and what is
measured is PSNR inside the true masks of the frames after it. The masks of the others are right, or wrong in every way
and by several sizes. *Trusting* is the same network with the same weights, which takes masks for right, widened as the
environment widens them. What wrong masks cost a method is what it loses against its own repair with right ones. Where
the target left as it is (*untouched*) is as near to the background as the repairs are, they can cost nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope
from videoinpaint.benchmarks.protocol.flags import AutoComputing
from videoinpaint.benchmarks.protocol.statistics import mean_interval, paired_difference
from videoinpaint.benchmarks.repair import ciri_cases as cases
from videoinpaint.benchmarks.repair.ciri_cases import EXACT, Case, CaseFlags
from videoinpaint.benchmarks.report.charts import Line, lines_chart
from videoinpaint.clips.masks.inaccurate import MASK_ERRORS
from videoinpaint.composition import widened
from videoinpaint.controls import DEFAULT
from videoinpaint.device import resolve_device
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.files import write_bytes
from videoinpaint.inpainters import make_inpainter
from videoinpaint.inpainters.ciri.around import MARK
from videoinpaint.inpainters.ciri.published_inpainters import AroundPublished
from videoinpaint.inpainters.propagators import GivenTracker
from videoinpaint.metrics import region_similarity
from videoinpaint.metrics.measures import Reference
from videoinpaint.weights import load_safetensors

TRUSTING, CIRI, ABLATED, UNTOUCHED = "trusting", "CIRI", "T.I.", "untouched"
LEARNT = ("psnr_local", "psnr_trusting", "share_0", "share_1", "share_2")


@dataclass(frozen=True, kw_only=True)
class WrongnessFlags(CaseFlags, AutoComputing):
    """Which trainings, which clips, how wrong masks are."""

    weights: tuple[Path, ...] = ()
    """Files by `videoinpaint pretrain one-shot --arch`, one for each training seed."""
    ablations: tuple[Path, ...] = ()
    """Files of the same with --ablate: target inactivation without attention and curriculum."""
    logs: tuple[Path, ...] = ()
    """The folders of the trainings: what they measured on the way goes into the results."""
    kinds: tuple[str, ...] = MASK_ERRORS
    """Errors of the masks; every severity's value is the mean over them."""
    severities: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    """Of the errors, in (0, 1]; right masks are always measured."""
    num_frames: int = 6
    """Frames of a clip."""
    height: int = 48
    """Pixels."""
    width: int = 96
    """Pixels."""
    plot: Path | None = None
    """Draw repair against wrongness here: a PNG."""


@dataclass
class Scores:
    """PSNR inside the target and IoU of the given masks, by severity, training seed and background."""

    psnr: dict[str, dict[float, list[dict[str, list[float]]]]] = field(default_factory=dict)
    iou: dict[float, list[float]] = field(default_factory=dict)

    def add(self, method: str, severity: float, seed: int, background: str, psnr: float) -> None:
        """Take in one repair."""
        seeds = self.psnr.setdefault(method, {}).setdefault(severity, [])
        seeds.extend({} for _ in range(seed + 1 - len(seeds)))
        seeds[seed].setdefault(background, []).append(psnr)

    def means(self, method: str, severity: float) -> np.ndarray:
        """``(seeds, backgrounds)``: what shares a background is no independent sample and is averaged."""
        return np.array([[np.mean(row) for row in seed.values()] for seed in self.psnr[method][severity]])


def run(flags: WrongnessFlags) -> dict[str, Any]:
    """Repair every clip with every training; see the module's description.

    Raises:
        InputError, UnknownNameError, CorruptWeightsError: flags, clips or files that cannot be used.
    """
    cases.check_kinds(flags.kinds)
    if not flags.weights:
        raise InputError("no trainings to measure: name files of `videoinpaint pretrain one-shot --arch` by --weights")
    if EXACT in flags.kinds:
        raise InputError("right masks are always measured: leave exact out of --kinds")
    device = resolve_device(flags.device)
    trained = [_inpainter(path, device) for path in flags.weights]
    ablated = [_inpainter(path, device) for path in flags.ablations]
    scores, given = Scores(), list(_given(flags))
    bar, advance = tables.progress("repairing", len(given))
    with bar, torch.no_grad():
        for severity, case in given:
            _score(scores, severity, case, trained, ablated)
            advance()
    severities = [0.0, *flags.severities]
    shares = [part.model.inactivation.share.sigmoid().tolist() for part in trained]
    results = envelope(
        "ciri-wrongness", flags.asked("plot"),
        rows=[_row(scores, severity) for severity in severities], shares=shares, learnt=_learnt(flags.logs),
    )  # fmt: skip
    if flags.plot is not None:
        write_plot(flags.plot, results)
    return results


def _inpainter(path: Path, device: torch.device) -> AroundPublished:
    name = load_safetensors("ciri", path)[1].get(MARK)
    if name is None:
        raise CorruptWeightsError(f"{path} is no training of CIRI around a published network")
    part = make_inpainter(f"ciri_{name}", weights=str(path), device=device)
    assert isinstance(part, AroundPublished)
    return part


def _given(flags: WrongnessFlags) -> Iterator[tuple[float, Case]]:
    yield from ((0.0, case) for case in cases.falsified(flags, [EXACT], 1.0))
    for severity in flags.severities:
        yield from ((severity, case) for case in cases.falsified(flags, flags.kinds, severity))


def _score(
    scores: Scores,
    severity: float,
    case: Case,
    trained: Sequence[AroundPublished],
    ablated: Sequence[AroundPublished],
) -> None:
    observed, background = cases.tensor(case.clip.observed), cases.tensor(case.clip.frames)
    truth, masks = cases.mask_tensor(case.clip.objects), cases.mask_tensor(case.predicted)
    scores.iou.setdefault(severity, []).append(float(region_similarity(masks[:, 1:], truth[:, 1:]).mean()))
    reference = Reference(background[:, 1:], truth[:, 1:])

    def score(method: str, seed: int, repaired: Tensor) -> None:
        psnr = reference.measure(repaired[:, 1:].cpu())["psnr_hole"]
        scores.add(method, severity, seed, case.background, psnr)

    for seed, part in enumerate(trained):
        score(CIRI, seed, _one_shot(part, observed, masks))
        score(TRUSTING, seed, _trusting(part, observed, masks))
    for seed, part in enumerate(ablated):
        score(ABLATED, seed, _one_shot(part, observed, masks))
    score(UNTOUCHED, 0, observed)


def _one_shot(part: AroundPublished, observed: Tensor, masks: Tensor) -> Tensor:
    frames = observed.to(part.device)
    state, holes = part.begin_one_shot(frames, [GivenTracker(masks[0].to(part.device))])
    return torch.where(holes > 0, part.refine(state, frames, holes, DEFAULT.to_array()[None]).frames, frames)


def _trusting(part: AroundPublished, observed: Tensor, masks: Tensor) -> Tensor:
    frames, holes = observed.to(part.device), widened(masks.to(part.device))
    state = part.begin(frames, holes)
    return torch.where(holes > 0, part.refine(state, frames, holes, DEFAULT.to_array()[None]).frames, frames)


def _row(scores: Scores, severity: float) -> dict[str, Any]:
    """Means of all methods, what wrongness costs them, and how much less it costs CIRI, over clips and seeds."""
    psnr = {name: scores.means(name, severity) for name in scores.psnr}
    cost = {name: scores.means(name, 0.0) - values for name, values in psnr.items()}
    row: dict[str, Any] = {"severity": severity, "iou": float(np.mean(scores.iou[severity]))}
    row["psnr"] = {name: mean_interval(values) for name, values in psnr.items()}
    row["cost"] = {name: mean_interval(values) for name, values in cost.items()}
    row["gain"] = mean_interval(psnr[CIRI] - psnr[TRUSTING])  # of the same network: paired by seed, too
    row["spared"] = mean_interval(cost[TRUSTING] - cost[CIRI])
    row["spared_by_seed"] = (cost[TRUSTING] - cost[CIRI]).mean(1).tolist()
    if ABLATED in psnr:
        row["gain_ablated"] = paired_difference(psnr[CIRI], psnr[ABLATED])
        row["spared_ablated"] = paired_difference(cost[ABLATED], cost[CIRI])
    return row


def _learnt(folders: Sequence[Path]) -> list[dict[str, list[float]]]:
    """What the trainings measured on the way, by quantity; empty without folders."""
    found = []
    for folder in folders:
        path = folder / "log.jsonl"
        if not path.is_file():
            raise InputError(f"no log of a training at {path}: name the folder that the training wrote")
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        measured = [line for line in lines if "psnr_local" in line]
        found.append({name: [line[name] for line in measured] for name in ("iteration", *LEARNT)})
    return found


def write_plot(path: Path, results: Mapping[str, Any]) -> Path:
    """Repair against wrongness, all methods."""
    rows = results["rows"]
    lines = [Line(name, [row["psnr"][name] for row in rows]) for name in reversed(rows[0]["psnr"])]
    ticks = ["right" if row["severity"] == 0 else f"{row['severity']:g}" for row in rows]
    panels = [("PSNR in the target, dB, by the masks' errors", lines)]
    return write_bytes(path, lines_chart(panels, ticks, "severity of the errors"))


def report(results: Mapping[str, Any]) -> None:
    """Print the table by severity, and beta of the scales by seed."""
    rows, names = results["rows"], list(results["rows"][0]["psnr"])
    extra = ["gain_ablated", "spared_ablated"] if ABLATED in names else []
    columns = ["severity", "IoU", *names, *(f"cost to {name}" for name in names), f"{CIRI} - {TRUSTING}",
               "costs less by", "by seed", *extra]  # fmt: skip
    body = [
        ["right" if row["severity"] == 0 else f"{row['severity']:g}", f"{row['iou']:.2f}"]
        + [f"{row['psnr'][name]['mean']:.2f}" for name in names]
        + [f"{row['cost'][name]['mean']:.2f}" for name in names]
        + [tables.interval(row[key], 2, signed=True) for key in ("gain", "spared")]
        + [", ".join(f"{value:+.2f}" for value in row["spared_by_seed"])]
        + [tables.interval(row[key], 2, signed=True) for key in extra]
        for row in rows
    ]
    tables.show("PSNR inside the target, dB, by how wrong masks are", columns, body)
    shares = [[str(seed), *(f"{beta:.3f}" for beta in row)] for seed, row in enumerate(results["shares"])]
    scales = [f"scale {index}" for index in range(len(results["shares"][0]))]
    tables.show("beta of Eq. 3, 0.5 before training", ["training", *scales], shares)


if __name__ == "__main__":
    tables.main(WrongnessFlags, run, report, __doc__ or "")
