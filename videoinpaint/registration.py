"""The registered environments: what each id means, in one place, without importing torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import gymnasium

DEFAULT_ID = "VideoInpaint-v1"
"""What commands and functions run unless told otherwise."""


@dataclass(frozen=True)
class RegisteredEnvironment:
    """An id and what it stands for.

    Attributes:
        id: as `gymnasium.make` takes it.
        kind: the class in `videoinpaint.envs` without its ending: ``Env``, or ``VectorEnv`` for batches.
        kwargs: arguments in which it differs from the class's defaults.
        about: one sentence for lists and pages.
    """

    id: str
    kind: str
    about: str
    kwargs: dict[str, Any] = field(default_factory=dict)


# The improvement under fixed weights: a return that only a better repair can raise.
_SOUND = {"reward": "improvement", "reward_weights": "fixed"}

REGIONS_GRID = (4, 6)
"""Rows and columns of `VideoInpaintRegions-v0`: cells of 30x36 pixels. docs/results/headroom.md compares grids."""

REGIONS_PRICE = 0.03
"""Of a pass with all heads in `VideoInpaintRegions-v0`: small beside what a repair gains (0.3), so that heads are saved
where they are worth nothing, and not by a worse repair."""

ENVIRONMENTS = (
    RegisteredEnvironment(
        "VideoInpaint-v0",
        "VideoInpaint",
        "the reward of CLIP-RL, Eq. 6: absolute, weighed by the action, so that a return can be raised without a "
        "better repair",
    ),
    RegisteredEnvironment(
        "VideoInpaint-v1",
        "VideoInpaint",
        "the reward is the improvement of the repair under fixed weights",
        _SOUND,
    ),
    # At this price the best number of heads differs between clips (`python -m videoinpaint.benchmarks.policies.price`),
    # and in clips this long it matters how far heads look.
    RegisteredEnvironment(
        "VideoInpaintBudget-v0",
        "VideoInpaint",
        "as VideoInpaint-v1, with a price on computation; longer and smaller clips",
        _SOUND | {"compute_price": 0.1, "num_frames": 16, "height": 80, "width": 144},
    ),
    RegisteredEnvironment(
        "VideoInpaintRegions-v0",
        "VideoInpaint",
        "as VideoInpaint-v1, with an action for each cell of a grid over the frame and a small price on computation",
        _SOUND | {"compute_price": REGIONS_PRICE, "action_grid": REGIONS_GRID},
    ),
    RegisteredEnvironment(
        "VideoInpaintRegions-v1",
        "VideoInpaint",
        "as VideoInpaintRegions-v0, and an agent may leave cells as they are and stop, as further passes seldom pay",
        _SOUND | {"compute_price": REGIONS_PRICE, "action_grid": REGIONS_GRID, "skips": True},
    ),
    RegisteredEnvironment(
        "VideoInpaintOneShot-v0",
        "VideoInpaintOneShot",
        "only the first frame's mask is known; the reward of VideoInpaint-v0",
    ),
    RegisteredEnvironment(
        "VideoInpaintOneShot-v1",
        "VideoInpaintOneShot",
        "only the first frame's mask is known; the reward of VideoInpaint-v1",
        _SOUND,
    ),
)


def register_environments() -> None:
    """Register every environment with Gymnasium; ids that are registered already are left alone."""
    for one in ENVIRONMENTS:
        if one.id not in gymnasium.registry:
            gymnasium.register(
                id=one.id,
                entry_point=f"videoinpaint.envs:{one.kind}Env",
                vector_entry_point=f"videoinpaint.envs:{one.kind}VectorEnv",
                kwargs=dict(one.kwargs),
                # set_state() begins an episode without a reset, which these two wrappers do not know; when a reset is
                # due, the environments say themselves.
                order_enforce=False,
                disable_env_checker=True,
            )
