"""PPO with replay and a synchronised behaviour policy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from videoinpaint.agents.ppo.algorithm import ClosedLoopPPO
from videoinpaint.agents.ppo.replay import ReplayConfig
from videoinpaint.agents.ppo.samples import Samples, fresh_samples, replayed_samples
from videoinpaint.agents.ppo.view import TrainingView
from videoinpaint.errors import InputError

REPLAY = ReplayConfig(trajectories=50, max_steps=3)


def make(env: VecEnv, **kwargs: Any) -> ClosedLoopPPO:
    settings = {"n_steps": 6, "batch_size": 6, "n_epochs": 2, "learning_rate": 1e-2, "seed": 0, "device": "cpu"}
    return ClosedLoopPPO(TrainingView(env), **(settings | kwargs))


def weights_of(policy: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in policy.parameters()])


def test_plain_by_default(toy_vec: VecEnv) -> None:
    model = make(toy_vec)
    assert model.replay is None
    assert model.behaviour is None
    before = weights_of(model.policy)
    model.learn(18)
    assert not torch.equal(before, weights_of(model.policy))


def test_same_seed_same_bits(toy_env: type) -> None:
    runs = [make(DummyVecEnv([toy_env] * 2), replay=REPLAY).learn(36) for _ in range(2)]
    assert torch.equal(weights_of(runs[0].policy), weights_of(runs[1].policy))


def test_replay_fills_and_learns(toy_vec: VecEnv) -> None:
    model = make(toy_vec, replay=REPLAY)
    model.learn(18)
    assert model.replay is not None
    assert len(model.replay) == 6  # 3 environments, two episodes of 3 steps each
    model.learn(36, reset_num_timesteps=False)
    assert len(model.replay) == 18


def fresh(model: ClosedLoopPPO, max_weight: float | None) -> Samples:
    """The last rollout as the next round of updates would see it."""
    buffer = model.rollout_buffer
    return fresh_samples(model.policy, buffer, buffer.advantages, buffer.returns, max_weight)


def test_replayed_weights_are_one_while_the_policy_is_unchanged(toy_vec: VecEnv) -> None:
    model = make(toy_vec, replay=REPLAY, learning_rate=0.0)
    model.learn(18)
    assert model.replay is not None
    samples = replayed_samples(model.policy, model.replay, 6, 0.9, 0.9)
    np.testing.assert_allclose(samples.weights, 1, atol=1e-4)
    with torch.no_grad():
        model.policy.action_net.linear.bias.add_(0.5)
    moved = replayed_samples(model.policy, model.replay, 6, 0.9, 0.9)
    assert np.abs(moved.weights - 1).max() > 0.1
    assert moved.weights.max() <= REPLAY.max_weight


def test_behaviour_lags_and_is_synchronised(toy_vec: VecEnv) -> None:
    model = make(toy_vec, sync_every=3)
    assert model.behaviour is not None
    start = weights_of(model.behaviour)
    model.learn(18)
    assert torch.equal(weights_of(model.behaviour), start)
    assert not torch.equal(weights_of(model.policy), start)
    model.learn(18, reset_num_timesteps=False)
    assert model.rounds_since_sync == 2
    samples = fresh(model, max_weight=model.max_weight)
    assert np.abs(samples.weights - 1).max() > 1e-3
    model.learn(18, reset_num_timesteps=False)
    assert model.rounds_since_sync == 0
    assert torch.equal(weights_of(model.behaviour), weights_of(model.policy))


def test_the_behaviour_policy_is_the_one_that_acts(toy_vec: VecEnv) -> None:
    model = make(toy_vec, sync_every=10, n_epochs=4)
    model.learn(36)
    buffer = model.rollout_buffer
    seen = {k: torch.from_numpy(buffer.swap_and_flatten(v)) for k, v in buffer.observations.items()}
    actions = torch.from_numpy(model.rollout_buffer.swap_and_flatten(model.rollout_buffer.actions))
    acted = torch.from_numpy(model.rollout_buffer.swap_and_flatten(model.rollout_buffer.log_probs)).flatten()
    assert model.behaviour is not None
    by_behaviour, by_learner = (p.evaluate_actions(seen, actions)[1] for p in (model.behaviour, model.policy))
    torch.testing.assert_close(by_behaviour, acted, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(by_learner, acted, atol=1e-2)


def test_a_policy_far_from_the_one_that_acted_still_has_a_gradient(toy_vec: VecEnv) -> None:
    model = make(toy_vec)
    model.learn(18)
    near = fresh(model, max_weight=None)
    far = replace(near, log_probs=near.log_probs - 500)  # a ratio of e^500, which no float32 holds
    loss, _ = model._loss(far, -np.ones(len(far), np.float32), np.arange(len(far)), 0.2)
    loss.backward()
    gradients = [p.grad for p in model.policy.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_the_loss_is_that_of_ppo_with_values_in_units_of_the_returns_deviation(toy_vec: VecEnv) -> None:
    model = make(toy_vec, vf_coef=0.7, ent_coef=0.02)
    model.learn(18)
    known, rng, clip = fresh(model, max_weight=None), np.random.default_rng(0), 0.2
    old = known.log_probs + rng.normal(0, 0.4, len(known)).astype(np.float32)
    weights, gains = rng.uniform(0.2, 2, len(known)).astype(np.float32), rng.normal(size=len(known)).astype(np.float32)
    samples = replace(known, log_probs=old, weights=weights)
    loss, _ = model._loss(samples, gains, np.arange(len(known)), clip)
    seen = {key: torch.from_numpy(values) for key, values in known.observations.items()}
    with torch.no_grad():
        values, log_probs, entropy = model.policy.evaluate_actions(seen, torch.from_numpy(known.actions))
    assert entropy is not None
    ratios = np.exp(log_probs.numpy() - old)
    assert (abs(ratios - 1) > clip).any()
    # A ratio beyond the bound pays no more; one on the wrong side of the other bound still costs.
    paid = [g * (min(r, 1 + clip) if g > 0 else max(r, 1 - clip)) for g, r in zip(gains, ratios)]
    unit = float(model._standardised_value().std)
    assert abs(unit - 1) > 0.1
    error = np.mean(((values.flatten().numpy() - known.returns) / unit) ** 2)
    expected = -np.mean(weights * paid) + 0.7 * error - 0.02 * float(entropy.mean())
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-4)


def test_what_all_advantages_share_teaches_nothing(toy_env: type) -> None:
    learnt = []
    for shared in (0.0, 5.0):
        model = make(DummyVecEnv([toy_env] * 2))
        model.learn(12)
        samples = fresh(model, max_weight=None)
        torch.manual_seed(1)
        model._epochs(replace(samples, advantages=samples.advantages + np.float32(shared)), 0.2)
        learnt.append(weights_of(model.policy))
    torch.testing.assert_close(learnt[0], learnt[1], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("sync_every", [1, 3])
def test_steps_of_a_behaviour_policy_that_lags_are_weighted(toy_vec: VecEnv, sync_every: int) -> None:
    model = make(toy_vec, sync_every=sync_every)
    model.learn(36)
    assert (model.logger.name_to_value["train/importance_weight"] == 1) == (sync_every == 1)


def test_episodes_begun_are_counted_over_rollouts(toy_vec: VecEnv) -> None:
    model = make(toy_vec, n_steps=5, batch_size=5)  # an episode takes 3 steps
    for rollouts, begun in ((1, 2), (2, 4), (3, 5)):
        model.learn(15, reset_num_timesteps=rollouts == 1)
        assert model.episodes_begun.tolist() == [begun] * 3


def test_bad_settings(toy_vec: VecEnv) -> None:
    with pytest.raises(InputError, match="sync_every"):
        make(toy_vec, sync_every=0)


def test_the_view_measures_the_features_that_the_network_would(toy_vec: VecEnv) -> None:
    model = make(toy_vec)
    view = model.get_env()
    assert view is not None
    seen = view.reset()
    assert isinstance(seen, dict)
    assert view.observation_space.contains({key: value[0] for key, value in seen.items()})
    told = {key: torch.from_numpy(value) for key, value in seen.items()}
    extract = model.policy.features_extractor
    torch.testing.assert_close(extract(told), extract({"thumbnails": told["thumbnails"]}))
