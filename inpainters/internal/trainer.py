"""Training on one clip, step by step: settings, network, optimiser, one step, painting.

`videoinpaint.fitting.fit` trains networks that ship; here the weights belong to an episode, travel in its state, and
the budget may be a time. The idea is the same: step i draws all its randomness from ``default_rng([seed, i])``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, parameters_to_vector, vector_to_parameters

from videoinpaint.checks import MAX_COUNT, MAX_SIDE, real_number, shown, whole_number
from videoinpaint.errors import DivergedError, InputError
from videoinpaint.fitting import along_cosine
from videoinpaint.inpainters.internal import losses
from videoinpaint.inpainters.internal.clip import HIDDEN, STARTS, Examples, Source, TrainingClip
from videoinpaint.inpainters.internal.networks import ARCHS, InternalNetwork
from videoinpaint.metrics.backbone import Backbone, get_backbone
from videoinpaint.protocols import State
from videoinpaint.weights import build_seeded

PAPER_WEIGHTS = (1.0, 0.1, 0.2)
"""Of reconstruction, ambiguity and stabilisation (Appendix A.3)."""


@dataclass(frozen=True)
class Internal:
    """The network and how it is trained. The defaults suit a minute on two cores; :data:`PAPER` is the publication's.

    Attributes:
        arch: "base", "stacked" or "coarse-to-fine".
        width: factor on inner channels; 1 is the paper's.
        start: what holes hold at the input, one of ``STARTS``; the network corrects it, unless it is "none".
        learning_rate: Adam's, at the start of a budget.
        decay: share of it that is left at the end of the budget (a cosine in between); 1 keeps it constant.
        second_stage: share of the budget, at its end, that adds ambiguity and stabilisation.
        weights: of reconstruction, ambiguity and stabilisation.
        focus: weight of hidden known pixels in the reconstruction loss; the others have 1.
        batch: frames a step.
        crop: height and width of what a step sees; None for whole frames.
        mirror: show half of the batches left to right.
        pool: translations prepared beforehand, where the start is not "none".
        backbone: "vgg16" or "alex", of the ambiguity loss.
        patch: side of the square, around a hidden point of each frame, in which the ambiguity loss compares features:
            VGG is heavy. None for all that a step sees, as published.
        hidden: what hides known pixels in training: "moved", the clip's own masks moved, as published, or
            "free-form", random brush strokes (Figure 10).
        seed: of everything random.
    """

    arch: str = "base"
    width: float = 0.25
    start: str = "propagation"
    learning_rate: float = 1e-3
    decay: float = 0.02
    second_stage: float = 0.25
    weights: tuple[float, float, float] = PAPER_WEIGHTS
    focus: float = 4.0
    batch: int = 1
    crop: tuple[int, int] | None = (72, 96)
    mirror: bool = True
    pool: int = 8
    backbone: str = "vgg16"
    patch: int | None = 48
    hidden: str = "moved"
    seed: int = 0

    def check(self) -> None:
        """Raise InputError for a setting out of range."""
        for name, known in (("arch", ARCHS), ("start", STARTS), ("hidden", HIDDEN)):
            if getattr(self, name) not in known:
                raise InputError(f"{name} is one of {', '.join(known)}, got {shown(getattr(self, name))}")
        real_number(self.width, "width", 0, 4, above=True)
        real_number(self.learning_rate, "learning_rate", 0, 1, above=True)
        for name in ("decay", "second_stage"):
            real_number(getattr(self, name), name, 0, 1)
        for name in ("batch", "pool"):
            whole_number(getattr(self, name), name, 1, MAX_COUNT)
        if self.patch is not None:
            whole_number(self.patch, "patch", 16, MAX_SIDE)
        for name, value in (("focus", self.focus), *(("weights", weight) for weight in self.weights)):
            real_number(value, name, 0, 1e9)

    def is_late(self, progress: float) -> bool:
        """Whether a step that begins at this share of the budget, 0 to 1, belongs to the second stage."""
        return progress >= 1 - self.second_stage

    def network(self) -> InternalNetwork:
        """A fresh network; the same seed gives the same weights."""
        residual = self.start != "none"
        return build_seeded(lambda: InternalNetwork(self.arch, self.width, residual=residual), self.seed)


PAPER = Internal("coarse-to-fine", 1.0, "none", 2e-4, 1.0, 0.25, focus=1.0, crop=None, mirror=False, patch=None)
"""Appendix A.1 and A.2; its budget is in :mod:`videoinpaint.inpainters.internal.presets`."""


def crop_for(height: int, width: int) -> tuple[int, int]:
    """A step's crop for frames of this size: `Internal.crop` up to 216x120, and as large a share of larger frames."""
    return max(72, round(0.6 * height)), max(96, round(4 / 9 * width))


class Trainer:
    """A network, its optimiser and the number of steps so far.

    Args:
        config: see :class:`Internal`.
        device: where it computes.
    """

    def __init__(self, config: Internal, device: str | torch.device = "cpu") -> None:
        config.check()
        self.config, self.device = config, torch.device(device)
        self.network = config.network().to(self.device)
        self.parameters = list(self.network.parameters())
        self.optimiser = torch.optim.Adam(self.parameters, lr=config.learning_rate)
        self.steps = 0

    def state(self) -> State:
        """Weights and Adam's two moments as vectors ``(P,)``, and the step count, a scalar."""
        moments = [self.optimiser.state.get(p, {}) for p in self.parameters]
        empty = [torch.zeros_like(p) for p in self.parameters]
        first = [m.get("exp_avg", e) for m, e in zip(moments, empty)]
        second = [m.get("exp_avg_sq", e) for m, e in zip(moments, empty)]
        vectors = (parameters_to_vector(self.parameters).detach(), *map(parameters_to_vector, (first, second)))
        return dict(zip(("weights", "first", "second"), vectors)) | {"steps": torch.tensor(self.steps)}

    def load(self, state: State) -> None:
        """The inverse of :meth:`state`; what is given is copied.

        Raises:
            InputError: it belongs to another network.
        """
        count = sum(p.numel() for p in self.parameters)
        if state["weights"].shape != (count,):
            raise InputError(f"these weights are {len(state['weights'])} numbers, the network has {count}")
        with torch.no_grad():
            vector_to_parameters(state["weights"].to(self.device).clone(), self.parameters)
        self.steps = int(state["steps"])
        pieces = [state[name].to(self.device).clone() for name in ("first", "second")]
        offset = 0
        for p in self.parameters:
            first, second = (piece[offset : offset + p.numel()].view_as(p) for piece in pieces)
            step = torch.tensor(float(self.steps))
            self.optimiser.state[p] = {"step": step, "exp_avg": first, "exp_avg_sq": second}
            offset += p.numel()

    def step(
        self,
        clip: Source,
        progress: float,
        flagged: Tensor | None = None,
        weights: tuple[float, float, float] | None = None,
    ) -> dict[str, float]:
        """One step of Adam.

        Args:
            clip: what is learnt from.
            progress: 0 to 1, the share of the budget used up: decides the learning rate and the stage.
            flagged: M_{n-1}; see :meth:`TrainingClip.draw`.
            weights: of the three losses, instead of the configuration's.

        Returns:
            the losses by name.

        Raises:
            DivergedError: the loss or its gradient is not finite; the weights are as before.
        """
        c = self.config
        for group in self.optimiser.param_groups:
            group["lr"] = c.learning_rate * along_cosine(progress, 1, c.decay)
        rng = np.random.default_rng([c.seed, self.steps])
        batch = clip.draw(rng, c.batch, flagged, c.crop, c.mirror)
        with torch.enable_grad():
            terms = self._losses(batch, rng, weights or c.weights if c.is_late(progress) else ())
            total = losses.total(terms, weights or c.weights)
            self.optimiser.zero_grad(set_to_none=True)
            total.backward()
        length = clip_grad_norm_(self.parameters, 1.0)
        if not (torch.isfinite(total) and torch.isfinite(length)):
            raise DivergedError(f"the internal loss or its gradient is not finite at step {self.steps}")
        self.optimiser.step()
        self.steps += 1
        return {name: float(value.detach()) for name, value in terms.items()}

    def _losses(self, batch: Examples, rng: np.random.Generator, weights: Sequence[float]) -> dict[str, Tensor]:
        """The losses by name; of the two regularisations, those that ``weights`` has and that count."""
        c = self.config
        truth = signed(batch.frames)
        outputs = self.network(signed(batch.start), batch.union, batch.trust)
        weight = None if c.focus == 1 else 1 + (c.focus - 1) * batch.focus
        terms = {"reconstruction": losses.reconstruction(outputs, truth, batch.holes, weight)}
        wanted = [name for name, weight in zip(losses.NAMES, weights) if weight]
        if "ambiguity" in wanted:
            terms["ambiguity"] = self._ambiguity(outputs[-1], batch, rng)
        if "stabilisation" not in wanted:
            return terms
        change = losses.draw_change(rng, len(truth), *truth.shape[-2:]).to(truth)
        moved_holes = change.masks(batch.union)
        unknown = torch.maximum(batch.holes, change.masks(batch.holes))
        changed = self.network(signed(change.frames(batch.start)), moved_holes, change.soft_masks(batch.trust))
        seen = signed(change.frames(batch.frames))
        terms["stabilisation"] = losses.stabilisation(outputs, changed, truth, seen, unknown)
        return terms

    def _ambiguity(self, output: Tensor, batch: Examples, rng: np.random.Generator) -> Tensor:
        """The ambiguity loss of every frame of the batch, whole or in a square around a point that is hidden."""
        painted = (output + 1) / 2
        if self.config.patch is None:
            return losses.ambiguity(painted, batch.other, batch.other_holes, self._backbone)
        found = []
        for item, union in enumerate(batch.union):
            cut = (slice(item, item + 1), slice(None), *_square(union[0], self.config.patch, rng))
            found.append(losses.ambiguity(painted[cut], batch.other[cut], batch.other_holes[cut], self._backbone))
        return torch.stack(found).mean()

    @property
    def _backbone(self) -> Backbone:
        return get_backbone(self.config.backbone, str(self.device))

    @torch.no_grad()
    def paint(self, start: Tensor, holes: Tensor, trust: Tensor) -> Tensor:
        """The network's frames ``(T, 3, H, W)`` in [0, 1], a few at a time."""
        parts = zip(start.split(4), holes.split(4), trust.split(4))
        return torch.cat([self.network(signed(s), h, t)[-1] for s, h, t in parts]).add(1).div(2).clamp(0, 1)

    @torch.no_grad()
    def repair(self, clip: TrainingClip) -> Tensor:
        """The clip's frames ``(T, 3, H, W)`` in [0, 1] with its holes painted."""
        start, trust = clip.started(None)
        return torch.where(clip.holes > 0, self.paint(start, clip.holes, trust), clip.frames)

    def held_out(self, clip: TrainingClip) -> dict[str, float]:
        """PSNR in dB of known pixels hidden by the held-out translation: painted (``psnr``), and as they start."""
        batch = clip.held_out_examples()
        hidden = batch.union * (1 - batch.holes)
        painted = self.paint(batch.start, batch.union, batch.trust)
        return {"psnr": masked_psnr(painted, batch.frames, hidden),
                "start": masked_psnr(batch.start, batch.frames, hidden)}  # fmt: skip


def _square(hidden: Tensor, side: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a square, or what fits of it, around a random point of ``hidden (H, W)``, else the middle."""
    height, width = hidden.shape
    points = hidden.nonzero()
    row, column = points[int(rng.integers(len(points)))].tolist() if len(points) else (height // 2, width // 2)
    tall, wide = min(side, height), min(side, width)
    top, left = (min(max(at - own // 2, 0), limit - own) for at, own, limit in
                 ((row, tall, height), (column, wide, width)))  # fmt: skip
    return slice(top, top + tall), slice(left, left + wide)


def signed(x: Tensor) -> Tensor:
    """Frames in [0, 1] in the networks' range, [-1, 1]."""
    return x * 2 - 1


def masked_psnr(a: Tensor, b: Tensor, masks: Tensor) -> float:
    """PSNR in dB over the marked pixels ``(N, 1, H, W)`` of both ``(N, 3, H, W)``; NaN without one."""
    count = float(masks.sum()) * a.shape[1]
    return -10 * math.log10(float(((a - b).square() * masks).sum()) / count + 1e-10) if count else math.nan
