"""What a round of updates learns from: the steps of the rollout, and those of replayed trajectories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import DictRolloutBuffer
from torch import Tensor

from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
from videoinpaint.agents.ppo.replay import TrajectoryReplay, corrected_advantages, importance_weights

_CHUNK = 256  # observations evaluated at a time outside of the updates


@dataclass(frozen=True)
class Samples:
    """What one round of updates learns from, S steps.

    Attributes:
        observations: each ``(S, ...)``.
        actions: ``(S, A)``.
        log_probs: ``(S,)`` under the policy as it stands before the updates; ``(S, cells)`` of one that acts by cell.
        weights: ``(S,)``: how far that policy would have taken the action, against the one that did.
        advantages, returns: ``(S,)``; ``(S, cells)`` where it is known in which cells rewards arose.
    """

    observations: dict[str, NDArray[Any]]
    actions: NDArray[np.float32]
    log_probs: NDArray[np.float32]
    weights: NDArray[np.float32]
    advantages: NDArray[np.float32]
    returns: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.actions)

    def __add__(self, other: Samples) -> Samples:
        joined = {f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)[1:]}
        seen = {key: np.concatenate([values, other.observations[key]]) for key, values in self.observations.items()}
        return Samples(seen, **joined)


@torch.no_grad()
def evaluate(
    policy: ClosedLoopPolicy, seen: Mapping[str, NDArray], actions: NDArray
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Log probabilities and values under a policy, in bounded batches.

    Args:
        policy: as it stands.
        seen: what it looks at, each ``(S, ...)``.
        actions: ``(S, A)``.

    Returns:
        both ``(S,)``, or ``(S, cells)`` of a policy that acts by cell.
    """
    parts = []
    for start in range(0, len(actions), _CHUNK):
        cut = slice(start, start + _CHUNK)
        part = {key: torch.as_tensor(values[cut], device=policy.device) for key, values in seen.items()}
        values, log_probs, _ = policy.evaluate_parts(part, torch.as_tensor(actions[cut], device=policy.device))
        parts.append((log_probs.cpu().numpy(), values.cpu().numpy()))
    log_probs_all, values_all = zip(*parts)
    return np.concatenate(log_probs_all), np.concatenate(values_all)


def fresh_samples(
    policy: ClosedLoopPolicy,
    buffer: DictRolloutBuffer,
    gains: NDArray[np.float32],
    returns: NDArray[np.float32],
    max_weight: float | None,
) -> Samples:
    """The rollout, flattened.

    Args:
        policy: before the updates.
        buffer: the rollout, of S steps in E environments.
        gains: advantages ``(S, E)``, or ``(S, E, cells)``.
        returns: likewise.
        max_weight: bound of the weights where a stale behaviour policy collected the rollout; None where the policy
            itself did, and all weights are 1.
    """
    seen = {key: buffer.swap_and_flatten(values) for key, values in buffer.observations.items()}
    actions, acted = (buffer.swap_and_flatten(values) for values in (buffer.actions, buffer.log_probs))
    actions, acted = actions.astype(np.float32, copy=False), acted.flatten()
    log_probs, weights = acted, np.ones_like(acted)
    if max_weight is not None or policy.by_cell:  # the buffer holds those of whole actions
        log_probs, _ = evaluate(policy, seen, actions)
    if max_weight is not None:
        weights = _weights(log_probs, acted, max_weight)
    flat = (buffer.swap_and_flatten(values).reshape(len(actions), *values.shape[2:]) for values in (gains, returns))
    return Samples(seen, actions, log_probs, weights, *flat)


def replayed_samples(
    policy: ClosedLoopPolicy, replay: TrajectoryReplay, episodes: int, gamma: float, gae_lambda: float
) -> Samples:
    """Steps of old trajectories, with advantages under the present policy.

    Args:
        policy: before the updates.
        replay: not empty; its configuration says how many trajectories to take for each fresh one.
        episodes: fresh ones.
        gamma: discount.
        gae_lambda: of the advantages.
    """
    old = replay.sample(max(1, round(replay.config.ratio * episodes)))
    seen = {key: values[old.valid] for key, values in old.observations.items()}
    actions, acted = old.actions[old.valid], old.log_probs[old.valid]
    log_probs, values = evaluate(policy, seen, actions)
    values = values.reshape(len(values), -1).mean(1)
    weights = _weights(log_probs, acted, replay.config.max_weight)
    padded = [_scatter(steps, old.valid) for steps in (values, weights)]
    rewards, valid = torch.from_numpy(old.rewards), torch.from_numpy(old.valid)
    advantages, targets = corrected_advantages(padded[0], rewards, padded[1], valid, gamma, gae_lambda)
    return Samples(seen, actions, log_probs, weights, advantages.numpy()[old.valid], targets.numpy()[old.valid])


def _weights(log_probs: NDArray, acted: NDArray, max_weight: float) -> NDArray[np.float32]:
    whole = log_probs.reshape(len(acted), -1).sum(1)  # an action's cells are independent
    return importance_weights(torch.from_numpy(whole), torch.from_numpy(acted), max_weight).numpy()


def _scatter(steps: NDArray[np.float32], valid: NDArray[np.bool_]) -> Tensor:
    padded = np.zeros(valid.shape, dtype=np.float32)
    padded[valid] = steps
    return torch.from_numpy(padded)
