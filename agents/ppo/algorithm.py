"""PPO with the paper's two additions, both off unless asked for: trajectory replay, a synchronised behaviour policy."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
from videoinpaint.agents.policies.heads import StandardisedValue
from videoinpaint.agents.policies.regional import RegionalPolicy
from videoinpaint.agents.ppo.cell_credit import (
    cell_advantages,
    group_cell_advantages,
    rewards_by_cell,
    smoothed,
    values_by_cell,
)
from videoinpaint.agents.ppo.config import ReplayConfig
from videoinpaint.agents.ppo.group_baseline import group_advantages
from videoinpaint.agents.ppo.replay import TrajectoryReplay
from videoinpaint.agents.ppo.samples import Samples, fresh_samples, replayed_samples
from videoinpaint.agents.ppo.view import Arose
from videoinpaint.checks import find_unusable
from videoinpaint.errors import DivergedError, InputError


class ClosedLoopPPO(PPO):
    """Stable-Baselines3's PPO for `ClosedLoopPolicy`.

    Differences from its parent: advantages are normalised over the whole rollout instead of each minibatch, the value
    loss is taken in units of the returns' deviation, and two options of CLIP-RL, Section 4.1. With both, the surrogate
    of each sample is clipped around the policy as it was before the updates, and weighted by how far that policy
    departs from the one that acted; where nothing is stale the weights are 1 and this is plain PPO.

    Args:
        env: a `VecEnv` of Dict observations.
        replay: keep and use old trajectories; None not to.
        sync_every: a behaviour policy collects the rollouts and is copied from the learner after so many rounds of
            updates; 1 keeps them one.
        group_size: so many neighbouring environments play the same clips, and are each other's baseline
            (:mod:`videoinpaint.agents.ppo.group_baseline`); 1 for none.
        final_ent_coef: what the weight of the entropy bonus falls to, linearly over the training; None: it stays.
        max_weight: bound of the importance weights of a stale behaviour policy's steps.
        cell_credit: a policy that acts by cell learns from where rewards arose, which infos must say
            (:mod:`videoinpaint.agents.ppo.cell_credit`); else every cell learns from the whole reward.
        **kwargs: as for `stable_baselines3.PPO`.

    Raises:
        DivergedError: while it learns, where the loss or a weight is not finite.
        InputError: `sync_every` or `group_size` below 1, environments that do not divide into groups, or observations
            that are not a Dict.
    """

    policy: ClosedLoopPolicy
    rollout_buffer: DictRolloutBuffer

    def __init__(
        self,
        env: VecEnv,
        *,
        replay: ReplayConfig | None = None,
        sync_every: int = 1,
        group_size: int = 1,
        final_ent_coef: float | None = None,
        max_weight: float = ReplayConfig.max_weight,
        cell_credit: bool = False,
        policy: type[ClosedLoopPolicy] = ClosedLoopPolicy,
        **kwargs: Any,
    ) -> None:
        if sync_every < 1:
            raise InputError(f"sync_every must be 1 or more rounds of updates, got {sync_every}")
        if group_size < 1 or env.num_envs % group_size:
            raise InputError(f"num_envs={env.num_envs} cannot be split into groups of group_size={group_size}")
        if not isinstance(env.observation_space, spaces.Dict):
            raise InputError(f"ClosedLoopPPO learns from Dict observations, got {env.observation_space}")
        if cell_credit and (replay is not None or not policy.by_cell):
            raise InputError("cell_credit is for policies that act by cell, without replay")
        self.cell_credit = cell_credit
        self._arose = np.zeros((0, 0, 0), np.float32)
        self.replay_config, self.sync_every, self.max_weight = replay, sync_every, max_weight
        self.group_size, self.final_ent_coef = group_size, final_ent_coef
        # Before the rollout that is being collected.
        self.episodes_begun = np.zeros(env.num_envs, np.int64)
        self.replay: TrajectoryReplay | None = None
        self.behaviour: ClosedLoopPolicy | None = None
        self._set_aside: ClosedLoopPolicy | None = None
        self.rounds_since_sync = 0
        super().__init__(policy, env, **kwargs)

    def _setup_model(self) -> None:
        super()._setup_model()
        if self.replay_config is not None:
            assert isinstance(self.observation_space, spaces.Dict)
            actions = self.rollout_buffer.action_dim
            self.replay = TrajectoryReplay(self.observation_space, actions, self.replay_config, self.seed or 0)
        if self.sync_every > 1:
            self.behaviour = copy.deepcopy(self.policy).requires_grad_(False)

    @property
    def learner(self) -> ClosedLoopPolicy:
        """The policy that is trained; while a rollout is collected, `policy` is the one that acts."""
        return self.policy if self._set_aside is None else self._set_aside

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """As the parent's, by the behaviour policy; complete episodes go to the replay."""
        self._set_aside = learner = self.policy
        self.policy = learner if self.behaviour is None else self.behaviour
        if self.cell_credit:
            view: Any = env
            view.arose = arose = Arose()
        try:
            going_on = super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)
        finally:
            self.policy, self._set_aside = learner, None
        if going_on and self.cell_credit:
            self._arose = rewards_by_cell(self.policy, arose, n_rollout_steps, self.gamma)
        if going_on and self.replay is not None:
            assert isinstance(rollout_buffer, DictRolloutBuffer)
            assert self._last_episode_starts is not None
            self.replay.add_rollout(rollout_buffer, self._last_episode_starts.astype(bool))
        return going_on

    def train(self) -> None:
        """One round of updates: `n_epochs` passes over the rollout and, if kept, as many replayed trajectories."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        variance = explained_variance(self.rollout_buffer.values.flatten(), self.rollout_buffer.returns.flatten())
        stale = self.max_weight if self.rounds_since_sync else None
        samples = fresh_samples(self.policy, self.rollout_buffer, *self._credit(), stale)
        self.episodes_begun += (self.rollout_buffer.episode_starts != 0).sum(axis=0)
        self._standardised_value().update(torch.as_tensor(samples.returns, device=self.device))
        if self.replay is not None and len(self.replay):
            # An episode of the rollout for every start of one, so that the ratio is one of trajectories.
            episodes = max(1, int(self.rollout_buffer.episode_starts.sum()))
            samples += replayed_samples(self.policy, self.replay, episodes, self.gamma, self.gae_lambda)
        assert callable(self.clip_range)
        clip = float(self.clip_range(self._current_progress_remaining))
        logs = self._epochs(samples, clip)
        if wrong := find_unusable(self.policy.state_dict()):
            raise DivergedError(f"training went astray: of the policy's weights, {wrong}; lower the learning rate")
        for name in logs[0]:
            self.logger.record(f"train/{name}", float(np.mean([log[name] for log in logs])))
        self.logger.record("train/explained_variance", variance)
        self.logger.record("train/entropy_weight", self.entropy_weight())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/importance_weight", float(samples.weights.mean()))
        self._synchronise()

    def _standardised_value(self) -> StandardisedValue:
        assert isinstance(self.policy.value_net, StandardisedValue)
        return self.policy.value_net

    def _credit(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The rollout's advantages and returns ``(S, E)``; with `cell_credit` ``(S, E, cells)``."""
        buffer = self.rollout_buffer
        starts, gains, returns = buffer.episode_starts, buffer.advantages, buffer.returns
        if not self.cell_credit:
            if self.group_size > 1:
                gains = group_advantages(gains, starts, self.group_size, self.episodes_begun)
            return gains, returns
        assert isinstance(self.policy, RegionalPolicy)
        assert isinstance(self._last_obs, dict)
        assert self._last_episode_starts is not None
        values = values_by_cell(self.policy, buffer, self._last_obs)
        starts = np.concatenate([starts, self._last_episode_starts[None]]) != 0
        gains = cell_advantages(self._arose, values, starts, self.gamma, self.gae_lambda)
        returns = gains + values[:-1]
        if self.group_size > 1:
            gains = group_cell_advantages(gains, starts[:-1], self.group_size, self.episodes_begun)
        return smoothed(gains, self.policy.grid), returns

    def _epochs(self, samples: Samples, clip: float) -> list[dict[str, float]]:
        advantages = samples.advantages
        if self.normalize_advantage:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        logs: list[dict[str, float]] = []
        for _ in range(self.n_epochs):
            order = torch.randperm(len(samples)).numpy()
            for start in range(0, len(order), self.batch_size):
                loss, log = self._loss(samples, advantages, order[start : start + self.batch_size], clip)
                logs.append(log)
                # Half as much again, as Stable-Baselines3 has it: a minibatch's estimate of the divergence is noisy.
                if self.target_kl is not None and log["approx_kl"] > 1.5 * self.target_kl:
                    return logs
                _check_number(loss, "loss")
                self.policy.optimizer.zero_grad()
                loss.backward()
                _check_number(clip_grad_norm_(self.policy.parameters(), self.max_grad_norm), "length of the gradient")
                self.policy.optimizer.step()
            self._n_updates += 1
        return logs

    def _loss(
        self, samples: Samples, advantages: NDArray, rows: NDArray, clip: float
    ) -> tuple[Tensor, dict[str, float]]:
        """Clipped surrogate, value error and entropy bonus of a minibatch, and what to log of them."""
        old, weights, gain, returns = (
            torch.as_tensor(values[rows], device=self.device)
            for values in (samples.log_probs, samples.weights, advantages, samples.returns)
        )
        seen = {key: torch.as_tensor(values[rows], device=self.device) for key, values in samples.observations.items()}
        actions = torch.as_tensor(samples.actions[rows], device=self.device)
        values, log_probs, entropy = self.policy.evaluate_parts(seen, actions)
        # By cell the surrogate is clipped cell by cell: the ratio of whole actions would be a product of very many.
        weights, gain = (x.view(-1, *[1] * (log_probs.ndim - x.ndim), *x.shape[1:]) for x in (weights, gain))
        # A ratio of e^20 says all there is to say; an infinite one would leave no number in the gradient.
        log_ratio = (log_probs - old).clamp(-20, 20)
        ratio = log_ratio.exp()
        surrogate = torch.min(gain * ratio, gain * ratio.clamp(1 - clip, 1 + clip))
        policy_loss = -(weights * surrogate).mean()
        unit = self._standardised_value().std
        values = values.mean(1) if values.ndim > returns.ndim else values
        value_loss = F.mse_loss(values / unit, returns / unit)
        loss = policy_loss + self.vf_coef * value_loss - self.entropy_weight() * entropy.mean()
        with torch.no_grad():
            log = {
                "policy_gradient_loss": float(policy_loss),
                "value_loss": float(value_loss),
                "entropy": float(entropy.mean()),
                "approx_kl": float((ratio - 1 - log_ratio).mean()),
                "clip_fraction": float(((ratio - 1).abs() > clip).float().mean()),
            }
        return loss, log

    def entropy_weight(self) -> float:
        """The weight of the entropy bonus now."""
        if self.final_ent_coef is None:
            return self.ent_coef
        left = min(max(self._current_progress_remaining, 0.0), 1.0)  # the last rollout may end beyond the steps
        return self.final_ent_coef + (self.ent_coef - self.final_ent_coef) * left

    def _synchronise(self) -> None:
        if self.behaviour is None:
            return
        self.rounds_since_sync += 1
        if self.rounds_since_sync >= self.sync_every:
            self.behaviour.load_state_dict(self.policy.state_dict())
            self.rounds_since_sync = 0


def _check_number(value: Tensor, what: str) -> None:
    if not torch.isfinite(value):
        raise DivergedError(f"training went astray: the {what} is {float(value)}; lower the learning rate")
