"""`videoinpaint inpaint --inpainter internal`: train on the whole clip for a budget, then paint all its frames."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from videoinpaint.errors import InputError

if TYPE_CHECKING:
    from videoinpaint.clips.files.sequences import FrameSequence
    from videoinpaint.inpainters.internal import Budget, Trainer
    from videoinpaint.inpainters.internal.clip import TrainingClip

SECONDS = 60.0
STEPS = 300  # of the coarsest level of high resolution


def repair_whole(
    frames: Iterable[Any],
    masks: Iterable[Any],
    *,
    device: str,
    seconds: float | None,
    steps: int | None,
    folder: Path | None,
) -> Iterator[Any]:
    """Repaired frames uint8 ``(H, W, 3)`` in order; known pixels as they were. Memory grows with the clip.

    Args:
        frames: uint8 ``(H, W, 3)`` each.
        masks: ``(H, W)`` each, anything but 0 is missing.
        device: as :func:`videoinpaint.envs.loop.resolve_device` takes it.
        seconds: of training; None for `SECONDS`, or for no bound where steps are given.
        steps: of training; None for no bound.
        folder: of the checkpoint, which is continued if it is there; None for none.

    Raises:
        InputError: a budget that is not positive, or a checkpoint of something else.
    """
    import torch

    from videoinpaint.envs.loop import check_size, resolve_device
    from videoinpaint.inpainters.internal import Budget, Internal, InternalInpainter, Trainer
    from videoinpaint.inpainters.internal.clip import TrainingClip
    from videoinpaint.inpainters.internal.trainer import crop_for

    budget = Budget(steps, SECONDS if seconds is None and steps is None else seconds)
    place = resolve_device(device)
    clip_frames, holes = np.stack(list(frames)), np.stack([np.asarray(m) != 0 for m in masks])
    check_size(InternalInpainter, *clip_frames.shape[1:3])  # type: ignore[arg-type]
    config = replace(Internal(), crop=crop_for(*clip_frames.shape[1:3]))
    shown = torch.from_numpy(clip_frames).permute(0, 3, 1, 2).to(place).float() / 255
    clip = TrainingClip(
        shown, torch.from_numpy(holes)[:, None].to(place).float(), config.start, config.pool, config.seed
    )
    trainer = Trainer(config, place)
    train_visibly(trainer, clip, budget, folder)
    painted = trainer.repair(clip).mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    yield from np.where(holes[..., None], painted, clip_frames)


def repair_progressively(
    frames: FrameSequence, masks: FrameSequence, *, steps: int | None, folder: Path | None
) -> Iterator[Any]:
    """Repaired frames uint8 ``(H, W, 3)`` of high resolution, on the CPU; memory holds the clip at the coarsest level.

    Args:
        frames: uint8 ``(H, W, 3)`` each, larger than 960x540.
        masks: ``(H, W)`` each, anything but 0 is missing.
        steps: of training at the coarsest level, a third at each further one; None for 300.
        folder: for the results of the levels, as PNG; None for a temporary one.

    Raises:
        InputError: frames that need no levels, or steps out of range.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from videoinpaint.inpainters.internal import highres

    first = STEPS if steps is None else steps
    if first < 1:
        raise InputError(f"steps must be at least 1, got {first}")
    height, width = frames.read(0, 1).shape[1:3]
    settings = highres.Progressive.of_size(height, width, (first, max(1, first // 3)))
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, disable=not console.is_terminal)
    with bar, tempfile.TemporaryDirectory() as temporary:
        task = bar.add_task("training", total=sum(settings.steps))

        def report(level: int, step: int) -> None:
            tall, wide = settings.sizes()[level]
            bar.update(task, completed=sum(settings.steps[:level]) + step, description=f"training, {wide}x{tall}")

        yield from highres.repair_progressively(frames, masks, folder or Path(temporary), settings, report)


def train_visibly(trainer: Trainer, clip: TrainingClip, budget: Budget, folder: Path | None) -> None:
    """Train under a live bar that shows the PSNR of held-out known pixels; a line at the end says where it came to."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from videoinpaint.inpainters.internal import train

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    last = None
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("training", total=1.0)
        for last in train(trainer, clip, budget, folder=folder):
            bar.update(task, completed=last.spent, description=f"step {last.steps}, held-out {last.psnr:.2f} dB")
    if last is None:
        print(f"training was finished already, in {folder}")
        return
    start = trainer.held_out(clip)
    print(f"trained {last.steps} steps: held-out known pixels {start['psnr']:.2f} dB, {start['start']:.2f} dB before")


def check_flags(inpainter: str, flags: dict[str, Any]) -> None:
    """Raise InputError for flags that only the internal inpainter has, or that exclude each other."""
    given = [f"--{name}" for name, value in flags.items() if value is not None and value is not False]
    if inpainter != "internal" and given:
        raise InputError(f"{', '.join(given)}: only with --inpainter internal, not {inpainter}")
    if flags.get("progressive") and flags.get("seconds") is not None:
        raise InputError("--seconds: not with --progressive, which counts steps: use --steps")
