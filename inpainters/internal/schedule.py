"""The schedule of internal training: two stages on a budget of steps or seconds, early stopping, checkpoints."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import vector_to_parameters

from videoinpaint.checkpoints import CHECKPOINT, alone, last_good, log, resume, save
from videoinpaint.errors import DivergedError, InputError
from videoinpaint.inpainters.internal import losses
from videoinpaint.inpainters.internal.clip import TrainingClip
from videoinpaint.inpainters.internal.trainer import Trainer

TOLERANCE = 0.3
"""How many dB of held-out PSNR the second stage may cost (the paper's Table 3 shows 0.15 and 0.28)."""


@dataclass(frozen=True)
class Budget:
    """How long to train: until the first of both is used up.

    Attributes:
        steps: optimiser steps; None for no bound. With steps alone, training repeats bit for bit.
        seconds: time on `clock`.
        clock: ``time.monotonic``, or ``time.process_time`` to count CPU seconds.
    """

    steps: int | None = None
    seconds: float | None = None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        if self.steps is None and self.seconds is None:
            raise InputError("a budget needs steps or seconds")
        if (self.steps is not None and self.steps < 1) or (self.seconds is not None and not self.seconds > 0):
            raise InputError(f"a budget must be positive, got {self.steps} steps and {self.seconds} seconds")

    def spent(self, steps: int, seconds: float) -> float:
        """The share that is used up, 0 to 1."""
        shares = [steps / self.steps if self.steps else 0.0, seconds / self.seconds if self.seconds else 0.0]
        return min(1.0, max(shares))


@dataclass(frozen=True)
class Progress:
    """Where training stands.

    Attributes:
        steps: so far.
        seconds: so far, earlier runs that were resumed included.
        spent: share of the budget, 0 to 1.
        psnr: of held-out known pixels, in dB, when they were last measured; NaN before.
        loss: the total, smoothed.
    """

    steps: int
    seconds: float
    spent: float
    psnr: float
    loss: float


@dataclass
class Run:
    """What a checkpoint holds besides the trainer's state.

    Attributes:
        seconds: so far.
        skipped: share of the budget that early stopping leaves out.
        best: highest held-out PSNR so far.
        stale: measurements of this stage since then.
        late: the second stage has begun.
        psnr: last measured.
        loss: smoothed.
    """

    seconds: float = 0.0
    skipped: float = 0.0
    best: float = -math.inf
    stale: int = 0
    late: bool = False
    psnr: float = math.nan
    loss: float = math.nan


def train(
    trainer: Trainer,
    clip: TrainingClip,
    budget: Budget,
    *,
    folder: Path | None = None,
    check_every: int = 50,
    patience: int = 8,
    save_seconds: float = 30.0,
) -> Iterator[Progress]:
    """Train step by step until the budget is used up. A stage whose held-out PSNR stops rising ends early.

    Afterwards the trainer holds the best weights of the first stage, or later ones of the second, which trades PSNR for
    texture and calm, unless they cost more than ``TOLERANCE``. What a network with a start begins with counts as well:
    it is the start itself.

    Args:
        trainer: changed in place.
        clip: what is learnt from.
        budget: how long.
        folder: for checkpoints and ``log.jsonl``; a checkpoint found there is continued. None for neither.
        check_every: steps between measurements of the held-out PSNR.
        patience: measurements without a gain after which a stage ends; 0 for never.
        save_seconds: wall time between checkpoints.

    Yields:
        the progress after every step.

    Raises:
        InputError: the folder's checkpoint belongs to other settings or another clip, or another training runs there.
        DivergedError: the loss or a weight is not finite.
    """
    if folder is None:
        yield from _train(trainer, clip, budget, None, check_every, patience, save_seconds)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        yield from _train(trainer, clip, budget, folder, check_every, patience, save_seconds)


def _train(
    trainer: Trainer,
    clip: TrainingClip,
    budget: Budget,
    folder: Path | None,
    check_every: int,
    patience: int,
    save_seconds: float,
) -> Iterator[Progress]:
    best = trainer.state()["weights"]
    run = Run()
    if folder is not None:
        run, best = _resumed(folder, trainer, clip, best)
    began, before, saved = budget.clock(), run.seconds, time.monotonic()
    if trainer.network.residual and math.isnan(run.psnr):
        best = _measured(trainer, clip, run, best, folder)

    def spent() -> float:
        run.seconds = before + budget.clock() - began
        share = budget.spent(trainer.steps, run.seconds) + run.skipped
        return 1.0 if share > 1 - 1e-9 else share

    over = spent() >= 1
    while not over:
        progress = spent()
        if trainer.config.is_late(progress) and not run.late:
            run.late, run.stale = True, 0
        try:
            terms = trainer.step(clip, progress)
        except DivergedError as error:
            raise DivergedError(f"{error}: {last_good(folder)}") from error
        total = float(losses.total(terms, trainer.config.weights))
        run.loss = total if math.isnan(run.loss) else 0.95 * run.loss + 0.05 * total
        over = spent() >= 1
        if over or trainer.steps % check_every == 0:
            best = _measured(trainer, clip, run, best, folder)
            if 0 < patience <= run.stale:
                until = 1.0 if run.late else 1 - trainer.config.second_stage
                run.skipped, run.stale = run.skipped + max(0.0, until - spent()), 0
                over = spent() >= 1
        if folder is not None and (over or time.monotonic() - saved > save_seconds):
            _save(folder, trainer, clip, run, best)
            saved = time.monotonic()
        share = spent()
        yield Progress(trainer.steps, run.seconds, share, run.psnr, run.loss)
    with torch.no_grad():
        vector_to_parameters(best.to(trainer.device).clone(), trainer.parameters)


def _measured(trainer: Trainer, clip: TrainingClip, run: Run, best: Tensor, folder: Path | None) -> Tensor:
    """Measure the held-out PSNR, and the best weights after that."""
    numbers = trainer.held_out(clip)
    run.psnr = numbers["psnr"]
    if folder is not None:
        log(folder, {"step": trainer.steps, "seconds": run.seconds, "loss": run.loss, **numbers})
    # NaN: nothing is hidden by that translation, so that later is better.
    higher = not run.psnr <= run.best
    run.best, run.stale = (run.psnr, 0) if higher else (run.best, run.stale + 1)
    return trainer.state()["weights"] if higher or (run.late and run.psnr > run.best - TOLERANCE) else best


def _identity(trainer: Trainer, clip: TrainingClip) -> str:
    """What a checkpoint belongs to: the settings and the clip."""
    known = [float(x.double().sum()) for x in (clip.frames, clip.holes)]
    return json.dumps([asdict(trainer.config), list(clip.frames.shape), known])


def _save(folder: Path, trainer: Trainer, clip: TrainingClip, run: Run, best: Tensor) -> None:
    state = {"state": trainer.state(), "best": best, "run": asdict(run), "of": _identity(trainer, clip)}
    save(folder, state, loose=("run",))


def _resumed(folder: Path, trainer: Trainer, clip: TrainingClip, best: Tensor) -> tuple[Run, Tensor]:
    """The run found in the folder, loaded into the trainer; a new one where there is none."""

    def restore(stored: dict[str, Any]) -> tuple[Run, Tensor]:
        run = Run(**stored["run"])
        if stored["of"] != _identity(trainer, clip):
            raise InputError(f"{folder / CHECKPOINT} belongs to another clip, mask or settings: name another folder")
        trainer.load(stored["state"])
        return run, stored["best"]

    return resume(folder, restore, "internal training", (Run(), best), loose=("run",))
