"""Policies that act cell by cell, the network made for it, and the oracle that searches cell by cell."""

from __future__ import annotations

import json

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.vec_env import DummyVecEnv
from torch.nn import functional as F

from videoinpaint.agents import make_policy
from videoinpaint.agents.evaluation.episodes import evaluate
from videoinpaint.agents.evaluation.oracle import best_fixed, controls_grid, oracle_return
from videoinpaint.agents.policies.acting import NetworkPolicy
from videoinpaint.agents.policies.baselines import FixedPolicy, HeuristicPolicy, RandomPolicy
from videoinpaint.agents.policies.cells import CHANNELS, cell_features, measured_by_cell
from videoinpaint.agents.policies.closed_loop import ClosedLoopPolicy
from videoinpaint.agents.policies.export import blank_network, load_policy, save_policy
from videoinpaint.agents.policies.features import FEATURES, measured
from videoinpaint.agents.policies.protocol import choose
from videoinpaint.agents.policies.regional import RegionalPolicy, cell_space
from videoinpaint.agents.policies.reveal import revealed
from videoinpaint.agents.policies.thumbnails import thumbnails
from videoinpaint.agents.ppo.algorithm import ClosedLoopPPO
from videoinpaint.agents.ppo.cell_credit import cell_advantages, smoothed
from videoinpaint.agents.ppo.config import ReplayConfig
from videoinpaint.agents.ppo.samples import replayed_samples
from videoinpaint.agents.ppo.training import TrainConfig, train
from videoinpaint.agents.ppo.view import TrainingView
from videoinpaint.controls import Controls
from videoinpaint.envs import VideoInpaintEnv
from videoinpaint.errors import InputError
from videoinpaint.testing import check_policy


def small_pictures(observation):
    return thumbnails(*(torch.from_numpy(observation[key]) for key in ("frames", "masks")))


@pytest.fixture
def grid_kwargs(small):
    """A tiny real environment whose blend at the hole's edge follows a map."""
    return small | {"fusion": "boundary", "action_grid": (2, 3), "reward": "improvement", "reward_weights": "fixed"}


def test_one_cell_shows_what_the_whole_clip_shows(observation):
    seen = small_pictures(observation)
    found = measured_by_cell(seen, 1, 1)
    colours, masks = seen[:, :, :3], seen[:, :, 3]
    whole = measured(colours, masks) | revealed(colours.float().mean(2) / 255, masks.float().gt(127.5).float())
    assert list(found) == list(FEATURES)
    for name in ("area", "untouched", "flicker", "brightness", "contrast", "beside", "shown_1", "misfit_2"):
        assert torch.allclose(found[name].flatten(), whole[name], rtol=0.1, atol=2e-3), name


def test_cells_show_their_own_part(observation):
    observation["masks"][:] = 0
    observation["masks"][:, :, :24, :32] = 255
    found = measured_by_cell(small_pictures(observation), 2, 2)
    assert torch.equal(found["area"] > 0.5, torch.tensor([[True, False], [False, False]]).expand(3, -1, -1))
    features = cell_features(small_pictures(observation), 2, 2)
    assert features.shape == (3, CHANNELS, 2, 2)
    assert features.isfinite().all()


def test_a_network_acts_on_any_grid_and_size(observation):
    policy = NetworkPolicy(blank_network(RegionalPolicy))
    check_policy(policy)
    for grid in ((1, 1), (2, 3), (5, 4)):
        assert policy.act_by_cell(observation, *grid).shape == (3, *grid, 5)
    larger = {key: np.repeat(np.repeat(value, 2, 2), 2, 3) for key, value in observation.items()}
    gap = np.abs(policy.act_by_cell(larger, 2, 3) - policy.act_by_cell(observation, 2, 3)).max()
    assert gap < 0.02  # thumbnails of both differ by rounding


def test_a_cell_sees_its_surroundings_and_nothing_further():
    network = blank_network(RegionalPolicy)
    torch.nn.init.normal_(network.action_net.linear.weight)
    cells = torch.randn(1, CHANNELS, 6, 7)
    other = cells.clone()
    other[..., 5, 6] += 1
    changed = (network.means(cells) != network.means(other)).any(-1)[0]
    assert changed[3:, 4:].all()  # two convolutions of 3x3
    assert not changed[:3].any()
    assert not changed[:, :4].any()


def test_alike_cells_get_one_setting_whatever_the_grid():
    network = blank_network(RegionalPolicy)
    cell = torch.randn(1, CHANNELS, 1, 1)
    one, many = network.means(cell), network.means(cell.expand(-1, -1, 4, 6))
    assert torch.allclose(many, one.expand_as(many), atol=1e-6)


def test_log_probabilities_of_cells_add_up_to_those_of_actions():
    network = RegionalPolicy(cell_space(2, 3), spaces.Box(-1, 1, (2, 3, 5)), lambda _: 1e-3)
    seen, actions = {"cells": torch.randn(4, CHANNELS, 2, 3)}, torch.randn(4, 30)
    values, log_probs, entropy = network.evaluate_parts(seen, actions)
    whole = network.evaluate_actions(seen, actions)
    assert values.shape == log_probs.shape == entropy.shape == (4, 6)
    assert torch.allclose(values.mean(1), whole[0].flatten(), atol=1e-6)
    assert torch.allclose(log_probs.sum(1), whole[1], rtol=1e-4)
    assert torch.allclose(entropy.sum(1), whole[2], rtol=1e-4)


def test_other_action_spaces_are_refused():
    with pytest.raises(InputError, match="action_grid"):
        RegionalPolicy(cell_space(2, 3), spaces.Box(-1, 1, (5,)), lambda _: 1e-3)


def test_a_file_holds_it_and_a_whole_frame_is_one_cell(observation, tmp_path):
    network = blank_network(RegionalPolicy)
    torch.nn.init.normal_(network.action_net.linear.weight)
    policy = load_policy(save_policy(tmp_path / "p.safetensors", network, {"steps": 3}))
    assert policy.training == {"steps": 3}
    expected = NetworkPolicy(network)
    assert np.array_equal(policy.act_by_cell(observation, 2, 3), expected.act_by_cell(observation, 2, 3))
    assert np.array_equal(policy.act(observation), policy.act_by_cell(observation, 1, 1)[:, 0, 0])


def test_policies_choose_in_the_shape_of_the_action(observation):
    shape = (2, 3, 5)
    fixed = choose(FixedPolicy(Controls(heads=5)), observation, shape)
    assert fixed.shape == (3, *shape)
    assert (fixed == fixed[:, :1, :1]).all()
    drawn = choose(RandomPolicy(), observation, shape)
    assert len(np.unique(drawn)) == drawn.size
    assert np.array_equal(RandomPolicy().act(observation), choose(RandomPolicy(), observation, (1, 1, 5))[:, 0, 0])
    trained = choose(NetworkPolicy(blank_network()), observation, shape)
    assert (trained == trained[:, :1, :1]).all()

    class Wrong:
        act_by_cell = act = staticmethod(lambda observation, *grid: np.zeros((3, 4)))

    for asked in (shape, (5,)):
        with pytest.raises(InputError, match="shape"):
            choose(Wrong(), observation, asked)


def test_the_heuristic_gives_heads_to_cells_whose_holes_show_far_away(observation):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (3, 12, 16), np.uint8).repeat(4, 1).repeat(4, 2)
    frames, masks = np.tile(picture, (1, 10, 1, 1)), np.zeros((1, 10, 48, 64), np.uint8)
    masks[:, :, :20, :20] = 255  # never shown
    masks[:, :5, 30:, 40:] = 255  # shown from the sixth frame on
    action = HeuristicPolicy().act_by_cell({"frames": frames, "masks": masks}, 2, 3)
    heads = action[0, :, :, 0]
    assert heads[1, 2] == heads.max() > heads[0, 0]
    assert action[0, 0, 0, 1] > action[0, 1, 2, 1]  # what nowhere shows is hallucinated


def test_evaluation_plays_cell_by_cell(grid_kwargs):
    for policy in ("random", "heuristic", "default"):
        record = evaluate(policy, grid_kwargs, seeds=[0, 1], num_envs=2)[0]
        assert np.shape(record.actions) == (3, 2, 3, 5)
        json.dumps(record.as_dict())
    env = VideoInpaintEnv(**grid_kwargs)
    env.reset(seed=0)
    rewards = [env.step(np.array(action))[1] for action in record.actions]
    first = evaluate("default", grid_kwargs, seeds=[0], num_envs=1)[0]
    assert first.rewards == pytest.approx(rewards, abs=1e-5)


def test_the_oracle_searches_cell_by_cell(grid_kwargs):
    grid = controls_grid(heads=(12,), fusion=(0.5, 0.8))
    kwargs = grid_kwargs | {"max_iterations": 2}
    env = gymnasium.make("VideoInpaint-v1", **kwargs)
    plain = oracle_return(gymnasium.make("VideoInpaint-v1", **kwargs | {"action_grid": None}), grid, seed=3)
    found = oracle_return(env, grid, seed=3)
    assert found.actions.shape == (found.record.length, 2, 3, 5)
    assert found.record.episode_return > plain.record.episode_return
    assert len(np.unique(found.actions[0, ..., 1])) == 2
    env.reset(seed=3)
    assert sum(env.step(action)[1] for action in found.actions) == pytest.approx(found.record.episode_return)
    best = best_fixed(kwargs, grid, seeds=[0, 1], num_envs=2)
    assert best.score == max(score for _, score in best.scores)


@pytest.mark.parametrize("replay", [None, ReplayConfig(trajectories=8)])
def test_training_on_a_grid_saves_a_policy_that_plays_on_others(grid_kwargs, tmp_path, replay):
    config = TrainConfig(tmp_path / "run", env=grid_kwargs, steps=6, num_envs=2, n_steps=3, batch_size=6, n_epochs=1,
                         group_size=2, sync_every=2, replay=replay, progress=False)  # fmt: skip
    result = train(config)
    policy = make_policy(result.policy)
    assert isinstance(policy.network, RegionalPolicy)
    records = evaluate(policy, grid_kwargs | {"action_grid": (3, 2)}, seeds=[0], num_envs=1)
    assert np.shape(records[0].actions[0]) == (3, 2, 5)
    again = train(TrainConfig(**(vars(config) | {"steps": 12, "resume": True})))
    straight = train(TrainConfig(**(vars(config) | {"steps": 12, "output": tmp_path / "other"})))
    weights = [make_policy(one.policy).network.state_dict() for one in (again, straight)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    with pytest.raises(InputError, match="whole frames"):
        train(TrainConfig(tmp_path / "paper", env=grid_kwargs, policy="paper", progress=False))


def test_its_layers_can_tell_cells_apart():
    network = blank_network(RegionalPolicy)
    cells = torch.randn(8, CHANNELS, 3, 4)
    wanted = (cells[:, 0] > 0).float() - 0.5
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(60):
        mean, _ = network.action_net(network.mlp_extractor.forward_actor(cells))
        loss = F.mse_loss(mean.view(8, 3, 4, 5)[..., 0], wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.05


def test_advantages_of_one_cell_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=(5, 2, 1)).astype(np.float32), rng.normal(size=(6, 2, 1)).astype(np.float32)
    starts = np.array([[1, 1], [0, 0], [0, 1], [1, 0], [0, 0], [1, 0]], bool)
    buffer = RolloutBuffer(5, spaces.Box(-1, 1, (1,)), spaces.Box(-1, 1, (1,)), gae_lambda=0.9, gamma=0.8, n_envs=2)
    buffer.rewards, buffer.values, buffer.episode_starts = rewards[..., 0], values[:5, :, 0], starts[:5].astype(float)
    buffer.compute_returns_and_advantage(torch.from_numpy(values[5, :, 0]), starts[5])
    assert np.allclose(cell_advantages(rewards, values, starts, 0.8, 0.9)[..., 0], buffer.advantages, atol=1e-6)


def test_smoothing_keeps_what_is_alike_and_spreads_what_is_single():
    assert np.allclose(smoothed(np.full((3, 12), 0.5, np.float32), (3, 4)), 0.5)
    single = np.zeros((1, 15), np.float32)
    single[0, 7] = 16
    assert smoothed(single, (3, 5)).reshape(3, 5).tolist() == [[0, 1, 2, 1, 0], [0, 2, 4, 2, 0], [0, 1, 2, 1, 0]]


class TwoSides(gymnasium.Env):
    """Two cells; the brightness of each side says whether its heads should be many, and only that side earns by it."""

    observation_space = spaces.Dict(
        frames=spaces.Box(0, 255, (6, 40, 48), np.uint8), masks=spaces.Box(0, 255, (2, 40, 48), np.uint8)
    )
    action_space = spaces.Box(-1, 1, (1, 2, 5), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.bright = self.np_random.random(2) > 0.5
        return self._seen(), {"clip": "toy", "seed": 0}

    def step(self, action):
        wanted = np.where(self.bright, 0.8, -0.8)
        arose = -((action[0, :, 0] - wanted) ** 2)
        info = {"reward_map": arose[None], "gflops": 1.0, "metrics": {}, "controls": {}}
        return self._seen(), float(arose.sum()), True, False, info

    def _seen(self):
        frames = np.full((6, 40, 48), 60, np.uint8)
        frames[:, :, :24] += np.uint8(120 * self.bright[0])
        frames[:, :, 24:] += np.uint8(120 * self.bright[1])
        return {"frames": frames, "masks": np.full((2, 40, 48), 255, np.uint8)}


def test_ppo_learns_what_each_cell_should_do():
    view = TrainingView(DummyVecEnv([TwoSides] * 8))

    def brightness(observation):  # features of real pictures would take most of the time
        cells = np.zeros((len(observation["frames"]), CHANNELS, 1, 2), np.float32)
        cells[:, 0, 0] = observation["frames"][:, 0, 0, [0, -1]] / 60 - 2
        return {"cells": cells}

    view.show = brightness
    model = ClosedLoopPPO(view, policy=RegionalPolicy, n_steps=4, batch_size=32, n_epochs=8, learning_rate=3e-3,
                          ent_coef=0.0, gamma=0.9, seed=0, device="cpu", cell_credit=True)  # fmt: skip
    first = np.mean([info["r"] for info in model.learn(32).ep_info_buffer])
    model.learn(320)
    last = np.mean([info["r"] for info in list(model.ep_info_buffer)[-32:]])
    assert last > 0.6 * first


class Cut(TwoSides):
    """It never ends by itself, is cut off after two steps, and earns more in one cell than in the other."""

    def reset(self, *, seed=None, options=None):
        self.made = 0
        return super().reset(seed=seed)

    def step(self, action):
        seen, _, _, _, info = super().step(action)
        self.made += 1
        return seen, 0.2, False, self.made == 2, info | {"reward_map": np.array([[0.3, -0.1]])}


def test_an_episode_that_is_cut_off_is_worth_what_was_still_to_come_in_every_cell():
    """As Stable-Baselines3 has it for whole rewards: the mean over cells is what its own buffer says."""
    view = TrainingView(DummyVecEnv([Cut] * 3))
    model = ClosedLoopPPO(view, policy=RegionalPolicy, n_steps=5, batch_size=15, n_epochs=1, gamma=0.9, seed=0,
                          device="cpu", cell_credit=True)  # fmt: skip
    torch.nn.init.normal_(model.policy.value_net.linear.weight)
    model.policy.value_net.linear.bias.data += 2
    seen = {}
    train, model.train = model.train, lambda: seen.update(returns=model._credit()[1])
    model.learn(15)
    model.train = train
    expected = model.rollout_buffer.swap_and_flatten(model.rollout_buffer.returns)
    found = model.rollout_buffer.swap_and_flatten(seen["returns"])
    assert np.abs(model.rollout_buffer.rewards).max() > 0.5  # the parent added what was to come
    assert np.allclose(found.mean(1), expected[:, 0], atol=1e-4)
    assert np.abs(np.diff(found)).max() > 1e-3


def test_replayed_maps_weigh_one_while_the_policy_is_unchanged():
    """The weight of an action is the product of its cells' ratios, as its density is."""
    model = ClosedLoopPPO(TrainingView(DummyVecEnv([TwoSides] * 2)), policy=RegionalPolicy, n_steps=3, batch_size=6,
                          n_epochs=1, learning_rate=0.0, replay=ReplayConfig(trajectories=20, max_steps=3), seed=0,
                          device="cpu")  # fmt: skip
    model.learn(6)
    assert model.replay is not None
    samples = replayed_samples(model.policy, model.replay, 6, 0.9, 0.9)
    assert samples.log_probs.shape[1] == 2
    assert np.allclose(samples.weights, 1, atol=1e-3)


def test_maps_are_kept_for_whoever_reads_them(tmp_path, grid_kwargs):
    view = TrainingView(DummyVecEnv([Cut] * 2))
    view.reset()
    for _ in range(3):
        view.step(np.zeros((2, 1, 2, 5), np.float32))
    assert view.arose is None
    config = TrainConfig(tmp_path / "run", env=grid_kwargs | {"reward_map": False}, steps=6, num_envs=2, n_steps=3,
                         progress=False)  # fmt: skip
    assert train(config).steps == 6


def test_cell_credit_needs_maps_and_cells(toy_vec):
    view = TrainingView(toy_vec)
    with pytest.raises(InputError, match="cell_credit"):
        ClosedLoopPPO(view, policy=ClosedLoopPolicy, cell_credit=True, device="cpu")
