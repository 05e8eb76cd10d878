"""Trained policies as files: one safetensors file with what is needed to run it, and nothing that runs by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.policies import ActorCriticPolicy

from videoinpaint.agents.policies.acting import NetworkPolicy
from videoinpaint.agents.policies.cells import CHANNELS
from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
from videoinpaint.agents.policies.described import DETAILS, DescribedPolicy
from videoinpaint.agents.policies.extractor import WIDTHS
from videoinpaint.agents.policies.features import FEATURES
from videoinpaint.agents.policies.full_resolution import LAYERS, PaperPolicy
from videoinpaint.agents.policies.heads import LOG_STD
from videoinpaint.agents.policies.protocol import Policy
from videoinpaint.agents.policies.regional import WIDTH, RegionalPolicy
from videoinpaint.agents.policies.stock import StockPolicy, stock_network, told_of
from videoinpaint.agents.policies.thumbnails import THUMBNAIL
from videoinpaint.envs.actions import action_space, check_action_space
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.naming import stable_name
from videoinpaint.weights import build_seeded, check_tensors, path_of, read_file, save_safetensors

FORMAT = "videoinpaint-policy-1"
ARCHITECTURE = json.dumps({"thumbnail": THUMBNAIL, "widths": WIDTHS, "log_std": LOG_STD})
FULL = json.dumps({"layers": LAYERS, "log_std": LOG_STD})
"""What a file says of a `PaperPolicy`."""
BY_CELL = json.dumps({"cells": CHANNELS, "width": WIDTH, "log_std": LOG_STD})
"""What a file says of a `RegionalPolicy`."""

DESCRIBED = json.dumps({"described": [*FEATURES, *DETAILS], "log_std": LOG_STD})
"""What a file says of a `DescribedPolicy`."""

_KINDS: dict[str, type[ClosedLoopPolicy]] = {
    ARCHITECTURE: ClosedLoopPolicy,
    FULL: PaperPolicy,
    BY_CELL: RegionalPolicy,
    DESCRIBED: DescribedPolicy,
}

# Stable-Baselines3 holds a shared extractor under three names; a file holds it under one.
_ONE, _SAME = "features_extractor.", ("pi_features_extractor.", "vf_features_extractor.")


def save_policy(path: str | Path, network: ActorCriticPolicy, training: Mapping[str, Any] | None = None) -> Path:
    """Write a `ClosedLoopPolicy`, or a stock ``MultiInputPolicy``, actor and critic, whole or not at all.

    Args:
        path: a ``.safetensors`` file.
        network: the policy; of a model of Stable-Baselines3 its ``model.policy``.
        training: what to say about its training; anything JSON can hold.

    Raises:
        InputError: actor and critic look with different networks, which a file cannot say, or it is another policy, or
            one for other actions than an environment's own.
    """
    if not isinstance(network, ActorCriticPolicy):
        raise InputError(
            f"save_policy(path, model.policy) takes the policy of a PPO or an A2C, got a {type(network).__name__}"
        )
    if not network.share_features_extractor:
        raise InputError("only policies with share_features_extractor=True can be saved")
    metadata = {"format": FORMAT, "training": json.dumps(dict(training or {}), default=stable_name)}
    if isinstance(network, ClosedLoopPolicy):
        check_action_space(network.action_space, "a policy that is saved")
        metadata["architecture"] = next(told for told, kind in reversed(_KINDS.items()) if isinstance(network, kind))
        metadata["skips"] = json.dumps(network.skips)
    else:
        metadata["architecture"] = told_of(network)
    return save_safetensors(path, {k: v for k, v in network.state_dict().items() if not k.startswith(_SAME)}, metadata)


def load_policy(path: str | Path, *, device: str | torch.device = "cpu") -> NetworkPolicy | StockPolicy:
    """The policy in a file that `save_policy` wrote.

    Raises:
        MissingWeightsError: no such file.
        CorruptWeightsError: it is damaged, or holds something else, or a network of another shape.
    """
    path = path_of(f"policy {path}", path)
    if path.suffix != ".safetensors":
        raise CorruptWeightsError(
            f"{path} is no policy: policies are .safetensors files that `videoinpaint train` writes, or "
            "save_policy(path, model.policy)"
        )
    tensors, metadata = read_file(path)
    architecture = metadata.get("architecture", "")
    stock = architecture.startswith('{"stock"')
    if metadata.get("format") != FORMAT or not (stock or architecture in _KINDS):
        raise CorruptWeightsError(f"{path} is not a policy of this version ({FORMAT}): train it again")
    try:
        training = dict(json.loads(metadata.get("training", "{}")))
    except (ValueError, TypeError, RecursionError) as error:
        raise CorruptWeightsError(f"{path} does not say how it was trained ({error}): get or train it again") from error
    network: ActorCriticPolicy
    if stock:
        network = stock_network(architecture, tensors, str(path))
    else:
        network = blank_network(_KINDS[architecture], skips=metadata.get("skips") == "true")
    for name in [name for name in tensors if name.startswith(_ONE)]:
        tensors |= {same + name.removeprefix(_ONE): tensors[name] for same in _SAME}
    check_tensors(network, tensors, str(path))
    network.load_state_dict(tensors)
    if isinstance(network, ClosedLoopPolicy):
        return NetworkPolicy(network, training, device)
    return StockPolicy(network, training, device)


def trained_policy(device: str | torch.device = "cpu") -> Policy:
    """The policy that PPO trained in `VideoInpaint-v1`: CLIP-RL's loop (docs/models/policies.md).

    Raises:
        MissingWeightsError: it is not installed.
    """
    return load_policy(path_of("policy-trained"), device=device)


def trained_budget_policy(device: str | torch.device = "cpu") -> Policy:
    """The policy that ships for `VideoInpaintBudget-v0`, where computation has a price.

    Raises:
        MissingWeightsError: it is not installed.
    """
    return load_policy(path_of("policy-trained-budget"), device=device)


def trained_objective_policy(device: str | torch.device = "cpu") -> Policy:
    """The policy that ships for `VideoInpaint-v1`: it chooses fusion and objective by what a clip shows.

    Raises:
        MissingWeightsError: it is not installed.
    """
    return load_policy(path_of("policy-trained-objective"), device=device)


def trained_regions_policy(device: str | torch.device = "cpu") -> Policy:
    """The policy that ships for `VideoInpaintRegions-v1`: it chooses for every cell, and when to stop.

    Raises:
        MissingWeightsError: it is not installed.
    """
    return load_policy(path_of("policy-trained-regions"), device=device)


def blank_network(kind: type[ClosedLoopPolicy] = ClosedLoopPolicy, *, skips: bool = False) -> ClosedLoopPolicy:
    """An untrained network; its weights fit clips of any length and size. The global generator is left as it was.

    Args:
        kind: `ClosedLoopPolicy`, `PaperPolicy`, `DescribedPolicy`, or `RegionalPolicy`, whose weights fit any grid.
        skips: it may skip (see :mod:`videoinpaint.envs.skipping`).
    """
    shape = (1, 1, 5) if kind.by_cell else (5,)
    seen, actions = kind.input_for(shape).space(1, 32, 32), action_space(shape, skips=skips)
    return build_seeded(lambda: kind(seen, actions, lambda _: 0.0))
