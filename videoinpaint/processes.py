"""The same call for many items, in several processes at once; a process that dies takes nothing with it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

import cv2
import torch

from videoinpaint.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

ATTEMPTS = 3
"""How often an item is begun whose process dies."""


def in_processes(
    call: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    on_done: Callable[[], Any] | None = None,
) -> list[Result]:
    """What `call` gives for every item, in order.

    Args:
        call: of a module, so that it can be pickled, as can the items.
        items: each is worked on by one process, with one thread.
        workers: processes. One that dies is replaced, and its item is begun again.
        on_done: called whenever an item is done.

    Raises:
        InputError: an item's process died again and again.
        Exception: what `call` raises.
    """
    found: dict[int, Result] = {}
    for _ in range(ATTEMPTS):
        missing = [index for index in range(len(items)) if index not in found]
        if not missing:
            break
        with _pool(min(workers, len(missing))) as pool:
            _collect(pool, call, {index: items[index] for index in missing}, found, on_done)
    if len(found) < len(items):
        raise InputError(f"the processes that work died {ATTEMPTS} times: is there enough memory for {workers}?")
    return [found[index] for index in range(len(items))]


def _collect(
    pool: ProcessPoolExecutor,
    call: Callable[[Item], Result],
    missing: dict[int, Item],
    found: dict[int, Result],
    on_done: Callable[[], Any] | None,
) -> None:
    """Do what is missing; what a dead process did not finish stays missing."""
    running: dict[Future[Result], int] = {}
    try:
        for index, item in missing.items():
            running[pool.submit(call, item)] = index
        for future in as_completed(running):
            found[running[future]] = future.result()
            if on_done is not None:
                on_done()
    except BrokenProcessPool:
        done = [f for f in running if f.done() and not f.cancelled() and f.exception() is None]
        found.update({running[future]: future.result() for future in done})


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    # Not forked: a copy of a process whose libraries run threads may wait for ever.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), one_thread)
    try:
        yield pool
    finally:
        # Whatever went wrong, what waits would only keep it from being told; where nothing did, nothing waits.
        pool.shutdown(cancel_futures=True)


def one_thread() -> None:
    """Compute in this process with the calling thread alone: several of them share a machine, and numbers must not
    depend on how many."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
