"""Trying plans on training episodes: what each of them returns, cell by cell of an action grid.

A plan is one setting for the first pass and one for those after it, for all cells alike. Its episode is played from the
same beginning as every other plan's, to the end, and the environment's reward maps say what arose in which cell, pass
by pass: where an agent may stop, they also tell what going on was worth. Controls act where
they are set, so that one such table tells, nearly, what any map of settings would return; docs/results/learning.md
says how nearly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from videoinpaint.agents.policies.cells import CHANNELS, seen_by_cell
from videoinpaint.agents.trials.folder import Kind
from videoinpaint.agents.trials.playing import steps
from videoinpaint.controls import DEFAULT, OBJECTIVES, Controls, controls_to_action
from videoinpaint.regions import influence

FIRST = (2, 4, 6, 8, 12)
"""Heads of the first pass; passes after it have 2, which look on where the first one stopped. Of the compact network 6
look 4 frames far and 8 look 7: between those two, and not between 6 and 12, lies what clips of 8 frames gain."""
ENDS = (2, 12)
"""Heads of the first pass with which the other objective is tried."""
OBJECTIVE = "texture"
"""What is tried beside the default's, "average". Other fusions, and "fidelity", were tried too, and were worse in all
but few episodes, which nothing that a policy sees tells apart (docs/results/learning.md)."""


def _plans() -> tuple[tuple[Controls, Controls], ...]:
    settings = [(heads, DEFAULT.fusion, *OBJECTIVES["average"]) for heads in FIRST]
    settings += [(heads, DEFAULT.fusion, *OBJECTIVES[OBJECTIVE]) for heads in ENDS]
    return tuple((Controls(*one), Controls(FIRST[0], *one[1:])) for one in settings)


PLANS = _plans()
"""First pass and later ones: the numbers of heads at the default objective, then the fewest and the most of them at the
other one. The fusion is the default's."""


def _shapes(entries: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    _, *grid = entries["first"].shape
    _, later, *_ = entries["later"].shape
    return {
        "first": (CHANNELS, *grid),
        "later": (len(PLANS), later, CHANNELS, *grid),
        "returns": (len(PLANS), later + 1, *grid),
        "influence": (9, *grid),
    }


KIND = Kind("videoinpaint-trial-6", _shapes)
"""Their files."""


@dataclass(frozen=True)
class CellTrials:
    """What plans returned on some episodes, cell by cell.

    Attributes:
        first: features of cells before the first pass, ``(N, CHANNELS, rows, columns)``.
        later: before the passes after it, ``(N, plans, passes - 1, CHANNELS, rows, columns)``.
        returns: what arose in which pass and cell, price included, ``(N, plans, passes, rows, columns)``.
        influence: of the settings around it, how much each counts in a cell's missing pixels, ``(N, 9, rows, columns)``
            (:func:`videoinpaint.regions.influence`).
        environment: ``env_id`` and ``env``, the arguments, of the environment that was played.
    """

    first: Tensor
    later: Tensor
    returns: Tensor
    influence: Tensor
    environment: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many episodes."""
        return len(self.first)

    @property
    def skips(self) -> bool:
        """Whether an agent may stop in the environment that was played."""
        return bool(self.environment.get("env", {}).get("skips"))


def try_plans(env: gymnasium.Env, seed: int, passes: int) -> dict[str, Tensor]:
    """One episode, of at most so many passes, under every plan: the entries of :class:`CellTrials`, without their first
    dimension.
    """
    base: Any = env.unwrapped
    rows, columns = base.action_space.shape[:2]
    start_observation, _ = env.reset(seed=seed)
    start = base.get_state()
    first = _cells(start_observation, (rows, columns))
    later, returns = [], []
    for plan in PLANS:
        arose, seen = np.zeros((passes, rows, columns)), []
        pair = controls_to_action(np.stack([setting.to_array() for setting in plan]))
        actions = [np.broadcast_to(pair[min(i, 1)], (rows, columns, 5)).copy() for i in range(passes)]
        for iteration, (observation, _, info) in enumerate(steps(env, start, actions)):
            arose[iteration] = info["reward_map"]
            seen.append(_cells(observation, (rows, columns)))
        # An episode that is repaired early goes on looking as it did.
        seen += [seen[-1]] * (passes - len(seen))
        later.append(np.stack([first, *seen])[1:passes])
        returns.append(arose)
    found = {"first": first, "later": np.stack(later).astype(np.float16), "returns": np.stack(returns)}
    tensors = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in found.items()}
    missing = torch.from_numpy(start_observation["masks"]).float().mean(0)
    return tensors | {"influence": influence(missing[None], (rows, columns))[0]}


def _cells(observation: Mapping[str, np.ndarray], grid: tuple[int, int]) -> np.ndarray:
    frames, masks = (torch.as_tensor(observation[name])[None] for name in ("frames", "masks"))
    return seen_by_cell(frames, masks, *grid)["cells"][0].numpy()
