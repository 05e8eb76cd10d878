"""Trajectory replay (CLIP-RL, Section 4.1): a bounded ring of whole episodes, used again with importance weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import DictRolloutBuffer
from torch import Tensor

from videoinpaint.agents.ppo.config import ReplayConfig
from videoinpaint.checks import whole_number
from videoinpaint.errors import InputError


@dataclass(frozen=True)
class Trajectories:
    """K episodes, padded with zeros to L steps.

    Attributes:
        observations: each ``(K, L, ...)``.
        actions: float32 ``(K, L, A)``, before clipping.
        rewards: float32 ``(K, L)``.
        log_probs: float32 ``(K, L)`` under the policy that acted.
        valid: bool ``(K, L)``: the first steps of each, as many as it has.
    """

    observations: dict[str, NDArray[Any]]
    actions: NDArray[np.float32]
    rewards: NDArray[np.float32]
    log_probs: NDArray[np.float32]
    valid: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rewards)


class TrajectoryReplay:
    """A ring buffer of complete episodes in preallocated arrays, uint8 for what is seen.

    The memory is only claimed as it fills, and never exceeds ``config.max_bytes``; when full, new episodes replace the
    oldest.

    Args:
        space: the observations.
        actions: their number of dimensions.
        config: see :class:`ReplayConfig`.
        seed: of the sampling.

    Raises:
        InputError: not one episode fits.
    """

    def __init__(self, space: spaces.Dict, actions: int, config: ReplayConfig, seed: int = 0) -> None:
        self.config = config
        length = config.max_steps
        shapes = _kept(space, actions)
        self.bytes_each = trajectory_bytes(space, actions, length)
        self.slots = min(config.trajectories, config.max_bytes // self.bytes_each)
        if self.slots < 1:
            raise InputError(
                f"a trajectory takes {self.bytes_each} bytes, replay has {config.max_bytes} for {config.trajectories}: "
                "allow more memory"
            )
        # Zeros that nobody has written to take no memory.
        self._data = {name: np.zeros((self.slots, length, *shape), dtype) for name, (shape, dtype) in shapes.items()}
        self._lengths = np.zeros(self.slots, dtype=np.int64)
        self._next = self._filled = 0
        self._rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return self._filled

    @property
    def nbytes(self) -> int:
        """Bytes of the ring when full."""
        return self._lengths.nbytes + sum(array.nbytes for array in self._data.values())

    def add(self, seen: Mapping[str, NDArray], actions: NDArray, rewards: NDArray, log_probs: NDArray) -> None:
        """Keep one episode; each array leads with its steps. Episodes of more than ``max_steps`` are left out."""
        steps = len(rewards)
        if not 0 < steps <= self.config.max_steps:
            return
        row = {f"seen/{key}": values for key, values in seen.items()}
        row |= {"actions": actions, "rewards": rewards, "log_probs": log_probs}
        for name, array in self._data.items():
            array[self._next] = 0
            array[self._next, :steps] = row[name]
        self._lengths[self._next] = steps
        self._next = (self._next + 1) % self.slots
        self._filled = min(self._filled + 1, self.slots)

    def add_rollout(self, buffer: DictRolloutBuffer, ended: NDArray[np.bool_]) -> int:
        """Keep the episodes that began and ended within a rollout; returns how many.

        Args:
            buffer: full, and not yet drawn from.
            ended: ``(num_envs,)``: whether the last step of each environment ended an episode.
        """
        count = 0
        for env in range(buffer.n_envs):
            starts = np.flatnonzero(buffer.episode_starts[:, env]).tolist()
            stops = starts[1:] + ([buffer.buffer_size] if ended[env] else [])
            for start, stop in zip(starts, stops):
                cut = slice(start, stop)
                seen = {key: values[cut, env] for key, values in buffer.observations.items()}
                self.add(seen, buffer.actions[cut, env], buffer.rewards[cut, env], buffer.log_probs[cut, env])
                count += 1
        return count

    def sample(self, count: int) -> Trajectories:
        """`count` episodes drawn uniformly, with replacement.

        Raises:
            InputError: it is empty.
        """
        if not self._filled:
            raise InputError("the replay holds no trajectory yet: collect a rollout first")
        rows = self._rng.integers(self._filled, size=count)
        lengths = self._lengths[rows]
        longest = int(lengths.max())
        data = {name: array[rows, :longest] for name, array in self._data.items()}
        seen = {name.removeprefix("seen/"): data.pop(name) for name in list(data) if name.startswith("seen/")}
        return Trajectories(seen, **data, valid=np.arange(longest) < lengths[:, None])

    def get_state(self) -> dict[str, Any]:
        """Everything it holds, as tensors and plain values."""
        data = {name: torch.from_numpy(array[: self._filled].copy()) for name, array in self._data.items()}
        lengths = torch.from_numpy(self._lengths[: self._filled].copy())
        return {"data": data, "lengths": lengths, "next": self._next, "rng": self._rng.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`get_state`, for a ring of the same size.

        Raises:
            InputError: it holds more than fits here.
        """
        filled, place = len(state["lengths"]), whole_number(state["next"], "the replay's next place", 0, self.slots - 1)
        if filled > self.slots:
            raise InputError(f"the saved replay holds {filled} trajectories, here {self.slots} fit")
        if filled and not 1 <= int(state["lengths"].min()) <= int(state["lengths"].max()) <= self.config.max_steps:
            raise InputError(f"the saved replay's trajectories are not of 1 to {self.config.max_steps} steps")
        self._filled = filled
        for name, array in self._data.items():
            array[: self._filled] = state["data"][name].numpy()
        self._lengths[: self._filled] = state["lengths"].numpy()
        self._next = place
        self._rng.bit_generator.state = state["rng"]


def _kept(space: spaces.Dict, actions: int) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and type of what is kept of a step."""
    seen = {f"seen/{key}": (box.shape or (), box.dtype or np.dtype(np.uint8)) for key, box in space.spaces.items()}
    single = np.dtype(np.float32)
    return seen | {"actions": ((actions,), single), "rewards": ((), single), "log_probs": ((), single)}


def trajectory_bytes(space: spaces.Dict, actions: int, steps: int) -> int:
    """Memory of one trajectory's place in the ring.

    Args:
        space: the observations.
        actions: their number of dimensions.
        steps: that a place has room for.
    """
    a_step = sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in _kept(space, actions).values())
    return 8 + steps * a_step


def importance_weights(log_probs: Tensor, behaviour: Tensor, max_weight: float) -> Tensor:
    """``min(pi / mu, max_weight)``: 1 where the policy that acted is the present one."""
    return torch.exp(log_probs - behaviour).clamp(max=max_weight)


def corrected_advantages(
    values: Tensor, rewards: Tensor, weights: Tensor, valid: Tensor, gamma: float, gae_lambda: float
) -> tuple[Tensor, Tensor]:
    """Advantages and value targets of complete episodes that another policy played (V-trace: Espeholt et al., 2018).

    ``A_t = r_t + gamma V_{t+1} - V_t + gamma lambda min(1, w_{t+1}) A_{t+1}``, target ``V_t + min(1, w_t) A_t``: later
    actions count as far as the present policy would take them. With weights of 1 this is generalised advantage
    estimation.

    Args:
        values, rewards, weights, valid: ``(K, L)``; the value after the last valid step is 0.

    Returns:
        advantages and targets, ``(K, L)``, 0 where not valid.
    """
    trust = weights.clamp(max=1.0)
    advantages = torch.zeros_like(values)
    following = torch.zeros_like(values[:, 0])
    next_value = torch.zeros_like(values[:, 0])
    for t in range(values.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        advantages[:, t] = torch.where(valid[:, t], delta + gamma * gae_lambda * following, 0.0)
        following = trust[:, t] * advantages[:, t]
        next_value = torch.where(valid[:, t], values[:, t], 0.0)
    return advantages, torch.where(valid, values + trust * advantages, 0.0)
