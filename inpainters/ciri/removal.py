"""Online residue removal (CIRI, Section 3.3, Eq. 8 to 10): a mask propagator is fine-tuned on the clip it works on.

Two losses pull on the propagator's masks, through the frozen inpainter and the frozen residue detector: what the repair
still shows of the target is to vanish (Eq. 9), and what the masks cut out is to look like the target of the first frame
(Eq. 8), which keeps them from simply growing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from videoinpaint.errors import InputError
from videoinpaint.inpainters.ciri.removal_config import RemovalConfig
from videoinpaint.inpainters.ciri.removal_objective import Objective, RepairMasks
from videoinpaint.inpainters.ciri.residue import ResidueDetector
from videoinpaint.protocols import Tracker


@dataclass(frozen=True)
class RemovalReport:
    """What fine-tuning did, by losses of the whole clip, normalised as `RemovalConfig` says.

    Attributes:
        reason: why nothing was tuned; empty otherwise.
        kept_epoch: whose state was kept, that of the lowest loss; 0 is the start.
        losses: Eq. 10 at the start and after every epoch; empty where there was nothing to tune.
        residues: the residue loss in it (Eq. 9), likewise.
    """

    reason: str = ""
    kept_epoch: int = 0
    losses: tuple[float, ...] = ()
    residues: tuple[float, ...] = ()

    @property
    def tuned(self) -> bool:
        """Whether any parameter was changed in the end."""
        return self.kept_epoch > 0


def remove_residues(
    tracker: Tracker,
    frames: Tensor,
    first: Tensor,
    repair: RepairMasks,
    detector: ResidueDetector,
    config: RemovalConfig | None = None,
    seed: int = 0,
) -> RemovalReport:
    """Fine-tune a tracker's parameters on its clip until its masks leave less of the target; nothing else changes.

    After every epoch the loss of the whole clip is measured, and the state with the lowest one is kept: at worst that
    of the start. If anything fails, the parameters are what they were before.

    Args:
        tracker: whose ``parameters()`` are tuned; with none, there is nothing to do.
        frames: X ``(T, 3, H, W)`` in [0, 1], the target included.
        first: ``(1, H, W)`` in {0, 1}, the target in the first frame.
        repair: the frozen inpainter.
        detector: see :func:`videoinpaint.inpainters.ciri.residue.load_residue_detector`.
        config: the published settings by default.
        seed: of the order in which the frames are taken.

    Raises:
        InputError: the target is absent from the first frame; shapes disagree; the masks carry no gradients; the loss
            is not finite.
    """
    config = config or RemovalConfig()
    _check(frames, first)
    parameters = [p for p in tracker.parameters() if p.requires_grad]
    if not parameters:
        return RemovalReport("the propagator has no parameters; flow, appearance, internal and cutie have some")
    if len(frames) == 1:
        return RemovalReport("a clip of one frame has nothing to propagate")
    objective = Objective(tracker, frames, first, repair, detector, config)
    original = _copied(parameters)
    try:
        report, best = _lowered(objective, parameters, seed)
    except BaseException:
        _restore(parameters, original)
        raise
    _restore(parameters, best)
    return report


def _lowered(objective: Objective, parameters: list[nn.Parameter], seed: int) -> tuple[RemovalReport, list[Tensor]]:
    """Run all epochs; what they did, and the parameters of the lowest loss."""
    config, rng = objective.config, np.random.default_rng(seed)
    optimiser = torch.optim.Adam(parameters, lr=config.learning_rate)
    history, best, kept = [objective.measured()], _copied(parameters), 0
    for epoch in range(1, config.epochs + 1):
        for span in objective.spans:
            for chosen in np.array_split(rng.permutation(span), -(-len(span) // config.chunk)):
                _step(objective, parameters, optimiser, span, torch.from_numpy(chosen))
        history.append(objective.measured())
        if history[-1][0] < history[kept][0]:
            best, kept = _copied(parameters), epoch
    losses, residues = zip(*history)
    return RemovalReport("" if kept else "no epoch lowered the loss", kept, losses, residues), best


def _step(
    objective: Objective,
    parameters: list[nn.Parameter],
    optimiser: torch.optim.Adam,
    span: NDArray[np.int64],
    chosen: Tensor,
) -> None:
    """One step of Adam on some frames of a span; gradients of nothing but the parameters are ever kept."""
    with torch.enable_grad():
        masks = objective.tracker.masks()
        if not masks.requires_grad:
            raise InputError("the tracker has parameters, but its masks carry no gradients: it cannot be fine-tuned")
        repaired = objective.repaired(masks, span)[chosen - int(span[0])]
        residue, contextual = objective.terms(masks, repaired, chosen)
        total = objective.total(residue, contextual, len(chosen))
        gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = gradient
    if not all(torch.isfinite(g).all() for g in gradients if g is not None):
        raise InputError("a gradient of residue removal is not finite: use a smaller learning rate")
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def _check(frames: Tensor, first: Tensor) -> None:
    if frames.ndim != 4 or frames.shape[1] != 3 or not len(frames):
        raise InputError(f"frames must have shape (T, 3, H, W), got {tuple(frames.shape)}")
    if first.shape != (1, *frames.shape[-2:]):
        raise InputError(f"the first mask must have shape {(1, *frames.shape[-2:])}, got {tuple(first.shape)}")
    if not (first > 0.5).any():
        raise InputError("the target is absent from the first frame: mark it in a frame that shows it")


def _copied(parameters: list[nn.Parameter]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


@torch.no_grad()
def _restore(parameters: list[nn.Parameter], values: list[Tensor]) -> None:
    for parameter, value in zip(parameters, values):
        parameter.copy_(value)
        parameter.grad = None
