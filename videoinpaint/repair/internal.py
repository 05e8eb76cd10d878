"""`videoinpaint inpaint --inpainter internal`: train on the whole clip for a budget, then paint all its frames."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from videoinpaint.clips.files.sequences import FrameSequence
    from videoinpaint.inpainters.internal import Budget, Trainer
    from videoinpaint.inpainters.internal.clip import TrainingClip
    from videoinpaint.inpainters.internal.presets import Preset

SECONDS = 60.0


def repair_whole(
    frames: Iterable[Any],
    masks: Iterable[Any],
    settings: Preset,
    *,
    device: str,
    seconds: float | None = None,
    folder: Path | None = None,
) -> Iterator[Any]:
    """Repaired frames uint8 ``(H, W, 3)`` in order; known pixels as they were. Memory grows with the clip.

    Args:
        frames: uint8 ``(H, W, 3)`` each.
        masks: ``(H, W)`` each, anything but 0 is missing.
        settings: the network and its training.
        device: as :func:`videoinpaint.device.resolve_device` takes it.
        seconds: of training; None for `SECONDS`, or for no bound where the settings have steps.
        folder: of the checkpoint, which is continued if it is there; None for none.

    Raises:
        InputError: a budget that is not positive, or a checkpoint of something else.
    """
    import torch

    from videoinpaint.contract import check_size
    from videoinpaint.device import resolve_device
    from videoinpaint.inpainters.internal import Budget, InternalInpainter, Trainer
    from videoinpaint.inpainters.internal.clip import TrainingClip
    from videoinpaint.inpainters.internal.trainer import crop_for

    steps, config = settings.steps, settings.config
    budget = Budget(steps, SECONDS if seconds is None and steps is None else seconds)
    place = resolve_device(device)
    clip_frames, holes = np.stack(list(frames)), np.stack([np.asarray(m) != 0 for m in masks])
    check_size(InternalInpainter, *clip_frames.shape[1:3])  # type: ignore[arg-type]  # its class knows its sizes
    config = config if config.crop is None else replace(config, crop=crop_for(*clip_frames.shape[1:3]))
    shown = torch.from_numpy(clip_frames).permute(0, 3, 1, 2).to(place).float() / 255
    missing = torch.from_numpy(holes)[:, None].to(place).float()
    clip = TrainingClip(shown, missing, config.start, config.pool, config.seed, config.hidden)
    trainer = Trainer(config, place)
    train_visibly(trainer, clip, budget, folder, settings.patience)
    painted = trainer.repair(clip).mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    yield from np.where(holes[..., None], painted, clip_frames)


def repair_progressively(
    frames: FrameSequence, masks: FrameSequence, settings: Preset, *, device: str, folder: Path | None
) -> Iterator[Any]:
    """Repaired frames uint8 ``(H, W, 3)`` of high resolution; memory holds the clip at the coarsest level.

    Args:
        frames: uint8 ``(H, W, 3)`` each, larger than 960x540.
        masks: ``(H, W)`` each, anything but 0 is missing.
        settings: the network and its training.
        device: as :func:`videoinpaint.device.resolve_device` takes it.
        folder: of the levels' frames and checkpoints, gone on from if they are there; None for a temporary one.

    Raises:
        InputError: frames that need no levels.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from videoinpaint.device import resolve_device
    from videoinpaint.inpainters.internal import highres
    from videoinpaint.inpainters.internal.patches import Progressive as Levels

    height, width = frames.read(0, 1).shape[1:3]
    levels = Levels.of_size(height, width, settings.levels, settings.large, settings.detail)
    levels = replace(levels, patience=settings.patience)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, disable=not console.is_terminal)
    with bar, tempfile.TemporaryDirectory() as temporary:
        task = bar.add_task("training", total=sum(levels.steps))

        def report(level: int, step: int) -> None:
            tall, wide = levels.sizes()[level]
            bar.update(task, completed=sum(levels.steps[:level]) + step, description=f"training, {wide}x{tall}")

        yield from highres.repair_progressively(
            frames, masks, folder or Path(temporary), levels, report, resolve_device(device)
        )


def train_visibly(trainer: Trainer, clip: TrainingClip, budget: Budget, folder: Path | None, patience: int) -> None:
    """Train under a live bar that shows the PSNR of held-out known pixels; a line at the end says where it came to."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from videoinpaint.inpainters.internal import train

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    last = None
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("training", total=1.0)
        for last in train(trainer, clip, budget, folder=folder, patience=patience):
            bar.update(task, completed=last.spent, description=f"step {last.steps}, held-out {last.psnr:.2f} dB")
    if last is None:
        print(f"training was finished already, in {folder}")
        return
    start = trainer.held_out(clip)
    print(f"trained {last.steps} steps: held-out known pixels {start['psnr']:.2f} dB, {start['start']:.2f} dB before")
