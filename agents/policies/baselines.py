"""Policies that learn nothing: what a trained one has to beat."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from videoinpaint.agents.policies.cells import measured_by_cell
from videoinpaint.agents.policies.features import measured
from videoinpaint.agents.policies.protocol import Observation
from videoinpaint.agents.policies.reveal import REACHES
from videoinpaint.controls import (
    ALPHA,
    BETA,
    DEFAULT,
    FUSION,
    GAMMA,
    HEADS,
    HIGH,
    LOW,
    Controls,
    check_controls,
    controls_to_action,
)
from videoinpaint.regions import summed


class RandomPolicy:
    """Every control uniform over its range, drawn anew for every action.

    An episode's actions follow from the seed and from the first thing seen of it, the damaged clip, which is the same
    on every machine: they do not depend on what else is in the batch, or on which episodes were played before.

    Args:
        seed: of all generators; ``reset()`` begins new episodes.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.reset()

    def reset(self) -> None:
        """What is seen next begins new episodes."""
        self._generators: list[np.random.Generator] = []

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """See :class:`videoinpaint.agents.policies.protocol.Policy`."""
        return self._draw(observation, (5,))

    def act_by_cell(self, observation: Observation, rows: int, columns: int) -> NDArray[np.float32]:
        """Every cell draws for itself; see :class:`videoinpaint.agents.policies.protocol.ActsByCell`."""
        return self._draw(observation, (rows, columns, 5))

    def _draw(self, observation: Observation, shape: tuple[int, ...]) -> NDArray[np.float32]:
        if len(self._generators) != len(observation["masks"]):
            self._generators = [self._generator(observation, i) for i in range(len(observation["masks"]))]
        return np.stack([generator.uniform(-1, 1, shape) for generator in self._generators]).astype(np.float32)

    def _generator(self, observation: Observation, index: int) -> np.random.Generator:
        content = hashlib.sha256()
        for key in sorted(observation):
            content.update(np.ascontiguousarray(observation[key][index]).data)
        return np.random.default_rng([self.seed, int.from_bytes(content.digest()[:8], "little")])


class FixedPolicy:
    """The same controls whatever it sees.

    Args:
        controls: in natural units.

    Raises:
        InputError: a control is out of its range.
    """

    def __init__(self, controls: Controls = Controls()) -> None:  # noqa: B008 - frozen
        self.controls = controls
        self.action: NDArray[np.float32] = controls_to_action(check_controls(controls.to_array()[None], 1))[0]

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """See :class:`videoinpaint.agents.policies.protocol.Policy`."""
        return np.tile(self.action, (len(observation["masks"]), 1))


class PlanPolicy:
    """One setting for the first iteration, another for those after it, whatever the clip.

    It knows a first iteration by its holes, most of which still show the loop's grey.

    Args:
        first: controls in natural units where the hole is fresh.
        later: where it was repaired before.
    """

    def __init__(self, first: Controls, later: Controls) -> None:
        self.first, self.later = FixedPolicy(first), FixedPolicy(later)

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """See :class:`videoinpaint.agents.policies.protocol.Policy`."""
        fresh = _measured(observation)["untouched"] > 0.5
        return np.where(fresh[:, None], self.first.act(observation), self.later.act(observation))


class HolePlanPolicy(PlanPolicy):
    """A plan that, over a grid, keeps its first setting's heads to the cells that hold a part of a hole.

    The others get the fewest: windows of attention that reach into a hole from there run the mean of their heads.
    """

    def act_by_cell(self, observation: Observation, rows: int, columns: int) -> NDArray[np.float32]:
        """See :class:`videoinpaint.agents.policies.protocol.ActsByCell`."""
        marked = torch.from_numpy(observation["masks"] > 127).any(1).float()
        actions = np.tile(self.act(observation)[:, None, None], (1, rows, columns, 1))
        empty = (summed(marked, (rows, columns)) == 0).numpy()
        actions[..., HEADS] = np.where(empty, np.minimum(actions[..., HEADS], -1), actions[..., HEADS])
        return actions


_FRUGAL = Controls(heads=2, fusion=0.6, alpha=0.8, beta=0.6, gamma=0.1)
# Plans for VideoInpaintBudget-v0 (docs/models/policies.md): look far once, then repair what is left.
heads4then2 = partial(PlanPolicy, replace(_FRUGAL, heads=4), _FRUGAL)
heads6then2 = partial(PlanPolicy, replace(_FRUGAL, heads=6), _FRUGAL)

# Plans for VideoInpaintRegions-v1: repair once, then stop. Where nothing may be skipped, 2 heads follow.
heads6once = partial(PlanPolicy, replace(DEFAULT, heads=6), replace(DEFAULT, heads=0))
heads12once = partial(PlanPolicy, DEFAULT, replace(DEFAULT, heads=0))
# The same by cell. In clips of 8 frames 8 heads of the compact network look as far as 12.
heads8holes = partial(HolePlanPolicy, replace(DEFAULT, heads=8), replace(DEFAULT, heads=0))

# CLIP-RL compares with these in Tables 4, 5 and 6. Each fixes some controls; the others stand at the middle of their
# ranges, with all 12 heads, so that heads12, fusion65 and fixed-average are one and the same setting under the names of
# three tables.
heads4 = partial(FixedPolicy, replace(DEFAULT, heads=4))
heads8 = partial(FixedPolicy, replace(DEFAULT, heads=8))
heads12 = partial(FixedPolicy, DEFAULT)
fusion65 = partial(FixedPolicy, DEFAULT)
fusion80 = partial(FixedPolicy, replace(DEFAULT, fusion=0.8))
fixed_bias = partial(FixedPolicy, replace(DEFAULT, alpha=1.0, beta=0.3, gamma=0.1))
fixed_average = partial(FixedPolicy, DEFAULT)


class HeuristicPolicy:
    """What the paper's prose advises, as a formula: a rule that looks at the observation but does not learn.

    Large holes and motion ask for heads and for hallucinated content (Section 3.1.3); texture around the hole asks for
    carried content and for beta, motion for gamma, and a calm, smooth clip for alpha. Each of the three features is
    brought to 0..1 by a scale at which it counts as full.

    By cell the same rule looks at a cell and those around it, with two differences. Heads are a reach in time: a cell
    gets as many as reach the farthest frames that show a good part of its hole, the fewest where nothing is missing.
    And what nowhere shows has to be hallucinated.
    """

    AREA, MOTION, TEXTURE = 0.25, 0.08, 0.10
    GOOD_PART = 0.25

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """See :class:`videoinpaint.agents.policies.protocol.Policy`."""
        area, motion, texture = (np.clip(feature, 0, 1) for feature in self.features(observation))
        demand = np.maximum(area, motion)
        fusion = np.clip(0.5 + 0.5 * demand - 0.5 * texture, 0, 1)
        return self._action(0.2 + 0.8 * demand, fusion, motion, texture)

    def act_by_cell(self, observation: Observation, rows: int, columns: int) -> NDArray[np.float32]:
        """See :class:`videoinpaint.agents.policies.protocol.ActsByCell`."""
        frames, masks = _thinned(observation)
        seen = torch.cat([frames, masks.unsqueeze(2)], 2)
        found = {k: v.numpy() for k, v in measured_by_cell(seen, rows, columns, around=True).items()}
        motion, texture = np.clip(found["motion"] / self.MOTION, 0, 1), np.clip(found["texture"] / self.TEXTURE, 0, 1)
        shown = np.stack([found[f"shown_{reach}"] for reach in REACHES]) / np.maximum(found["area"], 1e-3)
        levels = np.linspace(0, 1, len(REACHES)).reshape(-1, 1, 1, 1)
        heads = (levels * np.clip(shown / self.GOOD_PART, 0, 1)).max(0)
        fusion = np.clip(1 - shown.sum(0) - 0.5 * texture, 0, 1)
        return self._action(heads, fusion, motion, texture)

    def _action(self, heads: NDArray, fusion: NDArray, motion: NDArray, texture: NDArray) -> NDArray[np.float32]:
        """Actions ``(..., 5)`` from the shares ``(...)`` of the ranges of heads and fusion, and from the features."""
        share = np.zeros((*heads.shape, 5))
        share[..., HEADS], share[..., FUSION] = heads, fusion
        share[..., ALPHA] = 1 - 0.5 * (motion + texture)
        share[..., BETA] = texture
        share[..., GAMMA] = motion
        return controls_to_action(LOW + share * (HIGH - LOW))

    def features(self, observation: Observation) -> tuple[NDArray, NDArray, NDArray]:
        """Area of the flagged region, motion and texture of the rest, each ``(B,)`` relative to its scale."""
        found = _measured(observation)
        area, motion, texture = (found[name] for name in ("area", "motion", "texture"))
        return area / self.AREA, motion / self.MOTION, texture / self.TEXTURE


def _measured(observation: Observation) -> dict[str, NDArray]:
    """The plain features of every other pixel."""
    return {name: feature.numpy() for name, feature in measured(*_thinned(observation)).items()}


def _thinned(observation: Observation) -> tuple[torch.Tensor, torch.Tensor]:
    """Every other pixel of the frames ``(B, T, 3, h, w)`` and of the masks ``(B, T, h, w)``."""
    frames, masks = (torch.from_numpy(observation[key][:, :, ::2, ::2]) for key in ("frames", "masks"))
    return frames.unflatten(1, (-1, 3)), masks
