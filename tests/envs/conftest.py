"""Small deterministic parts: environments of this room run in milliseconds and do not depend on trained weights."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import videoinpaint  # noqa: F401 - registers the environments
from videoinpaint.protocols import Detection, Refinement, State

SIZE: dict[str, Any] = {"num_frames": 4, "height": 48, "width": 64, "device": "cpu"}


class ToyInpainter:
    """Moves holes from grey towards the mean known colour; every control shifts the result."""

    name = "toy"
    controls = frozenset({"heads", "fusion", "objective"})
    min_size = (16, 16)

    def begin(self, frames: Tensor, masks: Tensor) -> State:
        known = 1 - masks
        mean = (frames * known).sum((1, 3, 4), keepdim=True) / known.sum((1, 3, 4), keepdim=True).clamp_min(1)
        return {"mean": mean}

    def refine(self, state: State, repaired: Tensor, masks: Tensor, controls: NDArray) -> Refinement:
        values = torch.from_numpy(np.asarray(controls)).to(repaired)
        shift = (values @ torch.tensor([0.004, 0.1, 0.2, -0.1, 0.3], dtype=values.dtype)).view(-1, 1, 1, 1, 1)
        frames = 0.5 * repaired + 0.5 * state["mean"] + shift - 0.2
        return Refinement(frames.clamp(0, 1), values[:, 0].double() * 0.1)


class RegionalToyInpainter(ToyInpainter):
    """As the toy, and follows a map of controls; every cell pays for its own heads."""

    name = "regional toy"
    regional = ToyInpainter.controls

    def refine(self, state: State, repaired: Tensor, masks: Tensor, controls: NDArray) -> Refinement:
        if controls.ndim == 2:
            return super().refine(state, repaired, masks, controls)
        values = torch.from_numpy(controls).to(repaired)
        shift = (values @ torch.tensor([0.004, 0.1, 0.2, -0.1, 0.3], dtype=values.dtype)).unsqueeze(1)
        shift = torch.nn.functional.interpolate(shift, size=repaired.shape[-2:], mode="bilinear").unsqueeze(1)
        frames = 0.5 * repaired + 0.5 * state["mean"] + shift - 0.2
        return Refinement(frames.clamp(0, 1), values[..., 0].double().mean((1, 2)) * 0.1)


class ToyDetector:
    """Flags bright pixels inside the hole, softly."""

    name = "toy"

    def detect(self, repaired: Tensor, masks: Tensor) -> Detection:
        flags = torch.sigmoid(20 * (repaired.mean(2, keepdim=True) - 0.35)) * masks
        return Detection(flags, flags.expand(-1, -1, 3, -1, -1) + 0.1)


class ContentDetector:
    """Flags nothing at all."""

    name = "content"

    def detect(self, repaired: Tensor, masks: Tensor) -> Detection:
        return Detection(torch.zeros_like(masks), torch.ones_like(repaired))


@pytest.fixture
def toy() -> dict[str, Any]:
    """Keyword arguments of a small environment with toy parts."""
    return {**SIZE, "inpainter": ToyInpainter(), "detector": ToyDetector()}


@pytest.fixture
def regional(toy: dict[str, Any]) -> dict[str, Any]:
    """As `toy`, with controls that vary over the frame and a grid of 2x3 cells; the reward is the repair's gain."""
    own = {"inpainter": RegionalToyInpainter(), "action_grid": (2, 3), "compute_price": 0.03}
    return {**toy, **own, "reward": "improvement", "reward_weights": "fixed"}


@pytest.fixture
def content(toy: dict[str, Any]) -> dict[str, Any]:
    """As `toy`, with a detector that is always content."""
    return {**toy, "detector": ContentDetector()}


@pytest.fixture
def size() -> dict[str, Any]:
    """Keyword arguments of an environment with the default parts: hardly larger than one of the network's windows."""
    return SIZE | {"num_frames": 3, "width": 40}


@pytest.fixture
def env(toy: dict[str, Any]) -> gymnasium.Env:
    return gymnasium.make("VideoInpaint-v0", **toy)
