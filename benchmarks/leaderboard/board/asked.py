"""What a policy asked for, iteration by iteration: the controls of whole frames, or means over the cells of a grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from videoinpaint.benchmarks.leaderboard.submissions.actions import skips_in
from videoinpaint.controls import NAMES, action_to_controls, skipped

SKIPPED = "skipped"
"""Beside the controls of an iteration: the share of cells that stayed as they were."""


def asked_for(record: Mapping[str, Any], space: spaces.Box) -> list[dict[str, Any]]:
    """The controls of an episode's iterations, by name.

    Where actions are by cell or may skip, each is a mean over the cells that were refined, None where none was. Where
    they may skip, :data:`SKIPPED` stands beside them. Elsewhere they are those of the record.

    Args:
        record: of an episode; references have actions and no controls.
        space: of the actions.
    """
    if len(space.shape) != 3 and not skips_in(space):
        return list(record.get("controls", []))
    return [_of_cells(action, skips_in(space)) for action in record.get("actions", [])]


def _of_cells(action: Any, skips: bool) -> dict[str, Any]:
    controls = action_to_controls(np.reshape(np.asarray(action, dtype=np.float32), (-1, 5)), skips)
    left = skipped(controls)
    refined = controls[~left].astype(np.float64)
    means = [None] * len(NAMES) if left.all() else [round(float(mean), 6) for mean in refined.mean(0)]
    return dict(zip(NAMES, means)) | ({SKIPPED: float(left.mean())} if skips else {})
