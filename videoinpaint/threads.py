"""Reading and writing beside the computing: another thread fetches items ahead of it, or handles them behind it.

Decoders, encoders and numpy let go of Python's lock, so that a video is decoded and encoded while the networks compute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")

HELD = 4
"""Items that wait at most, so that memory stays bounded."""

_END: Any = object()


def ahead(items: Iterable[Item], count: int = HELD) -> Iterator[Item]:
    """The same items in the same order, `count` of them fetched while those before are worked on.

    The items are made by one other thread from the first to the last. What goes wrong with one is raised in its place.
    """
    source = iter(items)
    with ThreadPoolExecutor(1, "ahead") as pool:
        waiting: deque[Future[Item]] = deque()
        try:
            while True:
                while len(waiting) <= count:
                    waiting.append(pool.submit(next, source, _END))
                item = waiting.popleft().result()
                if item is _END:
                    return
                yield item
        finally:
            _cancel(waiting)


@contextmanager
def behind(call: Callable[[Item], Any], count: int = HELD) -> Iterator[Callable[[Item], None]]:
    """A function that has another thread call `call` with each item, in order; all is done when the block ends.

    Where `count` items wait it waits, too. What goes wrong is raised at a later item or at the end of the block; when
    the block itself fails, items that wait are dropped.
    """
    with ThreadPoolExecutor(1, "behind") as pool:
        waiting: deque[Future[Any]] = deque()

        def later(item: Item) -> None:
            while len(waiting) >= count or (waiting and waiting[0].done()):
                waiting.popleft().result()
            waiting.append(pool.submit(call, item))

        try:
            yield later
            while waiting:
                waiting.popleft().result()
        finally:
            _cancel(waiting)


def _cancel(waiting: Iterable[Future[Any]]) -> None:
    for job in waiting:
        job.cancel()
