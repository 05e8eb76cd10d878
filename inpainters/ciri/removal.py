"""Online residue removal (CIRI, Section 3.3, Eq. 8 to 10): a mask propagator is fine-tuned on the clip it works on.

Two losses pull on the propagator's masks, through the frozen inpainter and the frozen residue detector: what the repair
still shows of the target is to vanish (Eq. 9), and what the masks cut out is to look like the target of the first frame
(Eq. 8), which keeps them from simply growing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.errors import InputError
from videoinpaint.inpainters.ciri.contextual import contextual_similarity, conv3_2
from videoinpaint.inpainters.ciri.crops import SEARCH, bounding_boxes, crop, search_boxes, target_box
from videoinpaint.inpainters.ciri.residue import ResidueDetector, template_of
from videoinpaint.metrics.backbone import get_backbone
from videoinpaint.protocols import Tracker

RepairMasks = Callable[[Tensor, Tensor], Tensor]
"""The frozen inpainter: masks ``(n, 1, H, W)`` in [0, 1] of the frames ``(n,)``, the clip's first among them, to a
repair ``(n, 3, H, W)``, differentiable in the masks."""

SPAN = 32
"""Frames that are repaired together: gradients go through a repair of all of them, which bounds the memory."""


@dataclass(frozen=True)
class RemovalConfig:
    """How a propagator is fine-tuned. Defaults are the published numbers where there are any.

    Attributes:
        epochs: passes over the clip's frames.
        learning_rate: Adam's. 1e-6 is published for STCN (and is what `cutie` gets); see :data:`RATES` for ours.
        contextual_weight: lambda_cx of Eq. 10.
        residue_weight: lambda_res of Eq. 10.
        chunk: frames that one step of Adam sees; bounds the memory of detector and contextual loss.
        contextual_size: side of the crops whose features are compared, pixels; at least 32.
        bandwidth: h of the contextual loss.
        published_sums: sum both losses as printed, over pixels and frames. By default the residue map is summed and
            divided by the area of the target's box (1: a residue as large as the box), and both are averaged over
            frames, so that the two weights mean the same for every clip. Adam itself does not feel a common factor.
    """

    epochs: int = 2
    learning_rate: float = 1e-6
    contextual_weight: float = 0.1
    residue_weight: float = 1.0
    chunk: int = 4
    contextual_size: int = 64
    bandwidth: float = 0.5
    published_sums: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name, least in (("epochs", 1), ("chunk", 1), ("contextual_size", 32)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be {least} or more, got {getattr(self, name)}")
        if not (self.learning_rate > 0 and self.bandwidth > 0):
            raise InputError(
                f"learning_rate and bandwidth must be positive, got {self.learning_rate}, {self.bandwidth}"
            )
        if min(self.contextual_weight, self.residue_weight) < 0:
            raise InputError("the weights of the losses must not be negative")


RATES = {"appearance": 0.03, "cutie": 1e-6, "flow": 0.03, "internal": 1e-4}
"""Learning rates by propagator; others take the published one. Those of `flow` and `internal` were chosen on
training clips: docs/models/ciri-residue.md."""


def removal_config(propagator: str, **changes: float) -> RemovalConfig:
    """The configuration for a propagator by its name: the published one, with the rate of :data:`RATES`."""
    return replace(RemovalConfig(learning_rate=RATES.get(propagator, 1e-6)), **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class RemovalReport:
    """What fine-tuning did. Responses and losses are those of whole clips, normalised as `RemovalConfig` says.

    Attributes:
        tuned: whether any parameter was changed in the end.
        reason: why nothing was tuned; empty otherwise.
        parameters: how many numbers could be tuned.
        steps: of Adam.
        kept_epoch: whose state was kept, that of the lowest loss; 0 is the start.
        residue_before, residue_after: the residue loss (Eq. 9) at the start and of the state that was kept.
        loss_before, loss_after: the whole loss (Eq. 10), likewise.
        losses: the whole loss at the start and after every epoch.
        seconds: wall time.
    """

    tuned: bool
    reason: str = ""
    parameters: int = 0
    steps: int = 0
    kept_epoch: int = 0
    residue_before: float = float("nan")
    residue_after: float = float("nan")
    loss_before: float = float("nan")
    loss_after: float = float("nan")
    losses: tuple[float, ...] = field(default=())
    seconds: float = 0.0


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
    started, config = time.monotonic(), config or RemovalConfig()
    _check(frames, first)
    parameters = [p for p in tracker.parameters() if p.requires_grad]
    count = sum(p.numel() for p in parameters)
    if not parameters or len(frames) == 1:
        reason = "a clip of one frame has nothing to propagate" if parameters else "the tracker has no parameters"
        return RemovalReport(False, reason, count)
    objective = Objective(tracker, frames, first, repair, detector, config)
    original = [p.detach().clone() for p in parameters]
    best, rng = original, np.random.default_rng(seed)
    optimiser = torch.optim.Adam(parameters, lr=config.learning_rate)
    kept, steps = 0, 0
    try:
        history = [objective.measured()]
        for epoch in range(1, config.epochs + 1):
            for span in objective.spans:
                for chosen in np.array_split(rng.permutation(span), -(-len(span) // config.chunk)):
                    _step(objective, parameters, optimiser, span, torch.from_numpy(chosen))
                    steps += 1
            history.append(objective.measured())
            if history[-1][0] < history[kept][0]:
                best, kept = [p.detach().clone() for p in parameters], epoch
    except BaseException:
        _restore(parameters, original)
        raise
    _restore(parameters, best)
    return RemovalReport(
        tuned=kept > 0,
        reason="" if kept else "no epoch lowered the loss",
        parameters=count,
        steps=steps,
        kept_epoch=kept,
        residue_before=history[0][1],
        residue_after=history[kept][1],
        loss_before=history[0][0],
        loss_after=history[kept][0],
        losses=tuple(total for total, _ in history),
        seconds=time.monotonic() - started,
    )


class Objective:
    """Eq. 10 of one clip, as a function of the tracker's parameters.

    Where to look is decided once, from the masks before tuning: what is summed stays comparable.

    Attributes:
        spans: the frames after the first, in runs that are repaired together with it.
    """

    def __init__(
        self,
        tracker: Tracker,
        frames: Tensor,
        first: Tensor,
        repair: RepairMasks,
        detector: ResidueDetector,
        config: RemovalConfig,
    ) -> None:
        self.tracker, self.frames, self.repair, self.detector = tracker, frames, repair, detector
        self.config = config
        with torch.no_grad():
            masks = tracker.masks()
        if masks.shape != (len(frames), 1, *frames.shape[-2:]):
            raise InputError(f"the tracker's masks have shape {tuple(masks.shape)}, the frames {tuple(frames.shape)}")
        self.boxes = search_boxes(masks, first)
        self.template = template_of(frames[0], first)
        self.spans = spans_of(len(frames))
        self._backbone = get_backbone("vgg16", str(frames.device)) if config.contextual_weight else None
        target = crop((frames[0] * first)[None], target_box(first)[None], config.contextual_size)
        self._target = self._features(target)

    def repaired(self, masks: Tensor, span: NDArray[np.int64]) -> Tensor:
        """The frames of one of the spans, ``(n, 3, H, W)``, repaired after the masks of all frames."""
        together = torch.from_numpy(np.concatenate([[0], span]))
        return self.repair(masks[together], together)[1:]

    def terms(self, masks: Tensor, repaired: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """L_res and L_cx of the frames ``chosen (n,)``, each a sum over these frames.

        Args:
            masks: of all frames.
            repaired: of those that are chosen, ``(n, 3, H, W)``.
            chosen: indices; at least one.
        """
        boxes = self.boxes[chosen]
        maps = self.detector(self.template, crop(repaired, boxes, SEARCH)).sigmoid()
        maps = maps * _within(boxes, maps.shape[-1], *repaired.shape[-2:])
        if self.config.published_sums:
            residue = F.interpolate(maps, size=(SEARCH, SEARCH), mode="bilinear").sum()
        else:
            residue = maps.mean((1, 2, 3)).sum() * 4  # the box is a quarter of the search crop
        if not self.config.contextual_weight:
            return residue, residue.new_zeros(())
        # Twice the box of the search is halved again: the box of the predicted region itself.
        regions = _region_boxes(masks[chosen], boxes)
        predicted = crop(self.frames[chosen] * masks[chosen], regions, self.config.contextual_size)
        likeness = contextual_similarity(
            self._target.expand(len(chosen), -1, -1), self._features(predicted), self.config.bandwidth
        )
        return residue, -likeness.clamp_min(1e-8).log().sum()

    def total(self, residue: Tensor, contextual: Tensor, number: int) -> Tensor:
        """Eq. 10 from sums over `number` frames."""
        share = 1.0 if self.config.published_sums else 1.0 / number
        return (self.config.residue_weight * residue + self.config.contextual_weight * contextual) * share

    @torch.no_grad()
    def measured(self) -> tuple[float, float]:
        """The whole loss and its residue part over all frames but the first.

        Raises:
            InputError: the loss is not finite.
        """
        masks = self.tracker.masks()
        number, parts = len(self.frames) - 1, []
        for span in self.spans:
            repaired, size = self.repaired(masks, span).split(self.config.chunk), self.config.chunk
            chosen = torch.from_numpy(span).split(size)
            parts += [self.terms(masks, *part) for part in zip(repaired, chosen)]
        residue = torch.stack([part[0] for part in parts]).sum()
        total = self.total(residue, torch.stack([part[1] for part in parts]).sum(), number)
        _finite(total)
        return float(total), float(residue) / (1 if self.config.published_sums else number)

    def _features(self, pictures: Tensor) -> Tensor:
        """Phi: relu3_2 of ``(N, 3, s, s)`` as points ``(N, s / 4 * s / 4, 256)``."""
        if self._backbone is None:
            return pictures.new_zeros(len(pictures), 1, 1)
        return conv3_2(pictures, self._backbone)


def _region_boxes(masks: Tensor, fallback: Tensor) -> Tensor:
    """Rectangles of the predicted regions; where there is none, the middle half of the search box."""
    boxes, present = bounding_boxes(masks)
    quarter = (fallback[:, 2:] - fallback[:, :2]) / 4
    middle = torch.cat([fallback[:, :2] + quarter, fallback[:, 2:] - quarter], 1)
    return torch.where(present[:, None], boxes, middle)


def _within(boxes: Tensor, size: int, height: int, width: int) -> Tensor:
    """Which pixels of crops lie within the frame, ``(N, 1, size, size)``; what is beyond counts for nothing."""
    steps = (torch.arange(size, device=boxes.device) + 0.5) / size
    y, x = (boxes[:, i : i + 1] + steps * (boxes[:, i + 2 : i + 3] - boxes[:, i : i + 1]) for i in (0, 1))
    return (((x >= 0) & (x <= width))[:, None, None, :] & ((y >= 0) & (y <= height))[:, None, :, None]).float()


def spans_of(length: int, most: int = SPAN) -> list[NDArray[np.int64]]:
    """The frames after the first of a clip of ``length``, in runs of about equal length: with it, at most `most`."""
    return np.array_split(np.arange(1, length), -(-(length - 1) // (most - 1)))


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
        _finite(total)
        gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = gradient
    if not all(torch.isfinite(g).all() for g in gradients if g is not None):
        raise InputError("a gradient of residue removal is not finite: use a smaller learning rate")
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def _finite(total: Tensor) -> None:
    if not torch.isfinite(total):
        raise InputError(f"the loss of residue removal is {float(total)}: use a smaller learning rate")


def _check(frames: Tensor, first: Tensor) -> None:
    if frames.ndim != 4 or frames.shape[1] != 3 or not len(frames):
        raise InputError(f"frames must have shape (T, 3, H, W), got {tuple(frames.shape)}")
    if first.shape != (1, *frames.shape[-2:]):
        raise InputError(f"the first mask must have shape {(1, *frames.shape[-2:])}, got {tuple(first.shape)}")
    if not (first > 0.5).any():
        raise InputError("the target is absent from the first frame: mark it in a frame that shows it")


@torch.no_grad()
def _restore(parameters: list[nn.Parameter], values: list[Tensor]) -> None:
    for parameter, value in zip(parameters, values):
        parameter.copy_(value)
        parameter.grad = None
