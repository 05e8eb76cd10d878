"""Two policies as one: how far to look by the first, and what to favour by the second."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from videoinpaint.agents.policies.baselines import heads8holes
from videoinpaint.agents.policies.export import trained_objective_policy
from videoinpaint.agents.policies.protocol import Observation, Policy, acts_by_cell, choose, reset_policy
from videoinpaint.controls import HEADS


class ComposedPolicy:
    """The heads of one policy, and so where it skips, with the fusion and the objective of another.

    Args:
        heads: whose heads are run.
        rest: who chooses everything else.
    """

    def __init__(self, heads: Policy, rest: Policy) -> None:
        self.heads, self.rest = heads, rest

    @property
    def by_cell(self) -> bool:
        """Whether one of them may choose otherwise from cell to cell."""
        return acts_by_cell(self.heads) or acts_by_cell(self.rest)

    def reset(self) -> None:
        """What is seen next begins new episodes."""
        reset_policy(self.heads)
        reset_policy(self.rest)

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """See :class:`videoinpaint.agents.policies.protocol.Policy`."""
        return self._composed(observation, (5,))

    def act_by_cell(self, observation: Observation, rows: int, columns: int) -> NDArray[np.float32]:
        """See :class:`videoinpaint.agents.policies.protocol.ActsByCell`."""
        return self._composed(observation, (rows, columns, 5))

    def _composed(self, observation: Observation, shape: tuple[int, ...]) -> NDArray[np.float32]:
        actions = choose(self.rest, observation, shape).copy()
        actions[..., HEADS] = choose(self.heads, observation, shape)[..., HEADS]
        return actions


def trained_holes_policy(device: str | torch.device = "cpu") -> Policy:
    """The plan `heads8holes` with the fusion and the objective of the policy that ships for `VideoInpaint-v1`.

    Raises:
        MissingWeightsError: that is not installed.
    """
    return ComposedPolicy(heads8holes(), trained_objective_policy(device))
