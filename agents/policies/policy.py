"""What a policy is, and how one is found by name, by ``module:attribute`` or in a file."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from videoinpaint.errors import InputError, MissingWeightsError
from videoinpaint.registry import Registry

Observation = dict[str, NDArray[np.uint8]]
"""``frames`` uint8 ``(B, 3T, H, W)`` and ``masks`` uint8 ``(B, T, H, W)``: always a batch, also of one."""

POLICIES = Registry(
    "policy",
    {
        "default": "videoinpaint.agents.policies.export:default_policy",
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
        "heuristic": "videoinpaint.agents.policies.baselines:HeuristicPolicy",
    },
)


@runtime_checkable
class Policy(Protocol):
    """Anything that chooses actions.

    A policy may also have ``reset()``: whoever runs it calls that once before a series of episodes, so that a policy
    with a memory or a random generator gives the same series twice.
    """

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """Actions float32 ``(B, 5)`` in [-1, 1] (heads, fusion, alpha, beta, gamma) for a batch of observations."""
        ...


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
        InputError: what the name leads to has no ``act``.
    """
    if isinstance(spec, Path) or (isinstance(spec, str) and _names_a_file(spec)):
        from videoinpaint.agents.policies.export import load_policy

        return load_policy(policy_file(spec), device=device)
    found: Any = POLICIES.factory(spec) if isinstance(spec, str) else spec
    policy = _call(found, seed=seed, device=device) if _is_factory(found) else found
    if not callable(getattr(policy, "act", None)):
        raise InputError(f"{spec!r} is no policy: it needs a method act(observation) -> actions (B, 5)")
    return policy


def policy_file(path: str | Path) -> Path:
    """The policy behind a path: the file itself, or ``policy.safetensors`` of a training run's folder.

    Raises:
        MissingWeightsError: there is none.
    """
    path = Path(path).expanduser()
    file = path / "policy.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise MissingWeightsError(
            f"no policy at {file}: name a .safetensors file, or a folder `videoinpaint train` wrote"
        )
    return file


def check_actions(actions: Any, count: int, name: str = "the policy") -> NDArray[np.float32]:
    """What a policy returned, as float32 ``(B, 5)`` clipped to [-1, 1].

    Raises:
        InputError: another shape, or values that are not finite.
    """
    array = np.asarray(actions, dtype=np.float32)
    if array.shape != (count, 5):
        raise InputError(f"{name} must return actions of shape {(count, 5)}, got {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{name} returned actions that are not finite: {array.tolist()}")
    return np.clip(array, -1.0, 1.0)


def reset_policy(policy: Policy) -> None:
    """Call the policy's ``reset()`` if it has one."""
    reset = getattr(policy, "reset", None)
    if callable(reset):
        reset()


def _names_a_file(spec: str) -> bool:
    return spec.endswith(".safetensors") or (spec not in POLICIES.names() and Path(spec).expanduser().exists())


def _is_factory(found: Any) -> bool:
    return inspect.isclass(found) or (callable(found) and not hasattr(found, "act"))


def _call(factory: Callable[..., Any], **offered: Any) -> Any:
    """Call a factory with those of the offered arguments that it takes: a plug-in need not know of them."""
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return factory()
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return factory(**{name: value for name, value in offered.items() if takes_all or name in parameters})
