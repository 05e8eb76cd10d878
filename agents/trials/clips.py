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

from videoinpaint.agents.policies.described import DESCRIBED, described
from videoinpaint.agents.trials.folder import Kind
from videoinpaint.agents.trials.playing import steps
from videoinpaint.controls import DEFAULT, OBJECTIVES, Controls, controls_to_action

TRIED = ("average", "texture", "largest")
"""Objectives, the default's first. Of the five that have names these are best in the mean; what
"largest" asks of the network are all of its losses, at full weight (docs/results/learning.md)."""
FUSIONS = (0.5375, 0.6125, 0.6875, 0.7625)
"""At the ends of the range, 0.5 and 0.8, clips are repaired much worse in the mean (docs/results/learning.md)."""

SETTINGS = (DEFAULT, *(Controls(DEFAULT.heads, fusion, *OBJECTIVES[name]) for name in TRIED for fusion in FUSIONS))
"""The default, then all fusions at each of the objectives in turn; all heads run."""
ACTIONS = controls_to_action(np.stack([setting.to_array() for setting in SETTINGS]))
"""The same as actions, ``(settings, 5)``."""


def _shapes(entries: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    passes, _ = entries["seen"].shape
    return {"seen": (passes, DESCRIBED), "returns": (len(SETTINGS), passes)}


KIND = Kind("videoinpaint-clip-trial-1", _shapes)
"""Their files."""


@dataclass(frozen=True)
class ClipTrials:
    """What settings returned on some episodes.

    Attributes:
        seen: of the clip before every pass of the default setting, ``(N, passes, DESCRIBED)``
            (:func:`videoinpaint.agents.policies.described.described`).
        returns: what arose in which pass, ``(N, settings, passes)``.
        environment: ``env_id`` and ``env``, the arguments, of the environment that was played.
    """

    seen: Tensor
    returns: Tensor
    environment: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many episodes."""
        return len(self.seen)


def try_settings(env: gymnasium.Env, seed: int, passes: int) -> dict[str, Tensor]:
    """One episode, of at most so many passes, with every setting: the entries of :class:`ClipTrials`, without their
    first dimension.
    """
    observation, _ = env.reset(seed=seed)
    base: Any = env.unwrapped
    start = base.get_state()
    seen = _described(observation).repeat(passes, 1)
    returns = torch.zeros(len(SETTINGS), passes, dtype=torch.float64)
    for index, action in enumerate(ACTIONS):
        for done, (observation, reward, _) in enumerate(steps(env, start, [action] * passes)):
            returns[index, done] = reward
            if index == 0:  # an episode that is repaired early goes on looking as it did
                seen[done + 1 :] = _described(observation)
    return {"seen": seen, "returns": returns}


def _described(observation: Mapping[str, NDArray[np.uint8]]) -> Tensor:
    return described(*(torch.from_numpy(observation[name])[None] for name in ("frames", "masks")))[0]
