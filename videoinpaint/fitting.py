"""One resumable training loop for every network that is fitted by gradient descent.

Iteration i draws all its randomness from ``default_rng([seed, i])``, so that a resumed run sees exactly what an
uninterrupted one sees, and a checkpoint needs no generator states.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from videoinpaint.checkpoints import CHECKPOINT, alone, check_same, last_good, load_optimiser, log, resume, save
from videoinpaint.checks import real_number, seed_number, whole_number
from videoinpaint.errors import DivergedError
from videoinpaint.naming import plain
from videoinpaint.signals import HeldBack

LossFunction = Callable[[np.random.Generator], tuple[Tensor, dict[str, float]]]


@dataclass(frozen=True)
class FitConfig:
    """How a network is fitted.

    Attributes:
        folder: where checkpoint and log go; a checkpoint found there is continued.
        iterations: optimiser steps of the whole schedule.
        learning_rate: peak of a cosine with linear warm-up.
        warmup: iterations of the warm-up.
        steps: iterations at which the rate falls to `factor` of what it was, in place of the cosine; none: the cosine.
        factor: see `steps`.
        betas: AdamW's decay of first and second moments.
        weight_decay: AdamW's.
        clip: gradient norm bound.
        average: decay of the exponential moving average of the weights, which is what training returns.
        seed: of everything random.
        save_seconds: wall time between checkpoints.
        log_every: iterations between lines of the log.
        progress: show a live bar.
        settings: what else decides the result, by name, as JSON has it: a checkpoint of others is refused.
        faster: parameters, by the ends of their names -> so many times the learning rate. Adam moves a number by at
            most the rate a step, which a lone scalar may find too little.

    Raises:
        InputError: a value out of its range.
    """

    folder: Path
    iterations: int = 5000
    learning_rate: float = 5e-4
    warmup: int = 100
    weight_decay: float = 1e-4
    clip: float = 1.0
    average: float = 0.998
    seed: int = 0
    steps: tuple[int, ...] = ()
    factor: float = 0.1
    betas: tuple[float, float] = (0.9, 0.999)
    save_seconds: float = 120.0
    log_every: int = 50
    progress: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    faster: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, low in (("iterations", 1), ("warmup", 0), ("log_every", 1)):
            whole_number(getattr(self, name), name, low, 10**9)
        seed_number(self.seed)
        real_number(self.clip, "clip", 0, 1e6, above=True)
        real_number(self.factor, "factor", 0, 1, above=True)
        for step in self.steps:
            whole_number(step, "steps", 1, 10**9)
        for beta in self.betas:
            real_number(beta, "betas", 0, 1)
        for name, high in (("learning_rate", 1.0), ("weight_decay", 10.0), ("average", 1.0), ("save_seconds", 1e9)):
            real_number(getattr(self, name), name, 0, high)
        for end, times in self.faster.items():
            real_number(times, f"faster[{end!r}]", 0, 1e6)

    def decisive(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON has it."""
        names = ("iterations", "learning_rate", "warmup", "weight_decay", "clip", "average", "seed")
        known = {name: getattr(self, name) for name in names}
        # Checkpoints from before these existed go on: what was the only way is not told.
        known |= {"steps": self.steps, "factor": self.factor} if self.steps else {}
        known |= {"betas": self.betas} if self.betas != (0.9, 0.999) else {}
        known |= {"faster": dict(self.faster)} if self.faster else {}
        return plain(known | dict(self.settings))

    def rate(self, iteration: int) -> float:
        """The learning rate of an iteration."""
        warm = min(1.0, (iteration + 1) / max(self.warmup, 1))
        if self.steps:
            return self.learning_rate * warm * self.factor ** sum(iteration >= step for step in self.steps)
        return self.learning_rate * warm * along_cosine(iteration, self.iterations)


def along_cosine(done: float, whole: float, left: float = 0.02) -> float:
    """The share of a learning rate after ``done`` of ``whole``: it falls from 1 to ``left`` along half a cosine."""
    return left + (1 - left) * (0.5 * (1 + math.cos(math.pi * done / whole)))


def fit(
    network: nn.Module,
    loss: LossFunction,
    config: FitConfig,
    evaluate: Callable[[nn.Module], Mapping[str, float]] | None = None,
    evaluate_every: int = 500,
    before: Callable[[int], None] | None = None,
) -> nn.Module:
    """Fit ``network`` in place and load it with the averaged weights at the end.

    Ctrl-C, and a signal that a handler in Python turns into an exception, waits for the end of the step and for a
    checkpoint of it; a second one ends at once. The same call then goes on to the same weights.

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
        InputError: another training runs in the folder, or its checkpoint is of another network or of other settings.
        DivergedError: the loss, a gradient or a weight is not finite; the checkpoint is from before.
    """
    whole_number(evaluate_every, "evaluate_every", 1, 10**9)
    config.folder.mkdir(parents=True, exist_ok=True)
    with alone(config.folder):
        return _fit(network, loss, config, evaluate, evaluate_every, before)


def _fit(
    network: nn.Module,
    loss: LossFunction,
    config: FitConfig,
    evaluate: Callable[[nn.Module], Mapping[str, float]] | None,
    evaluate_every: int,
    before: Callable[[int], None] | None,
) -> nn.Module:
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        _groups(network, config.faster), lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay
    )
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    start = _resume(network, optimiser, average, config)
    saved, shown = time.monotonic(), {"loss": math.nan}
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bars = Progress(*columns, console=Console(stderr=True), disable=not config.progress)
    with bars as bar, HeldBack() as signals:
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
            if done == config.iterations or signals.waits or time.monotonic() - saved > config.save_seconds:
                _save(config, network, optimiser, average, done)
                saved = time.monotonic()
                _end_if_asked(signals, config, done)
    network.load_state_dict(average)
    return network.eval()


def _end_if_asked(signals: HeldBack, config: FitConfig, done: int) -> None:
    """After a checkpoint was written: let a signal interrupt that came meanwhile, which then says what is kept."""
    try:
        signals.let_go()
    except KeyboardInterrupt as error:
        kept = f"{done} of {config.iterations} iterations are kept in {config.folder / CHECKPOINT}"
        error.add_note(f"{kept}: the same settings go on from there")
        raise


def _groups(network: nn.Module, faster: Mapping[str, float]) -> list[dict[str, Any]]:
    """What the optimiser gets: one group of all that learns, and one for each of those that are faster."""
    named = {name: p for name, p in network.named_parameters() if p.requires_grad}
    found = {end: [name for name in named if name.endswith(end)] for end in faster}
    taken = {name for names in found.values() for name in names}
    groups: list[dict[str, Any]] = [{"params": [p for name, p in named.items() if name not in taken]}]
    return groups + [
        {"params": [named[name] for name in names], "times": faster[end]} for end, names in found.items() if names
    ]


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
    for group in optimiser.param_groups:
        group["lr"] = config.rate(iteration) * group.get("times", 1.0)
    rng = np.random.default_rng([config.seed, iteration])
    torch.manual_seed(int(rng.integers(2**31)))
    value, scalars = loss(rng)
    check_loss(value, config.folder, iteration)
    optimiser.zero_grad(set_to_none=True)
    value.backward()
    length = nn.utils.clip_grad_norm_(parameters, config.clip)
    check_loss(length, config.folder, iteration, "length of the gradient")
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
        check_same(config.folder, json.loads(stored["settings"]), config.decisive())
        iteration = whole_number(stored["iteration"], "the iteration", 0, config.iterations)
        network.load_state_dict(stored["network"])
        load_optimiser(optimiser, stored["optimiser"])
        for key, value in stored["average"].items():
            average[key].copy_(value)
        return iteration

    return resume(config.folder, restore, "this network", 0)


def _save(
    config: FitConfig, network: nn.Module, optimiser: torch.optim.Optimizer, average: dict[str, Tensor], iteration: int
) -> None:
    state = {
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "average": average,
        "iteration": iteration,
        "settings": json.dumps(config.decisive()),
    }
    save(config.folder, state)


def check_loss(value: Tensor, folder: Path, iteration: int, what: str = "training loss") -> None:
    """Stop a training that has left the numbers.

    Raises:
        DivergedError: the value is not finite.
    """
    number = float(value.detach())
    if not math.isfinite(number):
        raise DivergedError(f"the {what} is {number} at iteration {iteration}: {last_good(folder)}")
