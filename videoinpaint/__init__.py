"""videoinpaint: learning to repair video. Importing it registers the environments with Gymnasium."""

from __future__ import annotations

# ruff: noqa: E402
from videoinpaint.interrupts import end_command_at_once

end_command_at_once()  # before anything is loaded that takes time

import importlib
from typing import Any

from videoinpaint.controls import Controls
from videoinpaint.registration import register_environments
from videoinpaint.version import __version__

__all__ = ["Controls", "__version__", "inpaint"]

register_environments()


def __getattr__(name: str) -> Any:
    # The front door stands above every room; load it when it is called for, so that registration stays cheap.
    if name == "inpaint":
        return importlib.import_module("videoinpaint.repair.front_door").inpaint
    raise AttributeError(f"module 'videoinpaint' has no attribute {name!r}")
