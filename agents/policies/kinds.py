"""The kinds of policy that are trained, by name and by the shape of the actions."""

from __future__ import annotations

from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
from videoinpaint.agents.policies.described import DescribedPolicy
from videoinpaint.agents.policies.full_resolution import PaperPolicy
from videoinpaint.agents.policies.regional import RegionalPolicy
from videoinpaint.errors import InputError

NETWORKS: dict[str, type[ClosedLoopPolicy]] = {
    "features": ClosedLoopPolicy,
    "paper": PaperPolicy,
    "described": DescribedPolicy,
}
"""By the names of `TrainConfig.policy`, what is trained where actions are for whole frames."""


def trained_kind(policy: type[ClosedLoopPolicy], action_shape: tuple[int, ...]) -> type[ClosedLoopPolicy]:
    """The kind that is trained where one action has this shape: over a grid `RegionalPolicy` for `ClosedLoopPolicy`.

    Args:
        policy: the kind that was asked for.
        action_shape: ``(5,)``, or ``(rows, columns, 5)`` where actions are by cell of a grid.

    Raises:
        InputError: `policy` chooses for whole frames and these actions are by cell, or the other way round.
    """
    by_cell = len(action_shape) == 3
    if by_cell and policy is ClosedLoopPolicy:
        return RegionalPolicy
    if by_cell and not policy.by_cell:
        raise InputError(
            f"a {policy.__name__} chooses for whole frames: leave action_grid out, or take policy features"
        )
    if policy.by_cell and not by_cell:
        raise InputError(f"a {policy.__name__} chooses for the cells of a grid: give an action_grid")
    return policy
