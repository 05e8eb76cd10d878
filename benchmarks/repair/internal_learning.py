"""Internal inpainting (IIVI) measured: what a short training on the clip alone is worth, start by start.

    python -m videoinpaint.benchmarks.repair.internal_learning --clips FOLDER --masks stationary \
        --starts propagation none

Time is counted in CPU seconds of one thread, so that other work on the machine does not matter: 120 stand for 60
seconds on two cores. Every finished clip is kept in --folder; the same command goes on where it was interrupted.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope, published, write_json
from videoinpaint.benchmarks.protocol.flags import Computing
from videoinpaint.benchmarks.protocol.statistics import paired_difference
from videoinpaint.benchmarks.protocol.suite import Pair, make_suite, pairing
from videoinpaint.benchmarks.repair.timed import repair
from videoinpaint.detectors import make_detector
from videoinpaint.device import resolve_device
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.inpainters import make_inpainter
from videoinpaint.inpainters.internal.clip import TrainingClip
from videoinpaint.inpainters.internal.mixture import candidates
from videoinpaint.inpainters.internal.schedule import Budget, train
from videoinpaint.inpainters.internal.trainer import Internal, Trainer, crop_for
from videoinpaint.inpainters.telea import telea
from videoinpaint.metrics import lpips_hole, psnr_hole, ssim_hole
from videoinpaint.metrics.measures import as_written


@dataclass(frozen=True, kw_only=True)
class InternalStarts(Computing):
    """What to repair, from which starts, for how long."""

    clips: str = "studio"
    """A clip source: a folder of clips, studio, ..."""
    masks: str = "stationary"
    """A mask source."""
    starts: tuple[str, ...] = ("propagation", "none")
    """What holes start from: none (the paper's, from scratch), smooth, propagation, compact."""
    seconds: float = 120.0
    """CPU seconds for each clip and start, preparing the start included."""
    arch: str = "base"
    """base, stacked or coarse-to-fine."""
    width_factor: float = 0.25
    """Factor on the paper's channels."""
    pool: int = 0
    """Translations of the mask that are prepared; 0 for the default."""
    patience: int = 8
    """Measurements of the held-out pixels without a gain after which a stage ends; 0 for never."""
    num_frames: int = 24
    """Frames of each clip."""
    height: int = 120
    """Pixels."""
    width: int = 216
    """Pixels."""
    limit: int = 0
    """Clips to take from the front; 0 for all."""
    seed: int = 0
    """With a clip's index, decides its hole; also of the training."""
    device: str = "cpu"
    """Where networks compute: cpu, cuda, auto, ... On any but cpu, --seconds are those of a clock."""
    folder: Path = Path("runs/internal")
    """Where finished clips are kept."""
    loop: bool = False
    """Measure the compact network after three passes of the loop as well."""
    pictures: Path | None = None
    """Write repaired frames here as PNG, a folder per clip and start."""


def run(flags: InternalStarts) -> dict[str, Any]:
    """Measure all clips and starts; see the module's description.

    Returns:
        ``clips``: per clip and method its metrics inside the hole; ``comparisons``: each method against Telea, paired.

    Raises:
        InputError, UnknownNameError, MissingWeightsError: before any work starts.
    """
    for start in flags.starts:
        settings(flags, start).check()
    device = resolve_device(flags.device)
    suite = make_suite(flags.clips, flags.masks, num_frames=flags.num_frames, height=flags.height,
                       width=flags.width, limit=flags.limit, seed=flags.seed)  # fmt: skip
    pairs, clips = [], {}
    bar, advance = tables.progress("training", len(suite) * len(flags.starts))
    with bar:
        for pair in suite:
            pairs.append((pair.name, pair.digest))
            clips[pair.name] = {"telea": _telea(pair)} | (_loop(pair, device) if flags.loop else {})
            for start in flags.starts:
                clips[pair.name] |= _kept(flags, pair, start)
                advance()
    chosen = flags.asked("folder", "pictures")
    return envelope(
        "internal", chosen, pairing=pairing(pairs), clips=clips, comparisons=comparisons(clips),
        published={name: published(name) for name in ("iivi.table1", "iivi.table2", "iivi.table3")},
    )  # fmt: skip


def settings(flags: InternalStarts, start: str) -> Internal:
    """The configuration for one start: from scratch a network sees whole frames, as published."""
    base = replace(Internal(), arch=flags.arch, width=flags.width_factor, start=start, seed=flags.seed)
    base = replace(base, crop=crop_for(flags.height, flags.width))
    if start == "compact":  # a start costs a pass of the compact network: fewer of them
        base = replace(base, pool=4)
    if flags.pool:
        base = replace(base, pool=flags.pool)
    return replace(base, crop=None, mirror=False, learning_rate=2e-3) if start == "none" else base


def _kept(flags: InternalStarts, pair: Pair, start: str) -> dict[str, Any]:
    """One clip's metrics, measured now or earlier."""
    config, cpu = settings(flags, start), resolve_device(flags.device).type == "cpu"
    key = json.dumps([pair.digest, asdict(config), flags.seconds, flags.patience, *([] if cpu else [flags.device])])
    path = flags.folder / f"{pair.name}-{pair.digest}-{start}.json"
    if path.exists() and (stored := json.loads(path.read_text(encoding="utf-8")))["key"] == key:
        return stored["methods"]
    pictures = flags.pictures and flags.pictures / f"{pair.name}-{start}"
    unfinished = flags.folder / f"training-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    methods = _trained(pair, config, flags, pictures, unfinished)
    write_json(path, {"key": key, "methods": methods})
    return methods


def _trained(
    pair: Pair, config: Internal, flags: InternalStarts, pictures: Path | None, folder: Path
) -> dict[str, Any]:
    device = resolve_device(flags.device)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    reference, holes = (part.to(device) for part in pair.tensors())
    began = clock()
    clip = TrainingClip(reference[0], holes[0], config.start, config.pool, config.seed, config.hidden)
    clip.pooled()
    trainer = Trainer(config, device)
    prepared = clock() - began
    budget = Budget(seconds=max(1.0, flags.seconds - prepared), clock=clock)
    for _ in train(trainer, clip, budget, folder=folder, patience=flags.patience):
        pass
    repaired = trainer.repair(clip)
    if pictures is not None:
        write_frames(pictures, repaired)
    spent = {"cpu_seconds": clock() - began, "steps": trainer.steps, "held_out": trainer.held_out(clip)}
    found: dict[str, Any] = {f"internal from {config.start}": metrics(repaired[None], reference, holes) | spent}
    if config.start != "none":
        if pictures is not None:
            write_frames(pictures.with_name(pictures.name + "-alone"), clip.started(None)[0])
        found[f"{config.start} alone"] = metrics(clip.started(None)[0][None], reference, holes)
    if config.start == "compact":
        fills = candidates(clip.frames, clip.holes)
        found["compact x1"] = metrics(fills.repair[None], reference, holes)
        found["propagation alone"] = metrics(fills.carried[None], reference, holes)
    return found


def _telea(pair: Pair) -> dict[str, float]:
    reference, holes = pair.tensors()
    return metrics(telea(reference, holes), reference, holes)


def _loop(pair: Pair, device: torch.device) -> dict[str, dict[str, float]]:
    """The compact network with its detector, default controls, as `benchmarks.quality` has it."""
    reference, holes = (part.to(device) for part in pair.tensors())
    loop = ClosedLoop(make_inpainter("compact", device=device), make_detector("compact", device=device), device)
    return {"compact x3": metrics(repair(loop, reference, holes, iterations=3)[-1].frames, reference, holes)}


def write_frames(folder: Path, frames: Tensor) -> None:
    """Write ``(T, 3, H, W)`` in [0, 1] as numbered PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(frames.mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()):
        cv2.imwrite(str(folder / f"{index:05d}.png"), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))


@torch.no_grad()
def metrics(repaired: Tensor, reference: Tensor, holes: Tensor) -> dict[str, float]:
    """Means over the frames of a clip that have a hole, inside it, of what a file would hold."""
    written = as_written(torch.where(holes > 0, repaired, reference))
    measures = {"psnr_hole": psnr_hole, "ssim_hole": ssim_hole, "lpips_hole": lpips_hole}
    return {name: float(measure(written, reference, holes).nanmean()) for name, measure in measures.items()}


def comparisons(clips: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[dict[str, Any]]:
    """Every internal method against Telea and against its own start: paired difference of PSNR, share of clips won."""
    names = [name for name in next(iter(clips.values())) if name.startswith("internal")]
    entries = []
    for a in names:
        start = a.replace("internal from ", "") + " alone"
        for b in dict.fromkeys(("telea", start, "propagation alone", "compact x1", "compact x3")):
            if b not in next(iter(clips.values())):
                continue
            first, second = (np.array([clip[name]["psnr_hole"] for clip in clips.values()]) for name in (a, b))
            entries.append({"a": a, "b": b, "psnr_hole": paired_difference(first, second),
                            "wins": float((first > second).mean())})  # fmt: skip
    return entries


def report(results: Mapping[str, Any]) -> None:
    """Print every clip, the means, and the comparisons."""
    clips = results["clips"]
    methods = list(next(iter(clips.values())))
    rows = [[name, *(f"{clip[m]['psnr_hole']:.2f}" for m in methods)] for name, clip in clips.items()]
    for metric, digits in (("psnr_hole", 2), ("ssim_hole", 4), ("lpips_hole", 4)):
        means = (f"{np.mean([clip[m][metric] for clip in clips.values()]):.{digits}f}" for m in methods)
        rows.append([f"mean {tables.TITLES[metric]}", *means])
    chosen, digest = results["settings"], results["pairing"]["digest"]
    size = f"{chosen['num_frames']} frames of {chosen['width']}x{chosen['height']}"
    tables.show(
        f"PSNR in the hole, dB: {chosen['clips']} under {chosen['masks']} masks", ["clip", *methods], rows,
        f"{size}; {chosen['seconds']:g} CPU seconds a clip and start; pairing {digest}",
    )  # fmt: skip
    compared = [[f"{c['a']} - {c['b']}", tables.interval(c["psnr_hole"], 2, True), f"{c['wins']:.0%}"]
                for c in results["comparisons"]]  # fmt: skip
    tables.show("paired over clips", ["", "PSNR hole", "clips won"], compared, tables.intervals(len(clips)))


if __name__ == "__main__":
    tables.main(InternalStarts, run, report, __doc__ or "")
