"""Coming episodes, begun by threads while the present ones are played."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from videoinpaint.envs.episodes import Episode
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
        self._begin, self._next_seed = begin, next_seed
        # Threads of their own numbers would add up in another order.
        self._pool = ThreadPoolExecutor(threads, "prefetch", torch.set_num_threads, (torch.get_num_threads(),))
        self._expected: dict[int, int] = {}
        self._jobs: dict[int, Future[tuple[Episode, State]]] = {}

    def expect(self, place: int, generator: np.random.Generator) -> None:
        """Begin what the environment at `place` plays next; `generator` is left as it is."""
        seed = self._next_seed(copy.deepcopy(generator))
        self._expected[place] = seed
        for stale in self._jobs.keys() - set(self._expected.values()):
            self._jobs.pop(stale).cancel()
        if seed not in self._jobs:
            self._jobs[seed] = self._pool.submit(self._begin, seed)

    def take(self, seed: int) -> Episode | None:
        """The episode of a seed, begun, if it was expected. What went wrong with it is raised here."""
        job = self._jobs.get(seed)
        if job is None:
            return None
        episode, state = job.result()
        return replace(episode, begun=partial(list.pop, [state]))

    def close(self) -> None:
        """Stop the threads; may be called more than once."""
        self._pool.shutdown(wait=True, cancel_futures=True)
