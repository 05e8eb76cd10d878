"""Trained policies as files: one safetensors file with what is needed to run it, and nothing that runs by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from videoinpaint.agents.policies.cells import CHANNELS, cell_features
from videoinpaint.agents.policies.full_resolution import LAYERS, PaperPolicy, picture_space, stacked
from videoinpaint.agents.policies.networks import (
    LOG_STD,
    THUMBNAIL,
    WIDTHS,
    ClosedLoopPolicy,
    thumbnail_space,
    thumbnails,
)
from videoinpaint.agents.policies.protocol import Observation
from videoinpaint.agents.policies.regional import WIDTH, RegionalPolicy, cell_space
from videoinpaint.controls import clip_action, least_action
from videoinpaint.envs.ids import spec_of
from videoinpaint.errors import CorruptWeightsError, InputError, UnknownNameError
from videoinpaint.naming import stable_name
from videoinpaint.weights import check_tensors, path_of, read_file, save_safetensors

FORMAT = "videoinpaint-policy-1"
ARCHITECTURE = json.dumps({"thumbnail": THUMBNAIL, "widths": WIDTHS, "log_std": LOG_STD})
FULL = json.dumps({"layers": LAYERS, "log_std": LOG_STD})
"""What a file says of a `PaperPolicy`."""
BY_CELL = json.dumps({"cells": CHANNELS, "width": WIDTH, "log_std": LOG_STD})
"""What a file says of a `RegionalPolicy`."""

_KINDS: dict[str, type[ClosedLoopPolicy]] = {ARCHITECTURE: ClosedLoopPolicy, FULL: PaperPolicy, BY_CELL: RegionalPolicy}

# Stable-Baselines3 holds a shared extractor under three names; a file holds it under one.
_ONE, _SAME = "features_extractor.", ("pi_features_extractor.", "vf_features_extractor.")


class NetworkPolicy:
    """A trained `ClosedLoopPolicy` that acts: the mean of its Gaussian, clipped to the actions of its environment.

    A `RegionalPolicy` acts on any grid, and on a frame as a whole as on a grid of one cell; any other chooses the same
    for all cells.

    Args:
        network: the policy; it is put into evaluation mode.
        training: what the file says about its training.
        device: where it computes.
    """

    def __init__(
        self, network: ClosedLoopPolicy, training: Mapping[str, Any] | None = None, device: str | torch.device = "cpu"
    ) -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device)
        self.network.set_training_mode(False)
        self.training = dict(training or {})

    @property
    def by_cell(self) -> bool:
        """Whether it may choose otherwise from cell to cell."""
        return self.network.by_cell

    @property
    def trained_grid(self) -> Any:
        """The action grid that it was trained over, as its file has it; None where it acts for frames or says none."""
        env, env_id = self.training.get("env"), self.training.get("env_id")
        grid = env.get("action_grid") if isinstance(env, Mapping) else None
        # An id with a module before it would import that, and files come from anywhere.
        if not self.by_cell or grid is not None or not isinstance(env_id, str) or ":" in env_id:
            return grid if self.by_cell else None
        try:
            return spec_of(env_id).kwargs.get("action_grid")
        except UnknownNameError:
            return None

    @torch.no_grad()
    def act(self, observation: Observation) -> NDArray[np.float32]:
        """See :class:`videoinpaint.agents.policies.policy.Policy`."""
        if isinstance(self.network, RegionalPolicy):
            return self.act_by_cell(observation, 1, 1)[:, 0, 0]
        frames, masks = self._pictures(observation)
        full = isinstance(self.network, PaperPolicy)
        seen = {"pictures": stacked(frames, masks)} if full else {"thumbnails": thumbnails(frames, masks)}
        means = self.network.get_distribution(seen).mode()
        return clip_action(means.cpu().numpy(), self.network.skips)

    @torch.no_grad()
    def act_by_cell(self, observation: Observation, rows: int, columns: int) -> NDArray[np.float32]:
        """See :class:`videoinpaint.agents.policies.protocol.ActsByCell`."""
        if not isinstance(self.network, RegionalPolicy):
            alike = self.act(observation)[:, None, None]
            return np.broadcast_to(alike, (len(alike), rows, columns, 5)).copy()
        cells = cell_features(thumbnails(*self._pictures(observation)), rows, columns)
        return clip_action(self.network.means(cells).cpu().numpy(), self.network.skips)

    def _pictures(self, observation: Observation) -> tuple[torch.Tensor, torch.Tensor]:
        frames, masks = (torch.from_numpy(np.asarray(observation[key])).to(self.device) for key in ("frames", "masks"))
        if frames.ndim != 4 or masks.ndim != 4 or frames.shape[1] != 3 * masks.shape[1]:
            shapes = f"{tuple(frames.shape)} and {tuple(masks.shape)}"
            raise InputError(f"act() takes a batch of frames (B, 3T, H, W) and masks (B, T, H, W), got {shapes}")
        return frames, masks


def save_policy(path: str | Path, network: ClosedLoopPolicy, training: Mapping[str, Any] | None = None) -> Path:
    """Write a `ClosedLoopPolicy`, actor and critic, whole or not at all.

    Args:
        path: a ``.safetensors`` file.
        network: the policy.
        training: what to say about its training; anything JSON can hold.

    Raises:
        InputError: actor and critic look with different networks, which a file cannot say.
    """
    if not network.share_features_extractor:
        raise InputError("only policies with share_features_extractor=True can be saved")
    metadata = {
        "format": FORMAT,
        "architecture": next(told for told, kind in reversed(_KINDS.items()) if isinstance(network, kind)),
        "skips": json.dumps(network.skips),
        "training": json.dumps(dict(training or {}), default=stable_name),
    }
    return save_safetensors(path, {k: v for k, v in network.state_dict().items() if not k.startswith(_SAME)}, metadata)


def load_policy(path: str | Path, *, device: str | torch.device = "cpu") -> NetworkPolicy:
    """The policy in a file that `save_policy` wrote.

    Raises:
        MissingWeightsError: no such file.
        CorruptWeightsError: it is damaged, or holds something else, or a network of another shape.
    """
    path = path_of(f"policy {path}", path)
    if path.suffix != ".safetensors":
        raise CorruptWeightsError(
            f"{path} is no policy: policies are .safetensors files that `videoinpaint train` writes"
        )
    tensors, metadata = read_file(path)
    if metadata.get("format") != FORMAT or metadata.get("architecture") not in _KINDS:
        raise CorruptWeightsError(f"{path} is not a policy of this version ({FORMAT}): train it again")
    try:
        training = dict(json.loads(metadata.get("training", "{}")))
    except (ValueError, TypeError, RecursionError) as error:
        raise CorruptWeightsError(f"{path} does not say how it was trained ({error}): get or train it again") from error
    network = blank_network(_KINDS[metadata["architecture"]], skips=metadata.get("skips") == "true")
    for name in [name for name in tensors if name.startswith(_ONE)]:
        tensors |= {same + name.removeprefix(_ONE): tensors[name] for same in _SAME}
    check_tensors(network, tensors, str(path))
    network.load_state_dict(tensors)
    return NetworkPolicy(network, training, device)


def trained_policy(device: str | torch.device = "cpu") -> NetworkPolicy:
    """The policy that ships for `VideoInpaint-v1` (docs/models/policies.md).

    Raises:
        MissingWeightsError: it is not installed.
    """
    return load_policy(path_of("policy-trained"), device=device)


def trained_budget_policy(device: str | torch.device = "cpu") -> NetworkPolicy:
    """The policy that ships for `VideoInpaintBudget-v0`, where computation has a price.

    Raises:
        MissingWeightsError: it is not installed.
    """
    return load_policy(path_of("policy-trained-budget"), device=device)


def trained_regions_policy(device: str | torch.device = "cpu") -> NetworkPolicy:
    """The policy that ships for `VideoInpaintRegions-v1`: it chooses for every cell, and when to stop.

    Raises:
        MissingWeightsError: it is not installed.
    """
    return load_policy(path_of("policy-trained-regions"), device=device)


def blank_network(kind: type[ClosedLoopPolicy] = ClosedLoopPolicy, *, skips: bool = False) -> ClosedLoopPolicy:
    """An untrained network; its weights fit clips of any length and size. The global generator is left as it was.

    Args:
        kind: `ClosedLoopPolicy`, `PaperPolicy`, or `RegionalPolicy`, whose weights fit any grid.
        skips: it may skip (see :mod:`videoinpaint.envs.skipping`).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        lowest = least_action(skips)
        actions = spaces.Box(lowest, np.ones_like(lowest), dtype=np.float32)
        if kind is RegionalPolicy:
            one_cell = spaces.Box(lowest[None, None], np.ones((1, 1, 5), np.float32), dtype=np.float32)
            return RegionalPolicy(cell_space(1, 1), one_cell, lambda _: 0.0)
        space = picture_space(1, 32, 32) if kind is PaperPolicy else thumbnail_space(1)
        return kind(space, actions, lambda _: 0.0)
