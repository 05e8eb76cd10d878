"""Playing one episode again and again from the same beginning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray


def steps(
    env: gymnasium.Env, start: Any, actions: Iterable[NDArray[np.float32]]
) -> Iterator[tuple[dict[str, NDArray[np.uint8]], float, dict[str, Any]]]:
    """Observation, reward and info of every step from a state on, until the episode or the actions end."""
    base: Any = env.unwrapped
    base.set_state(start)
    for action in actions:
        observation, reward, ended, _, info = env.step(action)
        yield observation, float(reward), info
        if ended:
            return
