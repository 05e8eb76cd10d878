"""Forked workers: what a process must do before it computes in a copy of another that already has.

A fork copies memory, not threads: in the child, a pool of threads that the parent had started waits for ever for
threads that are not there. Gymnasium's `AsyncVectorEnv` forks (on Linux, before Python 3.14), and its parent has built
an environment by then.
"""

from __future__ import annotations

import os

from videoinpaint.processes import one_thread


def guard_forks() -> None:
    """Make every process that is forked from this one from now on begin with :func:`one_thread`."""
    if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
        os.register_at_fork(after_in_child=one_thread)


guard_forks()  # an import happens once a process, and children inherit it
