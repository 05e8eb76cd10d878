"""The same call for many items, as tasks of a Ray cluster; one whose process dies is begun again.

Ray is an extra, ``pip install 'videoinpaint[ray]'``. Every machine of the cluster needs this package, in the same
version, and what else the items name.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from videoinpaint.errors import InputError, VideoInpaintError
from videoinpaint.naming import one_line
from videoinpaint.processes import ATTEMPTS, one_thread

Item = TypeVar("Item")
Result = TypeVar("Result")

LOCAL = "local"
"""In place of an address: a cluster of this machine alone, which ends with the work."""
ALONE = {
    # Ray gives its processes the lowest priority but four, and beside any other work they would hardly run.
    "_system_config": {"worker_niceness": 0},
    "_node_ip_address": "127.0.0.1",
    "include_dashboard": False,
}
"""Options of `ray.init` for it."""


def on_cluster(
    call: Callable[[Item], Result], items: Sequence[Item], address: str = LOCAL, **options: Any
) -> Iterator[tuple[int, Result]]:
    """What `call` gives for every item, with the item's place, as soon as it is there.

    Args:
        call: of a module; it must be possible to pickle it and the items.
        items: each is a Ray task of one processor and one thread; one whose process dies is begun again.
        address: ``"local"``, ``"auto"`` for the cluster that runs here, or where one is: ``host:port``, ``ray://...``.
        options: further ones of `ray.init`.

    Raises:
        InputError: Ray is not installed, no cluster answers, or a task's process died again and again.
        VideoInpaintError: what `call` raises.
    """
    with cluster(address, **options) as ray:
        remote = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(_alone)
        waiting = {remote.remote(call, item): place for place, item in enumerate(items)}
        while waiting:
            done, _ = ray.wait(list(waiting), num_returns=1)
            for one in done:
                place = waiting.pop(one)
                yield place, _result(ray, one)


@contextmanager
def cluster(address: str = LOCAL, **options: Any) -> Iterator[Any]:
    """Ray, connected within the block; a connection that was there before stays.

    Raises:
        InputError: Ray is not installed, or no cluster answers.
    """
    try:
        import ray
    except ImportError:
        raise InputError("a cluster needs Ray: pip install 'videoinpaint[ray]'") from None
    mine = not ray.is_initialized()
    if mine:
        if address == LOCAL:
            options = {**ALONE, **options}
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it sends statistics to its makers
        elif address != "auto":
            _check_reachable(address)
        try:
            ray.init(address, log_to_driver=False, logging_level="warning", **options)
        except (ConnectionError, ValueError, RuntimeError, AssertionError) as error:
            raise _unreachable(address, error) from error
    try:
        yield ray
    finally:
        if mine:
            ray.shutdown()


def _check_reachable(address: str) -> None:
    """See that something answers: where nothing does, Ray waits for a minute and ends the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> InputError:
    return InputError(f"no Ray cluster at {one_line(address)} ({one_line(error)[:200]}): say local, auto, or host:port")


def _alone(call: Callable[[Item], Result], item: Item) -> Result:
    """In a worker of the cluster."""
    one_thread()
    return call(item)


def _result(ray: Any, reference: Any) -> Any:
    try:
        found = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, VideoInpaintError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise InputError(f"a task's process on the cluster died {ATTEMPTS} times: {type(error).__name__}") from error
    return found
