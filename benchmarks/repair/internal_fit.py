"""How well internal learning (IIVI) fits clips of different lengths, and what hides pixels in training (Figure 10).

    python -m videoinpaint.benchmarks.repair.internal_fit --clip FOLDER --lengths 5 20 --steps 400
    python -m videoinpaint.benchmarks.repair.internal_fit --clip FOLDER --lengths 12 --hidden moved free-form

The first frames of one clip under a fixed hole in their middle, a quarter of each side, as in the paper's Table 1;
a network from scratch for each length and each way of hiding. --preset paper takes the network, learning rate and
losses as published; the paper trains 80,000 steps.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from videoinpaint.benchmarks.protocol import tables
from videoinpaint.benchmarks.protocol.envelope import envelope, published
from videoinpaint.benchmarks.protocol.flags import Computing
from videoinpaint.benchmarks.repair.internal_learning import metrics
from videoinpaint.clips import make_clips
from videoinpaint.clips.files.images import resize_frames
from videoinpaint.clips.files.sequences import ImageFolder
from videoinpaint.clips.masks import SquareMasks
from videoinpaint.clips.types import Clip
from videoinpaint.device import resolve_device
from videoinpaint.errors import InputError
from videoinpaint.inpainters.internal.clip import HIDDEN, TrainingClip
from videoinpaint.inpainters.internal.presets import preset
from videoinpaint.inpainters.internal.schedule import Budget, train
from videoinpaint.inpainters.internal.trainer import Internal, Trainer, masked_psnr


@dataclass(frozen=True, kw_only=True)
class InternalFit(Computing):
    """What to fit, and for how long."""

    clip: Path | None = None
    """A folder of frames; by default a studio clip."""
    lengths: tuple[int, ...] = (5, 20, 80)
    """Numbers of frames, from the clip's front; the paper's are 5, 20 and 80."""
    hidden: tuple[str, ...] = ("moved",)
    """What hides known pixels in training: moved (the clip's own masks), free-form (brush strokes)."""
    preset: Literal["quick", "paper"] = "quick"
    """Settings of the network; both from scratch."""
    steps: int = 400
    """Of training, for each row."""
    height: int = 120
    """Pixels."""
    width: int = 216
    """Pixels."""
    seed: int = 0
    """Of the training."""
    device: str = "cpu"
    """auto, cpu or cuda."""


def run(flags: InternalFit) -> dict[str, Any]:
    """Fit every length in every way; see the module's description.

    Returns:
        ``rows``: ``length``, ``hidden``, PSNR in dB of pixels that are known and shown (``known``) and of known pixels
        hidden by moved masks that training never used (``held_out``), the metrics inside the hole, and CPU seconds.

    Raises:
        InputError: the clip is shorter than a length, or a setting is out of range; before any work.
    """
    if not flags.lengths or min(flags.lengths) < 1 or flags.steps < 1:
        raise InputError(f"lengths and steps must be at least 1, got {flags.lengths} and {flags.steps}")
    if unknown := set(flags.hidden) - set(HIDDEN):
        raise InputError(f"hidden is one of {', '.join(HIDDEN)}, got {', '.join(sorted(unknown))}")
    frames = _frames(flags, max(flags.lengths))
    rows = []
    bar, advance = tables.progress("fitting", len(flags.lengths) * len(flags.hidden))
    with bar:
        for length in flags.lengths:
            for hidden in flags.hidden:
                rows.append({"length": length, "hidden": hidden} | _fitted(flags, frames[:length], hidden))
                advance()
    chosen = flags.asked()
    return envelope("internal_fit", chosen, rows=rows, published=published("iivi.capacity_vs_length"))


def settings(flags: InternalFit) -> Internal:
    """The network and its training, from scratch."""
    config = replace(preset(flags.preset).config, start="none", crop=None, mirror=False, seed=flags.seed)
    return config if flags.preset == "paper" else replace(config, learning_rate=2e-3)


def _frames(flags: InternalFit, count: int) -> np.ndarray:
    """Frames uint8 ``(count, H, W, 3)``."""
    if flags.clip is not None:
        return resize_frames(ImageFolder(flags.clip).read(0, count), flags.height, flags.width)
    return make_clips("studio:hard").load(f"studio-hard-{flags.seed:06d}", count, flags.height, flags.width).frames


def _fitted(flags: InternalFit, frames: np.ndarray, hidden: str) -> dict[str, Any]:
    place, config = resolve_device(flags.device), replace(settings(flags), hidden=hidden)
    masks = SquareMasks().sample(np.random.default_rng(0), Clip(frames, "fit"))
    reference = torch.from_numpy(frames).permute(0, 3, 1, 2).to(place).float() / 255
    holes = torch.from_numpy(masks)[:, None].to(place).float()
    clip = TrainingClip(reference, holes, config.start, config.pool, config.seed, hidden)
    trainer, began = Trainer(config, place), time.process_time()
    for _ in train(trainer, clip, Budget(steps=flags.steps), patience=0):
        pass
    spent = time.process_time() - began
    repaired, known = _painted(trainer, clip, reference)
    inside = metrics(repaired[None].cpu(), reference[None].cpu(), holes[None].cpu())
    return {"known": known, "held_out": trainer.held_out(clip)["psnr"], **inside, "cpu_seconds": spent}


def _painted(trainer: Trainer, clip: TrainingClip, reference: Tensor) -> tuple[Tensor, float]:
    """The repaired frames, and the PSNR of what the network makes of known pixels that it is shown."""
    start, trust = clip.started(None)
    made = trainer.paint(start, clip.holes, trust)
    return torch.where(clip.holes > 0, made, reference), masked_psnr(made, reference, 1 - clip.holes)


def report(results: Mapping[str, Any]) -> None:
    """Print the rows, and the published numbers."""
    rows = [[str(row["length"]), row["hidden"], *(f"{row[name]:.2f}" for name in ("known", "held_out", "psnr_hole")),
             f"{row['lpips_hole']:.4f}", f"{row['cpu_seconds']:.0f}"] for row in results["rows"]]  # fmt: skip
    printed = ", ".join(f"{row['frames']} frames {row['psnr']} dB" for row in results["published"]["rows"])
    tables.show(
        f"{results['settings']['clip'] or 'studio'}: {results['settings']['steps']} steps from scratch",
        ["frames", "hidden by", "PSNR shown", "PSNR held out", "PSNR hole", "LPIPS hole", "CPU s"], rows,
        f"published (over-fitting of known regions, 80,000 steps): {printed}",
    )  # fmt: skip


if __name__ == "__main__":
    tables.main(InternalFit, run, report, __doc__ or "")
