"""A convolutional policy over an action grid: every cell's controls from the features around it.

The same weights act on any grid and on frames of any size. Convolutions continue the grid's border outwards, so that a
frame that looks alike everywhere gets one setting everywhere, whatever the grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from videoinpaint.agents.policies.cells import CHANNELS, cell_space, seen_by_cell
from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
from videoinpaint.agents.policies.heads import GaussianHead, StandardisedValue
from videoinpaint.agents.policies.inputs import PolicyInput, check_space
from videoinpaint.errors import InputError

WIDTH = 48
"""Channels of every layer."""


class CellExtractor(BaseFeaturesExtractor):
    """Features of cells ``(B, CHANNELS, rows, columns)``; nothing of it is learnt.

    Args:
        observation_space: ``frames (3T, H, W)`` and ``masks (T, H, W)``, or the ``cells`` measured of them.
        grid: rows and columns.
        white: what stands for 255 in frames and masks.

    Raises:
        InputError: another observation space.
    """

    def __init__(self, observation_space: spaces.Dict, grid: tuple[int, int] = (1, 1), white: float = 1.0) -> None:
        check_space(observation_space, cells=(CHANNELS, *grid))
        super().__init__(observation_space, CHANNELS)
        self.grid, self.white = grid, white

    def forward(self, observations: Mapping[str, Tensor]) -> Tensor:
        """See the class."""
        if "cells" in observations:
            return observations["cells"]
        scale = 255 / self.white
        return seen_by_cell(observations["frames"] * scale, observations["masks"] * scale, *self.grid)["cells"]


class CellLayers(nn.Module):
    """Convolutions over the grid, for actor and critic: ``(B, CHANNELS, rows, columns)`` to ``(B cells, WIDTH)``."""

    latent_dim_pi = latent_dim_vf = WIDTH

    def __init__(self) -> None:
        super().__init__()
        self.policy_net, self.value_net = _layers(), _layers()

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What actor and critic see."""
        return self.policy_net(features), self.value_net(features)

    def forward_actor(self, features: Tensor) -> Tensor:
        """What the actor sees."""
        return self.policy_net(features)

    def forward_critic(self, features: Tensor) -> Tensor:
        """What the critic sees."""
        return self.value_net(features)


class _CellByCell(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(0, 2)


def _layers() -> nn.Sequential:
    convolutions = [nn.Conv2d(WIDTH, WIDTH, 3, padding=1, padding_mode="replicate") for _ in range(2)]
    first = nn.Conv2d(CHANNELS, WIDTH, 1)
    return nn.Sequential(first, nn.ReLU(), convolutions[0], nn.ReLU(), convolutions[1], nn.ReLU(), _CellByCell())


class PooledValue(StandardisedValue):
    """Predicted returns as the mean of what every cell predicts."""

    def __init__(self, latent: int, cells: int) -> None:
        super().__init__(latent)
        self.cells = cells

    def forward(self, latent: Tensor) -> Tensor:
        """Predicted returns ``(B, 1)``."""
        return self.by_cell(latent).mean(1, keepdim=True)

    def by_cell(self, latent: Tensor) -> Tensor:
        """What every cell predicts, ``(B, cells)``, in units of the whole return."""
        return super().forward(latent).view(-1, self.cells)


class RegionalPolicy(ClosedLoopPolicy):
    """`ClosedLoopPolicy` with one Gaussian for each cell of an action grid, for environments with ``action_grid``.

    Raises:
        InputError: an action space that is no ``Box (rows, columns, 5)``; and see `ClosedLoopPolicy`.
    """

    extractor: ClassVar[type[BaseFeaturesExtractor]] = CellExtractor
    by_cell = True

    @classmethod
    def input_for(cls, action_shape: tuple[int, ...]) -> PolicyInput:
        """See `ClosedLoopPolicy`; features of the cells of the grid that acts, for clips of any shape."""
        rows, columns = _grid(action_shape)
        return PolicyInput(
            lambda num_frames, height, width: cell_space(rows, columns),
            partial(seen_by_cell, rows=rows, columns=columns),
        )

    def check_action_space(self, space: spaces.Space) -> dict[str, Any]:
        """The extractor's arguments that follow from the action space; see the class."""
        self.grid = _grid(space.shape if isinstance(space, spaces.Box) else ())
        return {"grid": self.grid}

    @property
    def cells(self) -> int:
        """Cells of the grid it is trained on."""
        return self.grid[0] * self.grid[1]

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = CellLayers().to(self.device)  # type: ignore[assignment]  # an MLP in the parent

    def _heads(self) -> tuple[GaussianHead, StandardisedValue]:
        return GaussianHead(WIDTH, self.lowest_action), PooledValue(WIDTH, self.cells)

    def _gaussian(self, latent_pi: Tensor) -> tuple[Tensor, Tensor]:
        mean, spread = self.action_net(latent_pi)
        return mean.view(-1, 5 * self.cells), spread.view(-1, 5 * self.cells)

    def evaluate_parts(self, observation: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As its parent's, all three cell by cell, ``(B, cells)``; values are in units of the whole return."""
        latent_pi, latent_vf = self.mlp_extractor(self.extract_features(observation))
        normal: Any = self._get_action_dist_from_latent(latent_pi).distribution
        by_cell = (len(latent_pi) // self.cells, self.cells, 5)
        log_probs = normal.log_prob(actions.view(-1, 5 * self.cells)).view(by_cell).sum(2)
        entropy = normal.entropy().view(by_cell).sum(2)
        assert isinstance(self.value_net, PooledValue)
        return self.value_net.by_cell(latent_vf), log_probs, entropy

    @torch.no_grad()
    def means(self, cells: Tensor) -> Tensor:
        """The means ``(B, rows, columns, 5)`` on features of cells ``(B, CHANNELS, rows, columns)``, of any grid."""
        mean, _ = self.action_net(self.mlp_extractor.forward_actor(cells))
        return mean.view(len(cells), *cells.shape[2:], 5)


def _grid(action_shape: tuple[int, ...]) -> tuple[int, int]:
    if len(action_shape) != 3 or action_shape[2] != 5:
        raise InputError(f"RegionalPolicy needs actions (rows, columns, 5), see action_grid, got shape {action_shape}")
    return action_shape[0], action_shape[1]
