"""Repairing videos of any length: with masks given, with the first frame's mask alone, and by internal learning."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videoinpaint.repair.front_door import inpaint
    from videoinpaint.repair.given_masks import inpaint_stream
    from videoinpaint.repair.one_mask import propagate_mask

__all__ = ["inpaint", "inpaint_stream", "propagate_mask"]

_HOMES = {"inpaint": "front_door", "inpaint_stream": "given_masks", "propagate_mask": "one_mask"}


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, and the help of a command that repairs needs only the defaults.
    if name in _HOMES:
        return getattr(importlib.import_module(f"videoinpaint.repair.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'videoinpaint.repair' has no attribute {name!r}")
