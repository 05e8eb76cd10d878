"""Trained networks that act."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
from videoinpaint.agents.policies.protocol import Observation, everywhere
from videoinpaint.agents.policies.regional import RegionalPolicy
from videoinpaint.controls import clip_action
from videoinpaint.envs.ids import spec_of
from videoinpaint.errors import InputError, UnknownNameError


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
        """See :class:`videoinpaint.agents.policies.protocol.Policy`."""
        if isinstance(self.network, RegionalPolicy):
            return self.act_by_cell(observation, 1, 1)[:, 0, 0]
        seen = self.network.input_for((5,)).look(*self._pictures(observation))
        means = self.network.get_distribution(seen).mode()
        return clip_action(means.cpu().numpy(), self.network.skips)

    @torch.no_grad()
    def act_by_cell(self, observation: Observation, rows: int, columns: int) -> NDArray[np.float32]:
        """See :class:`videoinpaint.agents.policies.protocol.ActsByCell`."""
        if not isinstance(self.network, RegionalPolicy):
            return everywhere(self.act(observation), rows, columns)
        seen = self.network.input_for((rows, columns, 5)).look(*self._pictures(observation))
        return clip_action(self.network.means(seen["cells"]).cpu().numpy(), self.network.skips)

    def _pictures(self, observation: Observation) -> tuple[torch.Tensor, torch.Tensor]:
        frames, masks = (torch.from_numpy(np.asarray(observation[key])).to(self.device) for key in ("frames", "masks"))
        if frames.ndim != 4 or masks.ndim != 4 or frames.shape[1] != 3 * masks.shape[1]:
            shapes = f"{tuple(frames.shape)} and {tuple(masks.shape)}"
            raise InputError(f"act() takes a batch of frames (B, 3T, H, W) and masks (B, T, H, W), got {shapes}")
        return frames, masks
