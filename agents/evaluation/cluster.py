"""Episodes on a Ray cluster: the tasks of :mod:`videoinpaint.agents.evaluation.tasks`, with the same records.

Ray is an extra, ``pip install 'videoinpaint[ray]'``. Every machine of the cluster needs this package, in the same
version, and what else the policy and the environment are made of.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from videoinpaint.agents.evaluation.record import EpisodeRecord
from videoinpaint.agents.evaluation.tasks import Task, work
from videoinpaint.agents.policies.policy import Policy
from videoinpaint.errors import InputError, VideoInpaintError
from videoinpaint.naming import one_line
from videoinpaint.processes import ATTEMPTS, one_thread

LOCAL = "local"
"""In place of an address: a cluster of this machine alone, which ends with the evaluation."""
ALONE = {
    # Ray gives its processes the lowest priority but four, and beside any other work they would hardly run.
    "_system_config": {"worker_niceness": 0},
    "_node_ip_address": "127.0.0.1",
    "include_dashboard": False,
}
"""Options of `ray.init` for it."""


def play_on_cluster(
    policy: str | Path | Policy,
    tasks: Sequence[Task],
    address: str = LOCAL,
    *,
    name: str | None = None,
    on_done: Callable[[], Any] | None = None,
    **options: Any,
) -> list[EpisodeRecord]:
    """All tasks' records, in order; each is a Ray task of one processor.

    Args:
        policy: anything that `make_policy` takes and that can be pickled, a name at best.
        tasks: each is played from beginning to end by one process; one whose process dies is played again.
        address: ``"local"``, ``"auto"`` for the cluster that runs here, or where one is: ``host:port``, ``ray://...``.
        name: what records call the policy.
        on_done: called whenever a task is done.
        options: further ones of `ray.init`.

    Raises:
        InputError: Ray is not installed, no cluster answers, what `evaluate` refuses, or a task whose process died
            again and again.
    """
    with cluster(address, **options) as ray:
        remote = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(_alone)
        waiting = {remote.remote(policy, task, name): index for index, task in enumerate(tasks)}
        found: dict[int, list[EpisodeRecord]] = {}
        while waiting:
            done, _ = ray.wait(list(waiting), num_returns=1)
            for one in done:
                found[waiting.pop(one)] = _result(ray, one)
                if on_done is not None:
                    on_done()
    return [record for index in range(len(tasks)) for record in found[index]]


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


def _alone(policy: Any, task: Task, name: str | None) -> list[EpisodeRecord]:
    """In a worker of the cluster; its environment is kept for the next task."""
    one_thread()
    return work(policy, task, name)


def _result(ray: Any, reference: Any) -> list[EpisodeRecord]:
    try:
        found: list[EpisodeRecord] = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, VideoInpaintError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise InputError(f"a task's process on the cluster died {ATTEMPTS} times: {type(error).__name__}") from error
    return found
