"""A baseline shared by a group: its environments play the same clips, and each is compared with the others.

How good a repair can be depends far more on the clip than on the action, and the policy cannot see the truth that
decides it. Episodes on one clip share that part of their return: their mean is a baseline that takes this noise away.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def group_advantages(
    advantages: NDArray[np.float32],
    episode_starts: NDArray[Any],
    group_size: int,
    begun: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Advantages minus the mean of those of the group's other episodes on the same clip, at the same iteration.

    Environment e belongs to group ``e // group_size``. All environments of a group play the same clips one after the
    other, so the n-th episode of one is on the clip of the n-th episode of another, whenever each of them begins. Steps
    of episodes that began before the rollout, and of episodes that no other of the group has reached, keep their
    advantages.

    Args:
        advantages: ``(S, E)``, steps by environments.
        episode_starts: ``(S, E)``, nonzero where an episode begins.
        group_size: environments in a group.
        begun: ``(E,)``: episodes that each environment had begun before this rollout.

    Returns:
        ``(S, E)``.
    """
    steps, environments = advantages.shape
    starts = np.asarray(episode_starts) != 0
    episode = begun + starts.cumsum(axis=0)
    at = np.arange(steps)[:, None]
    started = np.maximum.accumulate(np.where(starts, at, -1), axis=0)
    known = started >= 0
    rows = {
        "group": np.broadcast_to(np.arange(environments) // group_size, episode.shape),
        "episode": episode,
        "iteration": at - started,
    }
    _, same = np.unique(np.stack([values[known] for values in rows.values()]), axis=1, return_inverse=True)
    same = same.reshape(-1)  # NumPy 2.0 gave it the shape of its argument
    count = np.bincount(same)[same]
    own = advantages[known]
    mean = (np.bincount(same, weights=own) / np.bincount(same))[same]
    result = advantages.copy()
    # Leaving oneself out of the mean multiplies the difference to it by n / (n - 1).
    result[known] = np.where(count > 1, (own - mean) * count / np.maximum(count - 1, 1), own)
    return result
