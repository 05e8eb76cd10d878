"""Policies, PPO training and evaluation."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from videoinpaint.agents.policies import POLICIES, Policy, make_policy, shipped_policy

if TYPE_CHECKING:
    from videoinpaint.agents.evaluation import EpisodeRecord, evaluate
    from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
    from videoinpaint.agents.policies.export import load_policy, save_policy
    from videoinpaint.agents.policies.extractor import ClosedLoopExtractor
    from videoinpaint.agents.ppo import TrainConfig, TrainResult, train

__all__ = [
    "POLICIES",
    "ClosedLoopExtractor",
    "ClosedLoopPolicy",
    "EpisodeRecord",
    "Policy",
    "TrainConfig",
    "TrainResult",
    "evaluate",
    "load_policy",
    "make_policy",
    "save_policy",
    "shipped_policy",
    "train",
]

_HOMES = {
    "evaluation": ("EpisodeRecord", "evaluate"),
    "policies.export": ("load_policy", "save_policy"),
    "policies.closed_loop": ("ClosedLoopPolicy",),
    "policies.extractor": ("ClosedLoopExtractor",),
    "ppo": ("TrainConfig", "TrainResult", "train"),
}


def __getattr__(name: str) -> Any:
    # Stable-Baselines3 takes seconds to import, and a baseline does not need it.
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"videoinpaint.agents.{module}"), name)
    raise AttributeError(f"module 'videoinpaint.agents' has no attribute {name!r}")
