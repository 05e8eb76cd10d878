"""videoinpaint: learning to repair video. Importing it registers the environments with Gymnasium."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium

from videoinpaint.controls import Controls
from videoinpaint.version import __version__

__all__ = ["Controls", "__version__", "inpaint"]

_ENVS: dict[str, dict[str, Any]] = {
    "VideoInpaint-v0": {},
    # A price at which the best number of heads differs between clips (`python -m videoinpaint.benchmarks.price`), and
    # clips long enough for it to matter how far heads look. Improvement, not the absolute reward: under a price an
    # episode must not pay for being long.
    "VideoInpaintBudget-v0": {
        "compute_price": 0.1,
        "reward_weights": "fixed",
        "reward": "improvement",
        "num_frames": 16,
        "height": 80,
        "width": 144,
    },
    # Only the first frame's mask is known.
    "VideoInpaintOneShot-v0": {},
}

for _name, _kwargs in _ENVS.items():
    if _name not in gymnasium.registry:
        _kind = "VideoInpaintOneShot" if "OneShot" in _name else "VideoInpaint"
        gymnasium.register(
            id=_name,
            entry_point=f"videoinpaint.envs:{_kind}Env",
            vector_entry_point=f"videoinpaint.envs:{_kind}VectorEnv",
            kwargs=_kwargs,
        )


def __getattr__(name: str) -> Any:
    # The front door stands above every room; load it when it is called for, so that registration stays cheap.
    if name == "inpaint":
        return importlib.import_module("videoinpaint.agents.repair").inpaint
    raise AttributeError(f"module 'videoinpaint' has no attribute {name!r}")
