"""Coming episodes, begun by threads while the present ones are played."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from videoinpaint.envs.states.episodes import Episode
from videoinpaint.protocols import State

Begin = Callable[[int], tuple[Episode, State]]


class Prefetch:
    """Begins the episode that each environment will play next, which its generator tells beforehand.

    Args:
        begin: seed -> the episode and its state, as without prefetching; called by several threads at once.
        next_seed: draws the seed of an environment's next episode from its generator.
        threads: how many episodes are begun at the same time.
    """

    def __init__(self, begin: Begin, next_seed: Callable[[np.random.Generator], int], threads: int) -> None:
        self._begin, self._next_seed, self._threads = begin, next_seed, threads
        self._idle()

    def _idle(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._expected: dict[int, int] = {}
        self._jobs: dict[int, Future[tuple[Episode, State]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What a copy needs: threads and what they do stay here, and the copy begins with none."""
        return {name: vars(self)[name] for name in ("_begin", "_next_seed", "_threads")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._idle()

    def expect(self, place: int, generator: np.random.Generator) -> None:
        """Begin what the environment at `place` plays next; `generator` is left as it is."""
        seed = self._next_seed(copy.deepcopy(generator))
        self._expected[place] = seed
        for stale in self._jobs.keys() - set(self._expected.values()):
            self._jobs.pop(stale).cancel()
        if seed not in self._jobs:
            self._jobs[seed] = self._started().submit(self._begin, seed)

    def take(self, seed: int) -> Episode | None:
        """The episode of a seed, begun, if it was expected. What went wrong with it is raised here."""
        job = self._jobs.get(seed)
        if job is None:
            return None
        episode, state = job.result()
        return replace(episode, begun=partial(list.pop, [state]))

    def close(self) -> None:
        """Stop the threads and forget what they began; may be called more than once, and :meth:`expect` begins anew."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._idle()

    def _started(self) -> ThreadPoolExecutor:
        if self._pool is None:
            # Threads of their own numbers would add up in another order.
            own = (torch.get_num_threads(),)
            self._pool = ThreadPoolExecutor(self._threads, "prefetch", torch.set_num_threads, own)
        return self._pool
