"""One resumable training loop for every network that is fitted by gradient descent.

Iteration i draws all its randomness from ``default_rng([seed, i])``, so that a resumed run sees exactly what an
uninterrupted one sees, and a checkpoint needs no generator states.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from videoinpaint.checks import find_unusable
from videoinpaint.errors import InputError
from videoinpaint.files import write_atomically

CHECKPOINT = "checkpoint.pt"
Result = TypeVar("Result")
LossFunction = Callable[[np.random.Generator], tuple[Tensor, dict[str, float]]]


@dataclass(frozen=True)
class FitConfig:
    """How a network is fitted.

    Attributes:
        folder: where checkpoint and log go; a checkpoint found there is continued.
        iterations: optimiser steps of the whole schedule.
        learning_rate: peak of a cosine with linear warm-up.
        warmup: iterations of the warm-up.
        weight_decay: AdamW's.
        clip: gradient norm bound.
        average: decay of the exponential moving average of the weights, which is what training returns.
        seed: of everything random.
        save_seconds: wall time between checkpoints.
        log_every: iterations between lines of the log.
        progress: show a live bar.
    """

    folder: Path
    iterations: int = 5000
    learning_rate: float = 5e-4
    warmup: int = 100
    weight_decay: float = 1e-4
    clip: float = 1.0
    average: float = 0.998
    seed: int = 0
    save_seconds: float = 120.0
    log_every: int = 50
    progress: bool = True


def fit(
    network: nn.Module,
    loss: LossFunction,
    config: FitConfig,
    evaluate: Callable[[nn.Module], Mapping[str, float]] | None = None,
    evaluate_every: int = 500,
    before: Callable[[int], None] | None = None,
) -> nn.Module:
    """Fit ``network`` in place and load it with the averaged weights at the end.

    Args:
        network: what is trained; parameters without gradients stay as they are.
        loss: draws a batch from the generator it is given, returns the loss and scalars to log.
        config: see :class:`FitConfig`.
        evaluate: called with the network (averaged weights loaded) now and then; its numbers go to the log.
        evaluate_every: iterations between evaluations.
        before: called with the index of every iteration before its loss is drawn: how a curriculum knows the time.

    Returns:
        the network, with averaged weights, in evaluation mode.

    Raises:
        InputError: the folder's checkpoint is of another network, or the loss is not finite.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    start = _resume(network, optimiser, average, config)
    saved, shown = time.monotonic(), {"loss": math.nan}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not config.progress) as bar:
        task = bar.add_task(config.folder.name, total=config.iterations, completed=start)
        for iteration in range(start, config.iterations):
            network.train()
            if before is not None:
                before(iteration)
            shown = _step(network, parameters, optimiser, average, loss, config, iteration, shown)
            done = iteration + 1
            bar.update(task, completed=done, description=f"{config.folder.name} loss {shown['loss']:.4f}")
            if done % config.log_every == 0:
                log(config.folder, {"iteration": done, **shown})
            if evaluate is not None and done % evaluate_every == 0:
                log(config.folder, {"iteration": done, **_evaluated(network, average, evaluate)})
            if done == config.iterations or time.monotonic() - saved > config.save_seconds:
                _save(config.folder, network, optimiser, average, done)
                saved = time.monotonic()
    network.load_state_dict(average)
    return network.eval()


def _step(
    network: nn.Module,
    parameters: list[nn.Parameter],
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
    loss: LossFunction,
    config: FitConfig,
    iteration: int,
    shown: dict[str, float],
) -> dict[str, float]:
    warm = min(1.0, (iteration + 1) / max(config.warmup, 1))
    cosine = 0.5 * (1 + math.cos(math.pi * iteration / config.iterations))
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * warm * (0.02 + 0.98 * cosine)
    rng = np.random.default_rng([config.seed, iteration])
    torch.manual_seed(int(rng.integers(2**31)))
    value, scalars = loss(rng)
    if not torch.isfinite(value):
        raise InputError(f"the training loss is {value.item()} at iteration {iteration}: lower the learning rate")
    optimiser.zero_grad(set_to_none=True)
    value.backward()
    nn.utils.clip_grad_norm_(parameters, config.clip)
    optimiser.step()
    decay = min(config.average, (iteration + 1) / (iteration + 10))
    with torch.no_grad():
        for key, current in network.state_dict().items():
            if current.is_floating_point():
                average[key].lerp_(current, 1 - decay)
            else:
                average[key].copy_(current)
    new = {"loss": float(value.detach()), **scalars}
    return {k: v if math.isnan(shown.get(k, math.nan)) else 0.95 * shown[k] + 0.05 * v for k, v in new.items()} | {
        k: v for k, v in shown.items() if k not in new and not math.isnan(v)
    }


def _evaluated(
    network: nn.Module, average: dict[str, Tensor], evaluate: Callable[[nn.Module], Mapping[str, float]]
) -> dict[str, float]:
    current = {k: v.detach().clone() for k, v in network.state_dict().items()}
    network.load_state_dict(average)
    network.eval()
    with torch.no_grad():
        numbers = dict(evaluate(network))
    network.load_state_dict(current)
    return numbers


def _resume(network: nn.Module, optimiser: torch.optim.Optimizer, average: dict[str, Tensor], config: FitConfig) -> int:
    def restore(stored: dict[str, Any]) -> int:
        network.load_state_dict(stored["network"])
        optimiser.load_state_dict(stored["optimiser"])
        for key, value in stored["average"].items():
            average[key].copy_(value)
        return int(stored["iteration"])

    return resume(config.folder, restore, "this network", 0)


def _save(
    folder: Path, network: nn.Module, optimiser: torch.optim.Optimizer, average: dict[str, Tensor], iteration: int
) -> None:
    state = {
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "average": average,
        "iteration": iteration,
    }
    save(folder, state)


def save(folder: Path, state: Mapping[str, Any]) -> None:
    """Write the checkpoint of a folder: tensors and plain values."""
    with write_atomically(folder / CHECKPOINT) as draft:
        torch.save(state, draft)


def resume(
    folder: Path,
    restore: Callable[[dict[str, Any]], Result],
    owner: str,
    fresh: Result,
    plain: Collection[str] = (),
) -> Result:
    """Go on from the checkpoint of a folder, which is made if it is not there.

    Args:
        folder: of the run.
        restore: gets what :func:`save` was given; where to go on from.
        owner: whose checkpoint it must be, for the message.
        fresh: where to begin without a checkpoint.
        plain: entries in which a number may stand for "not measured yet" by not being finite.

    Raises:
        InputError: the file is damaged, holds values that are not finite, or ``restore`` cannot use it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CHECKPOINT
    if not path.exists():
        return fresh
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        if wrong := find_unusable({key: value for key, value in stored.items() if key not in plain}):
            raise ValueError(wrong)
        return restore(stored)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path} is not a checkpoint of {owner} ({error}): name another folder") from error


def log(folder: Path, numbers: Mapping[str, float]) -> None:
    """Add a line to ``log.jsonl`` of a folder."""
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in numbers.items()}) + "\n")
