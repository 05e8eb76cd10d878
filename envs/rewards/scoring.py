"""What a step earns: the terms of its reward, the price of what it computed, and where in the frame they arose."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.controls import ALPHA, BETA, DEFAULT, GAMMA, mean_controls
from videoinpaint.device import fetched
from videoinpaint.envs.loop import Round
from videoinpaint.envs.rewards.reward import Reward
from videoinpaint.envs.rewards.reward_map import apportioned, changed, improvement_by_cell, saved_by_cell
from videoinpaint.envs.settings import Settings
from videoinpaint.envs.states.batch import within
from videoinpaint.precision import autocast
from videoinpaint.protocols import Inpainter, State, weights_of_cells
from videoinpaint.regions import summed


class Scoring:
    """How the settings make rewards of metrics.

    Args:
        settings: the environment's.
        reward: what measures.
        inpainter: what repairs.
    """

    def __init__(self, settings: Settings, reward: Reward, inpainter: Inpainter) -> None:
        self.settings, self.reward, self.inpainter = settings, reward, inpainter

    def terms(
        self, metrics: State, before: State, controls: NDArray, share: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """The named terms whose sum is the reward, each ``(B,)``: Eq. 6 and the price of compute."""
        weights = [torch.from_numpy(values) for values in self._weights(controls)]
        terms = as_numpy(self.reward.combine(metrics, *weights)[1])
        if self.settings.reward == "improvement":
            # Both repairs under this step's weights, so that changing the weights earns nothing by itself.
            earlier = as_numpy(self.reward.combine(before, *weights)[1])
            terms = {name: values - earlier[name] for name, values in terms.items()}
        return terms | {"compute": 0.0 - self.settings.compute_price * share}  # 0.0 -: no negative zeros

    def to_the_end(
        self, terms: dict[str, NDArray[np.float64]], ended: NDArray[np.bool_], iteration: Tensor
    ) -> dict[str, NDArray[np.float64]]:
        """An absolute reward pays for the last repair to the end: an episode that ends early must not earn less."""
        if self.settings.reward != "absolute":
            return terms
        times = np.where(ended, self.settings.max_iterations - iteration.numpy() + 1, 1)
        return {name: values if name == "compute" else values * times for name, values in terms.items()}

    @torch.no_grad()
    def by_cell(
        self,
        state: State,
        done: Round,
        features: list[Tensor] | None,
        terms: dict[str, NDArray[np.float64]],
        controls: NDArray,
    ) -> NDArray[np.float64]:
        """Where the terms of a step arose, ``(B, rows, columns)``; see :mod:`videoinpaint.envs.rewards.reward_map`."""
        assert self.settings.action_grid is not None
        truth, repairs = within("reward", state), (state["loop/repaired"], done.state["repaired"])
        masks, grid = state["loop/masks"], self.settings.action_grid
        with autocast(self.reward.device, "float32"):  # whatever the caller's, as the reward itself
            missing = summed(masks.mean(1)[:, 0], grid)
            known = fetched({"heads": weights_of_cells(self.inpainter, masks, grid), "missing": missing})
            better = fetched(improvement_by_cell(self.reward, truth, *repairs, grid, features))
        alpha, beta, _ = (weight.astype(np.float64)[:, None, None] for weight in self._weights(controls))
        found = {
            name: changed((alpha if name in ("ssim", "psnr") else beta) * values, known["missing"])
            for name, values in better.items()
        }
        saved = self.settings.compute_price + terms["compute"]
        found["compute"] = saved_by_cell(controls, known["heads"], saved)
        return apportioned(terms, found, known["missing"])

    def _weights(self, controls: NDArray) -> list[NDArray]:
        """Alpha, beta and gamma of the reward, each ``(B,)``."""
        controls = mean_controls(controls)
        if self.settings.reward_weights == "fixed":
            controls = np.broadcast_to(DEFAULT.to_array(), controls.shape)
        return [controls[:, i].copy() for i in (ALPHA, BETA, GAMMA)]


def as_numpy(values: State) -> dict[str, NDArray[np.float64]]:
    """Tensors as float64 arrays."""
    return {name: tensor.double().numpy() for name, tensor in values.items()}
