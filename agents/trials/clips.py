"""Trying settings on training episodes: what each of them returns, if every pass of the whole clip has it.

Where computation is free all heads are right nearly everywhere, and what is left to choose is the fusion and the
objective. Both are tried together, as the best of either depends on the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.agents.policies.features import FEATURES
from videoinpaint.agents.ppo.view import shrink
from videoinpaint.agents.trials.folder import Kind
from videoinpaint.agents.trials.playing import steps
from videoinpaint.controls import DEFAULT, OBJECTIVES, Controls, controls_to_action

TRIED = ("average", "texture", "largest")
"""Objectives, the default's first. Of eight corners of their range and its middle these are best in the mean; what
"largest" asks of the network are all of its losses, at full weight (docs/agents.md)."""
FUSIONS = (0.5375, 0.6125, 0.6875, 0.7625)
"""At the ends of the range, 0.5 and 0.8, nearly every clip is repaired worse."""

SETTINGS = (DEFAULT, *(Controls(DEFAULT.heads, fusion, *OBJECTIVES[name]) for name in TRIED for fusion in FUSIONS))
"""The default, then all fusions at each of the objectives in turn; all heads run."""


def _shapes(entries: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    _, later, _ = entries["later"].shape
    first, returns = (len(FEATURES),), (len(SETTINGS), later + 1)
    return {"first": first, "later": (len(SETTINGS), later, len(FEATURES)), "returns": returns}


KIND = Kind("videoinpaint-clip-trial-1", _shapes)
"""Their files."""


@dataclass(frozen=True)
class ClipTrials:
    """What settings returned on some episodes.

    Attributes:
        first: features of the clip before the first pass, ``(N, features)``.
        later: before the passes after it, ``(N, settings, passes - 1, features)``.
        returns: what arose in which pass, ``(N, settings, passes)``.
        environment: ``env_id`` and ``env``, the arguments, of the environment that was played.
    """

    first: Tensor
    later: Tensor
    returns: Tensor
    environment: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many episodes."""
        return len(self.first)


def try_settings(env: gymnasium.Env, seed: int, passes: int) -> dict[str, Tensor]:
    """One episode, of at most so many passes, with every setting: the entries of :class:`ClipTrials`, without their
    first dimension.
    """
    observation, _ = env.reset(seed=seed)
    base: Any = env.unwrapped
    start, first = base.get_state(), _features(observation)
    later, returns = np.zeros((len(SETTINGS), passes, len(FEATURES)), np.float32), np.zeros((len(SETTINGS), passes))
    for index, action in enumerate(controls_to_action(np.stack([setting.to_array() for setting in SETTINGS]))):
        for done, (seen, reward, _) in enumerate(steps(env, start, [action] * passes)):
            # An episode that is repaired early goes on looking as it did.
            later[index, done:], returns[index, done] = _features(seen), reward
    found = {"first": first, "later": later[:, : passes - 1], "returns": returns}
    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in found.items()}


def _features(observation: Mapping[str, NDArray[np.uint8]]) -> NDArray[np.float32]:
    return shrink({name: values[None] for name, values in observation.items()})["features"][0]
