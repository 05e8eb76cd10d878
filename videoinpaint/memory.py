"""How much memory a process takes, now and at its peak, and where to keep what stays for long."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

ALIGNED = 64
"""Bytes at whose multiples arrays begin, as vector instructions like it."""


def apart(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Copies of arrays in pages of their own, which go back to the system with the last of them.

    Among what is allocated and freed all the time, a few small arrays that stay would keep whole heaps from being
    given back.
    """
    starts, end = {}, 0
    for name, array in arrays.items():
        starts[name], end = end, end + -(-array.nbytes // ALIGNED) * ALIGNED
    flags = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}  # not on Windows
    pages = mmap.mmap(-1, max(end, 1), **flags)
    copies = {}
    for name, array in arrays.items():
        copies[name] = np.ndarray(array.shape, array.dtype, pages, starts[name])
        copies[name][...] = array
    return copies


def give_back() -> None:
    """Give memory that is free in this process back to the system, where it can be asked to (glibc)."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError, TypeError):  # Windows names no library None
        ctypes.CDLL(None).malloc_trim(0)


def held_bytes() -> int:
    """The memory that this process holds now, in bytes; where the system does not tell, the most so far."""
    return _told("VmRSS") or peak_bytes()


def peak_bytes() -> int:
    """The most memory that this process has held at once, in bytes; 0 where the system does not tell (Windows).

    On Linux from the kernel's own account: what `resource` tells begins with the peak of the process that started it.
    """
    if (told := _told("VmHWM")) or resource is None:
        return told or 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _told(name: str) -> int | None:
    status = Path("/proc/self/status")
    found = re.search(rf"{name}:\s+(\d+) kB", status.read_text(encoding="utf-8")) if status.is_file() else None
    return None if found is None else int(found[1]) * 1024
