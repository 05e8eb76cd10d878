"""What happens beside the learning: the learning curve, TensorBoard, the progress bar and checkpoints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Image

from videoinpaint.agents.ppo.view import TrainingView

PICTURES_EVERY = 10
"""Rollouts between before/after pictures in TensorBoard."""


class Recorder(BaseCallback):
    """Means over each rollout, to TensorBoard and to :attr:`curve`.

    ``rollout/return`` and ``rollout/quality`` (of the final repair) are of the episodes that ended, ``metrics/...`` are
    the raw terms after their last iteration, ``controls/...`` and ``gflops`` are over all steps;
    ``pictures/before_after`` shows one episode of the first environment.

    Args:
        curve: rows of an earlier part of the run.
        random_weights: the parts whose networks the infos of that part called untrained; this one's are added.
    """

    def __init__(self, curve: Sequence[dict[str, float]] = (), random_weights: Collection[str] = ()) -> None:
        super().__init__()
        self.curve: list[dict[str, float]] = list(curve)
        self.random_weights = set(random_weights)
        self._sums: dict[str, list[float]] = defaultdict(list)

    def _on_rollout_start(self) -> None:
        self._sums.clear()

    def _on_step(self) -> bool:
        for info, done in zip(self.locals["infos"], self.locals["dones"]):
            for name, value in info.get("controls", {}).items():
                self._sums[f"controls/{name}"].append(value)
            if info.get("random_weights"):
                self.random_weights.update(str(info["random_weights"]).split(", "))
            if "gflops" in info:
                self._sums["gflops"].append(info["gflops"])
            if done:
                self._sums["return"].append(info["episode"]["r"])
                self._sums["length"].append(info["episode"]["l"])
                if "quality" in info:
                    self._sums["quality"].append(info["quality"])
                for name, value in info.get("metrics", {}).items():
                    self._sums[f"metrics/{name}"].append(value)
        return True

    def _on_rollout_end(self) -> None:
        row = {name: float(np.mean(values)) for name, values in sorted(self._sums.items())}
        for name, value in row.items():
            self.logger.record(name if "/" in name else f"rollout/{name}", value)
        self.curve.append({"steps": self.num_timesteps, "episodes": len(self._sums["return"]), **row})
        view = self.training_env
        if isinstance(view, TrainingView) and view.pictures and len(self.curve) % PICTURES_EVERY == 1:
            picture = Image(np.concatenate(view.pictures, axis=1), "HWC")
            self.logger.record("pictures/before_after", picture, exclude=("stdout", "log", "json", "csv"))


class ProgressReport(BaseCallback):
    """Moves a live bar: steps, mean return of the last rollout, steps per second, time left.

    Args:
        progress: a running bar, from :func:`progress_bar`.
        total: steps of the whole run.
        on_progress: also told, after every rollout, the steps so far and the latest row of the curve.
    """

    def __init__(
        self, progress: Progress, total: int, recorder: Recorder, on_progress: Callable[[int, dict], None] | None = None
    ) -> None:
        super().__init__()
        self.progress, self.total, self.recorder, self.on_progress = progress, total, recorder, on_progress
        self._task: TaskID | None = None

    def _on_training_start(self) -> None:
        done = self.model.num_timesteps
        self._task = self.progress.add_task("training", total=self.total, completed=done, reward="-", rate="-")

    def _on_step(self) -> bool:
        assert self._task is not None
        self.progress.update(self._task, completed=min(self.num_timesteps, self.total), rate=self._rate())
        return True

    def _on_rollout_end(self) -> None:
        assert self._task is not None
        latest = self.recorder.curve[-1]
        self.progress.update(self._task, reward=f"{latest['return']:.3f}" if "return" in latest else "-")
        if self.on_progress is not None:
            self.on_progress(self.num_timesteps, dict(latest))

    def _rate(self) -> str:
        speed = self.progress.tasks[0].speed if self.progress.tasks else None
        return f"{speed:.1f}" if speed else "-"


class Checkpointer(BaseCallback):
    """Saves between rollouts, every so many steps, and at the end.

    Args:
        save: writes a checkpoint.
        every: steps between checkpoints; 0 for the last one only.
    """

    def __init__(self, save: Callable[[], Any], every: int) -> None:
        super().__init__()
        self.save, self.every = save, every
        self._saved = 0

    def _on_training_start(self) -> None:
        self._saved = self.model.num_timesteps

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        # The updates of the last rollout are done and nothing of the next one has been drawn.
        if self.every and self.model.num_timesteps - self._saved >= self.every:
            self._save()

    def _on_training_end(self) -> None:
        if self.model.num_timesteps > self._saved:
            self._save()

    def _save(self) -> None:
        self._saved = self.model.num_timesteps
        self.save()


def progress_bar(enabled: bool = True) -> Progress:
    """The live bar of a training run."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("return {task.fields[reward]}"),
        TextColumn("{task.fields[rate]} steps/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not enabled,
    )
