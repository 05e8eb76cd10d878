"""Measuring in processes of their own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any, TypeVar

Found = TypeVar("Found")


def apart(work: Callable[..., Found], *arguments: Any) -> Found:
    """``work(*arguments)`` in a new process, whose memory nothing else has touched; all of it must be picklable."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)
