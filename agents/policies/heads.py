"""The last layers of actor and critic: a Gaussian whose mean and deviation follow from the state, and a value."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from videoinpaint.errors import DivergedError

START_STD = 0.5
"""Standard deviation of the actions at first."""

LOG_STD = (-3.0, 0.0)
"""Bounds of the log standard deviation of an action in the middle of [-1, 1]: 0.05 (nearly fixed) to 1 (nearly
uniform)."""
LEAST_ROOM = 0.1
"""What is left of the deviation at the bounds themselves."""

RATE = 0.1
"""How far the mean and the deviation of returns move towards those of every rollout."""


class GaussianHead(nn.Module):
    """Mean and log standard deviation of every action dimension, both functions of the state (CLIP-RL, 3.1.2).

    The mean is bounded by tanh, so that it stays where the clipping of actions leaves a gradient; the log standard
    deviation is bounded smoothly to ``LOG_STD``, so that the entropy bonus can neither run away nor lose its gradient.
    Towards the bounds the deviation shrinks as the slope of the tanh does, down to ``LEAST_ROOM``: clipping would let
    only one half of the noise through there, and a control that settled at its lowest would in truth be above it.

    Args:
        latent: features.
        lowest: action of every dimension, ``(actions,)``: -1, or less where the environment lets cells be skipped.
    """

    lowest: Tensor

    def __init__(self, latent: int, lowest: NDArray[np.float32]) -> None:
        super().__init__()
        self.linear = nn.Linear(latent, 2 * len(lowest))
        # The action space says it, not the weights: what a file holds is the same for every environment.
        self.register_buffer("lowest", torch.from_numpy(lowest.copy()), persistent=False)

    def start(self, std: float) -> None:
        """Begin in the middle of every range, where there is most to try, with one standard deviation everywhere."""
        low, high = LOG_STD
        share = (np.log(std) - low) / (high - low)
        with torch.no_grad():
            mean, spread = self.linear.bias.chunk(2)
            spread.fill_(float(np.log(share / (1 - share))))
            mean.zero_()

    def bounded(self, unbounded: Tensor) -> Tensor:
        """Means ``(B, actions)`` of the linear layer's first half: above zero a tanh, below it one that ends at the
        lowest action.
        """
        mean = torch.tanh(unbounded)
        return torch.where(mean < 0, mean * -self.lowest, mean)

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation, each ``(B, actions)``.

        Raises:
            DivergedError: the network's numbers are none: an action made of them would mean nothing.
        """
        whole = self.linear(latent)
        if not torch.isfinite(whole).all():
            raise DivergedError("the policy's network gives values that are not finite: train it again, more slowly")
        unbounded, spread = whole.chunk(2, dim=1)
        low, high = LOG_STD
        room = (1 - torch.tanh(unbounded).square()).clamp_min(LEAST_ROOM)
        return self.bounded(unbounded), low + (high - low) * torch.sigmoid(spread) + room.log()


class StandardisedValue(nn.Module):
    """A linear value head that predicts standardised returns and outputs plain ones.

    Episodes return 3.2 to 4.3 on average where the reward is absolute (`VideoInpaint-v0`, `VideoInpaintOneShot-v0`) and
    0.08 to 0.35 elsewhere (videoinpaint/data/references.json): a network would reach the one slowly from 0, and begin
    with errors that are large beside the other. Mean and deviation are therefore kept outside of the weights, and the
    weights are rescaled whenever these change, so that no prediction jumps (PopArt: van Hasselt et al., 2016).
    """

    mean: Tensor
    std: Tensor
    fresh: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.linear = nn.Linear(latent, 1)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))
        self.register_buffer("fresh", torch.ones((), dtype=torch.bool))

    def forward(self, latent: Tensor) -> Tensor:
        """Predicted returns ``(B, 1)``."""
        return self.linear(latent) * self.std + self.mean

    @torch.no_grad()
    def update(self, returns: Tensor) -> None:
        """Move mean and deviation towards those of a rollout's returns, predictions unchanged (but for the first)."""
        mean, std = returns.mean(), returns.std(correction=0).clamp_min(1e-3)
        if self.fresh:
            self.mean.copy_(mean), self.std.copy_(std), self.fresh.fill_(False)
            return
        mean, std = self.mean.lerp(mean, RATE), self.std.lerp(std, RATE)
        self.linear.weight.mul_(self.std / std)
        self.linear.bias.mul_(self.std).add_(self.mean - mean).div_(std)
        self.mean.copy_(mean), self.std.copy_(std)
