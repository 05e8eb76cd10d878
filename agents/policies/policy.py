"""Finding a policy: by name, by ``module:attribute`` or in a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from videoinpaint.agents.policies.protocol import Policy
from videoinpaint.errors import InputError, MissingWeightsError
from videoinpaint.files import user_path
from videoinpaint.naming import stable_name
from videoinpaint.registry import Registry, call_plugin, is_factory

SHIPPED = "shipped"
"""The name that stands for the policy which ships for an environment, whichever that is."""

_MADE_FOR = {
    "VideoInpaint-v0": "trained",
    "VideoInpaint-v1": "trained-objective",
    "VideoInpaintBudget-v0": "trained-budget",
    "VideoInpaintOneShot-v0": "trained",
    "VideoInpaintOneShot-v1": "trained",
    "VideoInpaintRegions-v0": "trained-budget",
    "VideoInpaintRegions-v1": "trained-regions",
}

POLICIES = Registry(
    "policy",
    {
        "default": "videoinpaint.agents.policies.baselines:FixedPolicy",
        "trained": "videoinpaint.agents.policies.export:trained_policy",
        "trained-budget": "videoinpaint.agents.policies.export:trained_budget_policy",
        "trained-objective": "videoinpaint.agents.policies.export:trained_objective_policy",
        "trained-holes": "videoinpaint.agents.policies.composed:trained_holes_policy",
        "trained-regions": "videoinpaint.agents.policies.export:trained_regions_policy",
        "random": "videoinpaint.agents.policies.baselines:RandomPolicy",
        "heads4": "videoinpaint.agents.policies.baselines:heads4",
        "heads8": "videoinpaint.agents.policies.baselines:heads8",
        "heads12": "videoinpaint.agents.policies.baselines:heads12",
        "fusion65": "videoinpaint.agents.policies.baselines:fusion65",
        "fusion80": "videoinpaint.agents.policies.baselines:fusion80",
        "fixed-bias": "videoinpaint.agents.policies.baselines:fixed_bias",
        "fixed-average": "videoinpaint.agents.policies.baselines:fixed_average",
        "heads4then2": "videoinpaint.agents.policies.baselines:heads4then2",
        "heads6then2": "videoinpaint.agents.policies.baselines:heads6then2",
        "heads6once": "videoinpaint.agents.policies.baselines:heads6once",
        "heads12once": "videoinpaint.agents.policies.baselines:heads12once",
        "heads8holes": "videoinpaint.agents.policies.baselines:heads8holes",
        "heuristic": "videoinpaint.agents.policies.baselines:HeuristicPolicy",
    },
    group="videoinpaint.policies",
)


def make_policy(
    spec: str | Path | Policy | Callable[..., Any], *, seed: int = 0, device: str | torch.device = "cpu"
) -> Policy:
    """A policy from whatever names one.

    Args:
        spec: one of ``POLICIES.names()``; ``"module:attribute"`` of a policy, a class or a factory; a safetensors file
            or a folder that `train` wrote; or a policy (returned as it is).
        seed: of a policy that draws at random.
        device: where a network computes. Both are passed only to factories that take them.

    Raises:
        UnknownNameError: nothing answers to the name.
        MissingWeightsError, CorruptWeightsError: a file is absent, or does not hold a policy.
        InputError: what the name leads to has no ``act``: a model of Stable-Baselines3 is written to a file first.
        PluginError: a policy of your own fails while it is imported or built.
    """
    if isinstance(spec, Path) or (isinstance(spec, str) and _names_a_file(spec)):
        from videoinpaint.agents.policies.export import load_policy

        return load_policy(policy_file(spec), device=device)
    found: Any = POLICIES.find(spec) if isinstance(spec, str) else spec
    if not isinstance(found, type) and callable(getattr(found, "predict", None)) and not hasattr(found, "act"):
        raise InputError(
            f"a {type(found).__name__} of Stable-Baselines3 acts by predict(): write it with save_policy(path, "
            "model.policy), from videoinpaint.agents.policies.export, and give the path"
        )
    name = stable_name(spec)
    policy = call_plugin(name, "policy", found, seed=seed, device=device) if is_factory(found, ("act",)) else found
    if not callable(getattr(policy, "act", None)):
        raise InputError(f"{name!r} is no policy: it needs a method act(observation) -> actions (B, 5)")
    return policy


def shipped_policy(env_id: str) -> str:
    """The name of the policy that ships for an environment: the one trained there, or nearest to it.

    Args:
        env_id: a registered id, with its module or without. Of an environment of your own it is ``default``.
    """
    return _MADE_FOR.get(env_id.rpartition(":")[2], "default")


def policy_file(path: str | Path) -> Path:
    """The policy behind a path: the file itself, or ``policy.safetensors`` of a training run's folder.

    Raises:
        MissingWeightsError: there is none.
    """
    path = user_path(path)
    file = path / "policy.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise MissingWeightsError(
            f"no policy at {file}: name a .safetensors file, or a folder `videoinpaint train` wrote"
        )
    return file


def _names_a_file(spec: str) -> bool:
    return spec.endswith(".safetensors") or (spec not in POLICIES.names() and os.path.exists(os.path.expanduser(spec)))
