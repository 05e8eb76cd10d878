"""Policies, baselines, PPO training, evaluation and the front door."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from videoinpaint.agents.policy import POLICIES, Policy, make_policy

if TYPE_CHECKING:
    from videoinpaint.agents.evaluation import EpisodeRecord, evaluate
    from videoinpaint.agents.export import load_policy, save_policy
    from videoinpaint.agents.networks import ClosedLoopExtractor, ClosedLoopPolicy
    from videoinpaint.agents.one_shot import propagate_mask
    from videoinpaint.agents.ppo import TrainConfig, TrainResult, train
    from videoinpaint.agents.repair import inpaint, inpaint_stream

__all__ = [
    "POLICIES",
    "ClosedLoopExtractor",
    "ClosedLoopPolicy",
    "EpisodeRecord",
    "Policy",
    "TrainConfig",
    "TrainResult",
    "evaluate",
    "inpaint",
    "inpaint_stream",
    "load_policy",
    "make_policy",
    "propagate_mask",
    "save_policy",
    "train",
]

_HOMES = {
    "evaluation": ("EpisodeRecord", "evaluate"),
    "export": ("load_policy", "save_policy"),
    "networks": ("ClosedLoopExtractor", "ClosedLoopPolicy"),
    "one_shot": ("propagate_mask",),
    "ppo": ("TrainConfig", "TrainResult", "train"),
    "repair": ("inpaint", "inpaint_stream"),
}


def __getattr__(name: str) -> Any:
    # Stable-Baselines3 takes seconds to import, and a baseline or the front door's fixed policies do not need it.
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"videoinpaint.agents.{module}"), name)
    raise AttributeError(f"module 'videoinpaint.agents' has no attribute {name!r}")
