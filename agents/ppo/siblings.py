"""Common random numbers: several environments play the same clips, and each is compared with its siblings.

How good a repair can be depends far more on the clip than on the action, and the policy cannot see the truth that
decides it. Environments that begin the same clip share that part of their return: their mean is a baseline that takes
this noise away.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray


def sibling_advantages(
    advantages: NDArray[np.float32], episode_starts: NDArray[np.float32], observations: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Advantages minus the mean of those of the other episodes on the same clip, at the same iteration.

    Episodes are siblings where their first observations are the same to the bit. Steps of episodes that began before
    the rollout, and of episodes without a sibling, keep their advantages.

    Args:
        advantages: ``(S, E)``, steps by environments.
        episode_starts: ``(S, E)``, nonzero where an episode begins.
        observations: ``(S, E, ...)``, what the policy saw.

    Returns:
        ``(S, E)``.
    """
    steps, environments = advantages.shape
    families: dict[tuple[bytes, int], list[tuple[int, int]]] = defaultdict(list)
    for env in range(environments):
        clip, iteration = None, 0
        for step in range(steps):
            if episode_starts[step, env]:
                clip, iteration = observations[step, env].tobytes(), 0
            if clip is not None:
                families[clip, iteration].append((step, env))
            iteration += 1
    result = advantages.copy()
    for members in families.values():
        if len(members) > 1:
            rows, columns = np.array(members).T
            own = advantages[rows, columns]
            result[rows, columns] = (own - own.mean()) * len(members) / (len(members) - 1)
    return result
