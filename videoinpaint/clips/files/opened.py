"""What sources have opened and remember, which several threads may ask for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

KEPT = 256
"""Listings and indices that a source remembers: thousands of clips or masks must not fill the memory."""

_KEEPING = threading.Lock()  # of the module, as a source that holds one could not be pickled

Key = TypeVar("Key")
Opened = TypeVar("Opened")


def kept(opened: dict[Key, Opened], key: Key, opener: Callable[[], Opened]) -> Opened:
    """What an opener opens, remembered in ``opened``; the first of more than ``KEPT`` is forgotten.

    Several threads may ask; they wait for each other only to remember.
    """
    found = opened.get(key)
    if found is not None:
        return found
    fresh = opener()
    with _KEEPING:
        found = opened.setdefault(key, fresh)
        if len(opened) > KEPT:
            opened.pop(next(iter(opened)))
    return found
