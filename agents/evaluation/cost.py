"""What an episode costs as a whole: operations of everything the loop runs, and seconds a frame."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from videoinpaint.clips import make_clips, make_masks
from videoinpaint.envs.core import Core
from videoinpaint.envs.states.episodes import EpisodeSource
from videoinpaint.inpainters.published.cost import count_flops


@dataclass(frozen=True)
class FixedCost:
    """What passes do not tell about a loop, for one clip.

    Attributes:
        begin: GFLOPs of `begin`: of one-shot episodes with all that follows the target.
        detection: GFLOPs of one call of the detector.
    """

    begin: float
    detection: float


_KNOWN: WeakKeyDictionary[Core, FixedCost] = WeakKeyDictionary()


def fixed_cost(core: Core) -> FixedCost:
    """Count what `begin` and a detection cost, once an environment, on a studio clip of its shape with seed 0.

    Both are taken to depend on the clip's shape alone, so that every episode, machine and batch gets the same number.
    Matrix products and convolutions are counted, in training too, whichever kernel torch picks for attention
    (:func:`videoinpaint.inpainters.published.cost.count_flops`). OpenCV's flow, NumPy, scikit-learn, sampling and
    element-wise arithmetic are not.
    """
    if core not in _KNOWN:
        one_shot = core.propagator is not None
        name = None if core.propagator is None else core.propagator.name
        clips = make_clips("one_shot" if one_shot else "studio")
        source = EpisodeSource(clips, make_masks("stationary"), core.shape, name)
        episode = source.draw(np.random.default_rng(0), 0, None)
        devices = [core.device] if core.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):  # parts that draw must not play other episodes for being counted
            state, begin = count_flops(partial(core.begin_loop, [episode]))
            detect = partial(core.loop.detector.detect, state["repaired"], state["holes"])
            _, detection = count_flops(torch.no_grad()(detect))
        _KNOWN[core] = FixedCost(begin / 1e9, detection / 1e9)
    return _KNOWN[core]


class Stopwatch:
    """Seconds that a loop works, for each clip: a batch's time is shared equally by the clips in it.

    Args:
        core: the parts of an environment; where they run on a GPU, it is waited for.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self._worked: dict[str, tuple[float, int]] = {}  # seconds and clips

    @contextmanager
    def __call__(self, part: str, items: int) -> Iterator[None]:
        """See :class:`videoinpaint.envs.loop.Clock`."""
        start = self._now()
        yield
        seconds, clips = self._worked.get(part, (0.0, 0))
        self._worked[part] = seconds + self._now() - start, clips + items

    def take(self, part: str) -> float:
        """Seconds a clip of a part's work since the last call; of no part anything is left."""
        (seconds, clips), self._worked = self._worked.get(part, (0.0, 1)), {}
        return seconds / clips

    def costs(self, iterations: int, seconds: float) -> dict[str, Any]:
        """What a record says about an episode of so many iterations whose clip took so many seconds."""
        once = fixed_cost(self.core)
        per_frame = seconds / self.core.shape[0]
        return {
            "gflops_begin": once.begin,
            "gflops_detector": once.detection * iterations,
            "seconds_per_frame": per_frame,
        }

    def _now(self) -> float:
        if self.core.device.type == "cuda":
            torch.cuda.synchronize(self.core.device)
        return time.perf_counter()


@contextmanager
def timed(env: Any) -> Iterator[Stopwatch | None]:
    """A stopwatch at the loop of a vector environment; None where it is not this package's."""
    core = getattr(env.unwrapped, "core", None)
    if not isinstance(core, Core):
        yield None
        return
    watch = core.loop.clock = Stopwatch(core)
    try:
        yield watch
    finally:
        core.loop.clock = None
