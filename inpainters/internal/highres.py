"""Progressive high resolution (Section 4.1, Appendix A.4): 1K, then patches at 2K and 4K from the result so far.

Frames are read one at a time and results between levels lie on disk: memory is bounded by the patch, one frame, and
the clip at the coarsest level (a sixteenth of 4K).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from videoinpaint.checkpoints import CHECKPOINT, alone, last_good, resume, save
from videoinpaint.checks import whole_number
from videoinpaint.clips.files.images import resize_frames, resize_masks
from videoinpaint.clips.files.sequences import FrameSequence
from videoinpaint.errors import DivergedError, InputError
from videoinpaint.inpainters.internal.clip import TrainingClip
from videoinpaint.inpainters.internal.detail import Sources, find_sources
from videoinpaint.inpainters.internal.patches import (
    PatchSource,
    Pixels,
    Progressive,
    clear_frames,
    picture_of,
    read_frame,
    tensor_of,
    write_frames,
)
from videoinpaint.inpainters.internal.schedule import Budget, train
from videoinpaint.inpainters.internal.trainer import Trainer

SAVE_SECONDS = 60.0  # between checkpoints of a level


def repair_progressively(
    frames: FrameSequence,
    masks: FrameSequence,
    folder: Path,
    settings: Progressive | None = None,
    report: Callable[[int, int], None] | None = None,
    device: str | torch.device = "cpu",
) -> Iterator[Pixels]:
    """Repair a clip of high resolution; known pixels come back as they were.

    Args:
        frames: uint8 ``(H, W, 3)`` each, of the last level's size.
        masks: ``(H, W)`` each in {0, 1}, 1 = missing.
        folder: a folder in it for each level, with its frames as PNG and its checkpoint. What an interrupted run left
            there is gone on from, and ends in the same frames.
        settings: defaults of :class:`Progressive`.
        report: called with level and step as training goes on.
        device: where it computes; frames and levels stay on the CPU.

    Yields:
        repaired frames, uint8 ``(H, W, 3)``.

    Raises:
        InputError: frames of another size, another number of masks, or nothing is missing; the folder belongs to
            another clip or other settings.
        DivergedError: a loss is not finite.
    """
    settings = settings or Progressive()
    top = settings.sizes()[-1]
    if len(frames) != len(masks) or not len(frames):
        raise InputError(f"there are {len(frames)} frames and {len(masks)} masks")
    if (size := frames.read(0, 1).shape[1:3]) != top:
        raise InputError(
            f"frames of {size[1]}x{size[0]} do not fit the last level, {top[1]}x{top[0]}: resize or set patch"
        )
    trainer = Trainer(replace(settings.config, crop=None), device)
    sources = _coarse(trainer, frames, masks, settings, folder / "level-0", report)
    for level in range(1, len(settings.steps)):
        source = PatchSource(frames, masks, folder / f"level-{level - 1}", settings, level, trainer.device, sources)
        own = folder / f"level-{level}"
        own.mkdir(parents=True, exist_ok=True)
        with alone(own):
            if not (own / CHECKPOINT).exists():
                clear_frames(own)
            for step in _trained(trainer, source, settings.steps[level], own):
                if report is not None:
                    report(level, step)
            write_frames(own, len(frames), partial(source.repaired, trainer))
    for index in range(len(frames)):
        done = read_frame(folder / f"level-{len(settings.steps) - 1}", index)
        yield np.where(masks.read(index, 1)[0][..., None] > 0, done, frames.read(index, 1)[0])


def _coarse(
    trainer: Trainer,
    frames: FrameSequence,
    masks: FrameSequence,
    settings: Progressive,
    folder: Path,
    report: Callable[[int, int], None] | None,
) -> list[Sources]:
    """The first level: the whole clip, small, as anywhere else. Returns where finer levels find detail, if they do."""
    size = settings.sizes()[0]
    small = [resize_frames(frames.read(i, 1), *size)[0] for i in range(len(frames))]
    holes = [resize_masks(masks.read(i, 1), *size)[0] for i in range(len(frames))]
    if not any(hole.any() for hole in holes):
        raise InputError("nothing is missing in any frame")
    c = settings.config
    shown, missing = tensor_of(np.stack(small)), torch.from_numpy(np.stack(holes)).float()[:, None]
    clip = TrainingClip(shown.to(trainer.device), missing.to(trainer.device), c.start, c.pool, c.seed, c.hidden)
    for progress in train(trainer, clip, Budget(steps=settings.steps[0]), folder=folder, patience=settings.patience):
        if report is not None:
            report(0, progress.steps)
    repaired = trainer.repair(clip)
    clear_frames(folder)
    write_frames(folder, len(frames), lambda index: picture_of(repaired[index]))
    return find_sources(clip.frames, clip.holes) if settings.detail else []


def _trained(trainer: Trainer, source: PatchSource, steps: int, folder: Path) -> Iterator[int]:
    """Train one level, from its checkpoint if there is one; yields how many steps are done."""
    belongs = repr(source.settings) + f" {len(source.frames)}"

    def restore(stored: dict[str, Any]) -> int:
        if stored["of"] != belongs:
            raise InputError(f"{folder / CHECKPOINT} belongs to another clip or settings: name another folder")
        trainer.load(stored["state"])
        return whole_number(stored["done"], "the steps that are done", 0, steps)

    done, saved = resume(folder, restore, "progressive training", 0), time.monotonic()
    while done < steps:
        source.drawn = done
        try:
            trainer.step(source, done / steps)
        except DivergedError as error:
            raise DivergedError(f"{error}: {last_good(folder)}") from error
        done += 1
        if time.monotonic() - saved > SAVE_SECONDS:
            save(folder, {"state": trainer.state(), "done": done, "of": belongs})
            saved = time.monotonic()
        yield done
    save(folder, {"state": trainer.state(), "done": done, "of": belongs})
