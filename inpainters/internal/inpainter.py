"""Internal learning in the loop: a pass is a further budget of training on the clip, on what is flagged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.controls import ALPHA, BETA, GAMMA, HIGH, LOW
from videoinpaint.errors import InputError
from videoinpaint.inpainters.internal.clip import TrainingClip
from videoinpaint.inpainters.internal.networks import parameter_count
from videoinpaint.inpainters.internal.trainer import PAPER_WEIGHTS, Internal, Trainer
from videoinpaint.protocols import Refinement, State

STRETCH = 4.0
"""The ends of alpha, beta and gamma divide and multiply the paper's weights by this: the ranges are narrow, and their
ends are to differ visibly."""

VGG_MACS = {"vgg16": 1.9e5, "alex": 8.9e3}
"""Multiply-accumulates a pixel of the backbone's first three layers, roughly."""


class InternalInpainter:
    """A network trained on the clip that it repairs (IIVI, Ouyang, Wang and Chen, ICCV 2021).

    ``begin`` prepares what holes start from and fresh weights; every ``refine`` goes on training them for ``steps``
    steps, on hidden known pixels shaped like M_{n-1}, and paints. Weights and optimiser travel in the state, so that
    episodes can be saved, restored and batched; the items of a batch have a network each and train one after another.
    Honours ``objective``: alpha, beta and gamma weigh reconstruction, ambiguity and stabilisation, around the
    configuration's weights, by default the paper's 1, 0.1 and 0.2. The last two belong to the second stage, the last
    quarter of a pass: with fewer than 4 steps there is none, and only alpha remains, which hardly changes a result.

    Args:
        device: where it computes.
        steps: of a pass; at least 4 for a second stage of a quarter.
        config: the network and its training; by default :class:`Internal` with a pool of 4 translations.

    Raises:
        InputError: a setting out of range.
    """

    name = "internal"
    controls = frozenset({"objective"})
    min_size = (16, 16)

    def __init__(
        self,
        device: str | torch.device = "cpu",
        *,
        steps: int = 40,
        config: Internal | None = None,
    ) -> None:
        if steps < 1:
            raise InputError(f"steps must be at least 1, got {steps}")
        self.device, self.steps = torch.device(device), steps
        self.config = config or replace(Internal(), pool=4)
        self._trainer = Trainer(self.config, self.device)
        self._fresh = self._trainer.state()

    @torch.no_grad()
    def begin(self, frames: Tensor, masks: Tensor) -> State:
        """See :class:`videoinpaint.protocols.Inpainter`."""
        clips = [self._clip(f, m) for f, m in zip(frames, masks)]
        prepared = {name: torch.stack([clip.pooled()[name] for clip in clips]) for name in clips[0].pooled()}
        fresh = {name: value.expand(len(frames), *value.shape).clone() for name, value in self._fresh.items()}
        return {"corrupted": frames, "holes": masks, **prepared, **fresh}

    @torch.no_grad()
    def refine(self, state: State, repaired: Tensor, masks: Tensor, controls: NDArray[np.float32]) -> Refinement:
        """See :class:`videoinpaint.protocols.Inpainter`."""
        painted, learnt = [], []
        for item in range(len(repaired)):
            own = {name: tensor[item] for name, tensor in state.items()}
            frames, after = self._pass(own, masks[item], loss_weights(controls[item], self.config.weights))
            painted.append(frames)
            learnt.append(after)
        renewed = {name: torch.stack([after[name] for after in learnt]) for name in self._fresh}
        length, _, height, width = repaired.shape[1:]
        learns = state["holes"].flatten(1).any(1).tolist()
        gflops = torch.tensor([self.gflops(length, height, width, one) for one in learns], dtype=torch.float64)
        return Refinement(torch.stack(painted), gflops, state=renewed)

    def _pass(self, own: State, masks: Tensor, weights: tuple[float, float, float]) -> tuple[Tensor, State]:
        """One item's frames ``(T, 3, H, W)`` and its weights after this pass's training."""
        clip = self._clip(own["corrupted"], own["holes"])
        clip.load_pool(own)
        self._trainer.load({name: own[name] for name in self._fresh})
        flagged = (masks >= 0.5).to(masks.dtype) * clip.holes
        if clip.holes.any():
            for done in range(self.steps):
                self._trainer.step(clip, self._progress(done), flagged, weights)
        return self._trainer.repair(clip), self._trainer.state()

    def _progress(self, done: int) -> float:
        """The share of a pass that is over after so many of its steps."""
        return done / self.steps

    def _late(self) -> int:
        """Steps of a pass in the second stage."""
        return sum(self.config.is_late(self._progress(done)) for done in range(self.steps))

    def _clip(self, frames: Tensor, holes: Tensor) -> TrainingClip:
        return TrainingClip(frames, holes, self.config.start, self.config.pool, self.config.seed, self.config.hidden)

    def gflops(self, length: int, height: int, width: int, learns: bool = True) -> float:
        """Of one pass over ``length`` frames: training (a backward pass counts as two forward) and painting.

        Args:
            length, height, width: of the clip.
            learns: whether it has a hole; without one it is painted, but nothing is trained.
        """
        c, painting = self.config, length * self._trainer.network.flops(height, width)
        if not learns:
            return painting / 1e9
        tall, wide = (height, width) if c.crop is None else (min(c.crop[0], height), min(c.crop[1], width))
        late = self._late()
        frames = c.batch * (self.steps + (late if c.weights[2] else 0))
        patch = tall * wide if c.patch is None else min(c.patch, tall) * min(c.patch, wide)
        features = late * c.batch * 6 * VGG_MACS[c.backbone] * patch if c.weights[1] else 0.0
        training = 3 * frames * self._trainer.network.flops(tall, wide) + features
        updates = 12.0 * self.steps * parameter_count(self._trainer.network)
        return (training + updates + painting) / 1e9


def loss_weights(
    controls: NDArray[np.float32], weights: tuple[float, float, float] = PAPER_WEIGHTS
) -> tuple[float, float, float]:
    """What alpha, beta and gamma of ``controls (5,)`` make of a configuration's weights; their middles leave them."""
    unit = (np.asarray(controls, np.float64) - LOW) / (HIGH - LOW)
    first, second, third = (
        weight * float(STRETCH ** (2 * unit[column] - 1)) for weight, column in zip(weights, (ALPHA, BETA, GAMMA))
    )
    return first, second, third
