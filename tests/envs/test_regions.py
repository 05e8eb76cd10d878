"""Controls that vary over the frame: actions by cell, from the environment to the pixel."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from stable_baselines3 import PPO

from videoinpaint.controls import (
    DEFAULT,
    HEADS,
    Controls,
    action_to_controls,
    check_controls,
    clip_controls,
    controls_to_action,
    mean_controls,
)
from videoinpaint.envs import NaturalControls, VideoInpaintEnv, VideoInpaintVectorEnv
from videoinpaint.envs.rewards.reward_map import apportioned, changed, improvement_by_cell, saved_by_cell
from videoinpaint.envs.sb3 import SB3VecEnv
from videoinpaint.envs.states.batch import within
from videoinpaint.errors import InputError
from videoinpaint.testing import check_inpainter


def actions_of(shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("parts", ["toy", "size"])
def test_one_cell_is_the_environment_without_a_grid(parts, request):
    kwargs = request.getfixturevalue(parts) | {"num_frames": 2}
    plain, one = VideoInpaintEnv(**kwargs), VideoInpaintEnv(**kwargs, action_grid=(1, 1))
    assert one.action_space.shape == (1, 1, 5)
    first, second = plain.reset(seed=3), one.reset(seed=3)
    action = actions_of(5)
    for _ in range(2):
        assert all(np.array_equal(first[0][key], second[0][key]) for key in first[0])
        mapped = second[-1].pop("control_map")
        assert mapped.shape == (1, 1, 5)
        assert first[-1] == second[-1]
        first, second = plain.step(action), one.step(action[None, None])
    assert first[1:4] == second[1:4]


def test_a_shipped_inpainter_takes_one_cell_and_refuses_more(size):
    kwargs = size | {"inpainter": "telea", "detector": "none"}
    one = VideoInpaintEnv(**kwargs, action_grid=(1, 1))
    one.reset(seed=0)
    assert np.isfinite(one.step(np.zeros((1, 1, 5)))[1])
    with pytest.raises(InputError, match=r"telea.*boundary"):
        VideoInpaintEnv(**kwargs, action_grid=(2, 3))


@pytest.mark.parametrize("grid", [(0, 2), (2,), (2, 3, 1), (2.5, 3), "46", (1000, 2), (True, 2), 4])
def test_grids_that_are_none(toy, grid):
    with pytest.raises(InputError, match="action_grid"):
        VideoInpaintEnv(**toy, action_grid=grid)


def test_the_repair_follows_the_map_smoothly_and_known_pixels_stay(regional):
    env = VideoInpaintEnv(**regional)
    before, _ = env.reset(seed=1)
    low, high = env.to_action(Controls(fusion=0.5)), env.to_action(Controls(fusion=0.8))
    split = low.copy()
    split[:, 2] = high[:, 2]
    state, seen = env.get_state(), {}
    for name, action in {"low": low, "high": high, "split": split}.items():
        env.set_state(state)
        seen[name], _, _, _, info = env.step(action)
        assert np.array_equal(info["control_map"], action_to_controls(action))
        assert info["controls"]["fusion"] == pytest.approx(info["control_map"][..., 1].mean(), abs=1e-6)
    known = before["masks"].repeat(3, axis=0) == 0
    assert all(np.array_equal(frames["frames"][known], before["frames"][known]) for frames in seen.values())
    left, right = slice(0, 64 // 6), slice(64 - 64 // 6, 64)  # beyond the outer cells' centres nothing changes any more
    assert np.array_equal(seen["split"]["frames"][..., left], seen["low"]["frames"][..., left])
    assert np.array_equal(seen["split"]["frames"][..., right], seen["high"]["frames"][..., right])
    assert not np.array_equal(seen["split"]["frames"], seen["low"]["frames"])


def test_infos_have_the_same_keys_and_flat_ones_no_arrays(regional):
    env = VideoInpaintEnv(**regional)
    _, begun = env.reset(seed=0)
    stepped = env.step(np.zeros((2, 3, 5)))[-1]
    assert begun.keys() == stepped.keys()
    assert begun["control_map"].shape == (2, 3, 5)
    assert not begun["control_map"].any()
    flat = VideoInpaintEnv(**regional, flat_info=True)
    assert all(np.ndim(value) == 0 for value in flat.reset(seed=0)[1].values())
    assert "control_map" not in VideoInpaintEnv(**regional | {"action_grid": None}).reset(seed=0)[1]


def test_the_reward_and_the_price_take_the_mean_over_cells(regional):
    env = VideoInpaintEnv(**regional | {"reward_weights": "action"})
    _, begun = env.reset(seed=0)
    action = np.zeros((2, 3, 5), np.float32)
    action[0] = [-1, 0, 1, 1, 1]
    _, reward, _, _, info = env.step(action)
    assert info["controls"]["alpha"] == pytest.approx(0.95)
    assert info["controls"]["heads"] == 4.5
    gained = info["metrics"]["ssim"] - begun["metrics"]["ssim"]
    assert info["reward_terms"]["ssim"] == pytest.approx(0.95 * gained, abs=1e-6)
    assert info["reward_terms"]["compute"] == pytest.approx(-0.03 * 4.5 / 12)
    assert reward == pytest.approx(sum(info["reward_terms"].values()), abs=1e-9)


def test_a_batch_is_its_environments_and_states_are_exchangeable(regional):
    batch = VideoInpaintVectorEnv(num_envs=2, **regional)
    assert batch.action_space.shape == (2, 2, 3, 5)
    batch.reset(seed=5)
    singles = [VideoInpaintEnv(**regional) for _ in range(2)]
    for i, env in enumerate(singles):
        env.reset(seed=5 + i)
    actions = actions_of((2, 2, 3, 5))
    observation, rewards, *_, infos = batch.step(actions)
    assert infos["control_map"].shape == (2, 2, 3, 5)
    for i, env in enumerate(singles):
        alone, reward, *_, info = env.step(actions[i])
        assert all(np.array_equal(alone[key], observation[key][i]) for key in alone)
        assert reward == pytest.approx(rewards[i], abs=1e-5)  # processors may round otherwise in a batch
        assert np.array_equal(info["control_map"], infos["control_map"][i])
    state = batch.get_state()
    following = batch.step(actions)[1]
    batch.set_state([state[1], state[0]])
    assert np.array_equal(batch.step(actions[::-1])[1], following[::-1])
    with pytest.raises(InputError, match="shape"):
        batch.step(np.zeros((2, 5)))


def test_states_and_banks_do_not_depend_on_the_grid(regional):
    coarse, fine = (VideoInpaintEnv(**regional | {"action_grid": grid}) for grid in ((2, 3), (4, 4)))
    coarse.reset(seed=2)
    fine.set_state(coarse.get_state())
    assert coarse.step(np.zeros((2, 3, 5)))[1] == pytest.approx(fine.step(np.zeros((4, 4, 5)))[1], abs=1e-6)
    assert coarse._core.identity() == fine._core.identity()


def test_the_checkers_of_gymnasium_and_this_package_are_content(regional):
    env = gymnasium.make("VideoInpaint-v1", **regional, render_mode="rgb_array", disable_env_checker=True)
    check_env(env.unwrapped, skip_render_check=True)
    env.reset(seed=0)
    assert env.render().ndim == 3
    check_inpainter(regional["inpainter"])


def test_the_checker_finds_a_part_that_does_not_follow_its_map(regional):
    class Deaf(type(regional["inpainter"])):
        def refine(self, state, repaired, masks, controls):
            return super().refine(state, repaired, masks, clip_controls(mean_controls(controls)))

    with pytest.raises(AssertionError, match="'fusion' follows the map"):
        check_inpainter(Deaf())


def test_natural_controls_and_conversions_have_the_grid_s_shape(regional):
    env = NaturalControls(VideoInpaintEnv(**regional))
    env.reset(seed=0)
    assert env.action_space.shape == (2, 3, 5)
    natural = env.action_space.sample()
    info = env.step(natural)[4]
    assert np.allclose(info["control_map"][..., 1:], natural[..., 1:], atol=1e-6)
    base = env.unwrapped
    assert base.to_controls(base.to_action(Controls(heads=5))) == Controls(heads=5)
    assert base.to_controls(np.zeros(5)).heads == 7
    with pytest.raises(InputError):
        env.step(natural[0])


def test_stock_ppo_trains_on_a_grid(regional):
    env = SB3VecEnv(VideoInpaintVectorEnv(num_envs=2, autoreset_mode="SameStep", **regional | {"num_frames": 2}))
    model = PPO("MultiInputPolicy", env, n_steps=2, batch_size=4, n_epochs=1, device="cpu")
    model.learn(4)
    action, _ = model.predict(env.reset())
    assert action.shape == (2, 2, 3, 5)


def test_the_blend_at_the_boundary_follows_the_map_around_any_inpainter(size):
    kwargs = size | {"inpainter": "telea", "detector": "none", "fusion": "boundary"}
    env, plain = VideoInpaintEnv(**kwargs, action_grid=(2, 2)), VideoInpaintEnv(**kwargs)
    results = {}
    for made, name in ((plain, "plain"), (env, "same"), (env, "split")):
        made.reset(seed=4)
        action = made.to_action(DEFAULT)
        if name == "split":
            action[:, 1, 1] = 1
        results[name] = made.step(action)[0]["frames"].astype(int)
    assert np.abs(results["same"] - results["plain"]).max() <= 1
    differs = np.abs(results["split"] - results["plain"]).max(0) > 1
    assert not differs[:, :16].any()
    assert differs.any()


@pytest.mark.parametrize("shape", [(1, 3, 5), (2, 0, 3, 5), (2, 2, 3, 4), (1, 2, 2, 3, 5)])
def test_maps_of_another_shape_are_refused(shape):
    with pytest.raises(InputError, match="shape"):
        check_controls(np.broadcast_to(DEFAULT.to_array()[: shape[-1]], shape), 2)


def test_a_map_of_controls_is_checked_like_one_setting():
    good = np.broadcast_to(DEFAULT.to_array(), (2, 2, 3, 5))
    assert torch.equal(torch.from_numpy(check_controls(good, 2)), torch.from_numpy(good.copy()))
    bad = good.copy()
    bad[1, 1, 2, HEADS] = 3.5
    with pytest.raises(InputError, match="whole"):
        check_controls(bad, 2)


@pytest.fixture
def mapped(regional):
    return regional | {"reward_map": True, "masks": "square"}


def test_the_map_of_a_reward_adds_up_to_it(mapped):
    batch = VideoInpaintVectorEnv(num_envs=2, **mapped)
    _, begun = batch.reset(seed=5)
    assert not begun["reward_map"].any()
    single = VideoInpaintEnv(**mapped)
    single.reset(seed=6)
    for seed in range(2):
        actions = actions_of((2, 2, 3, 5), seed)
        _, rewards, *_, infos = batch.step(actions)
        assert infos["reward_map"].shape == (2, 2, 3)
        assert np.allclose(infos["reward_map"].sum((1, 2)), rewards, atol=1e-6)
        _, reward, *_, info = single.step(actions[1])
        assert np.allclose(info["reward_map"], infos["reward_map"][1], atol=1e-6)
        assert reward == pytest.approx(rewards[1], abs=1e-6)


def test_what_is_known_of_its_places_is_nearly_all_of_a_term(mapped):
    core = VideoInpaintEnv(**mapped)._core
    before = core.begin([core.draw(2, None)])
    after, outcome = core.step(before, actions_of((1, 2, 3, 5)))
    repairs = before["loop/repaired"], after["loop/repaired"]
    found = improvement_by_cell(core.reward, within("reward", before), *repairs, (2, 3))
    weights = {"ssim": 0.9, "psnr": 0.9, "perceptual": 0.45, "lpips": 0.45}
    for name, weight in weights.items():
        expected = outcome.infos[0]["reward_terms"][name]
        assert weight * float(found[name].sum()) == pytest.approx(expected, abs=2e-5), name


def test_a_reward_arises_where_the_hole_is(mapped):
    holes = np.zeros((4, 48, 64), np.uint8)
    holes[:, 4:20, 2:18] = 1  # within the cell at the left top
    env = VideoInpaintEnv(**mapped)
    env.reset(seed=2, options={"mask": holes})
    *_, info = env.step(env.to_action(DEFAULT))
    assert abs(info["reward_map"][0, 0]) > 1e-3
    assert not info["reward_map"].ravel()[1:].any()


def test_a_cell_without_a_hole_earns_what_its_fewer_heads_save():
    kwargs = {"num_frames": 2, "max_iterations": 1, "compute_price": 0.5, "detector": "none", "precision": "float32"}
    sizes = {"height": 80, "width": 288, "action_grid": (2, 8)}  # windows of attention are 40 x 72
    env = VideoInpaintEnv(**kwargs, **sizes, reward="improvement", reward_map=True)
    holes = np.zeros((2, 80, 288), np.uint8)
    holes[:, 4:20, 100:120] = 1  # in the third and the fourth cell of the first row
    arose = {}
    for heads in (2, 12):
        env.reset(seed=2, options={"mask": holes})
        action = np.broadcast_to(env.to_action(DEFAULT), (2, 8, 5)).copy()
        action[0, 4, HEADS] = controls_to_action(Controls(heads=heads).to_array()[None])[0, HEADS]
        *_, info = env.step(action)
        arose[heads] = info["reward_map"]
    assert arose[2][0, 4] > 1e-4
    assert not arose[12][0, 4]
    assert not arose[2][1, 6]


def test_what_is_saved_is_saved_where_heads_cost_something_and_fewer_run():
    controls = np.broadcast_to(DEFAULT.to_array(), (1, 1, 3, 5)).copy()
    controls[0, 0, :2, HEADS] = 2
    weights = np.array([[[0.0, 3, 3]]])
    assert saved_by_cell(controls, weights, np.array([0.5])).tolist() == [[[0, 0.5, 0]]]
    assert not saved_by_cell(controls, 0 * weights, np.array([0.0])).any()


def test_what_features_say_of_a_cell_that_misses_nothing_was_done_around_it():
    by_cell = np.array([[[1.0, 2, 0, 4]], [[1, 2, 3, 4]]])
    missing = np.array([[[0.0, 0.5, 0, 0.5]], [[0, 0, 0, 0]]])
    found = changed(by_cell, missing)
    assert found[0, 0, 0] == found[0, 0, 2] == 0
    assert 2.9 < found[0, 0, 1] < 3
    assert found.sum((1, 2)) == pytest.approx([7, 10])
    assert np.array_equal(found[1], by_cell[1])
    one = np.ones((1, 1, 1))
    assert np.array_equal(changed(one, 0 * one), one)
    far = np.zeros((1, 1, 40))
    far[0, 0, 0], hole = 1, np.eye(40)[None, 39:]
    assert changed(far, hole).sum() == 1


def test_a_cell_s_share_falls_with_its_distance_as_a_gaussian_of_deviation_seven_tenths():
    given = changed(np.array([[[1.0, 0, 0]]]), np.array([[[0.0, 1, 1]]]))[0, 0]
    near, far = np.exp(-np.square([1, 2]) / (2 * 0.7**2))
    assert given[0] == 0
    assert given[1] == pytest.approx(near / (near + far), abs=0.01)
    assert given.sum() == pytest.approx(1)


def test_what_cannot_be_placed_is_spread_over_what_was_missing():
    terms, known = {"a": np.array([1.0, 4.0])}, {"a": np.full((2, 1, 2), 0.25)}
    missing = np.array([[[3.0, 1.0]], [[0.0, 0.0]]])
    spread_out = apportioned(terms, known, missing)
    assert spread_out.tolist() == [[[0.625, 0.375]], [[2, 2]]]
    assert spread_out.sum((1, 2)).tolist() == [1, 4]


def test_telling_where_a_reward_arose_does_not_change_it(mapped):
    rewards = []
    for told in (True, False):
        env = VideoInpaintEnv(**mapped | {"reward_map": told})
        env.reset(seed=3)
        env.action_space.seed(0)
        rewards.append([env.step(env.action_space.sample())[1] for _ in range(2)])
    assert rewards[0] == rewards[1]


def test_a_reward_map_needs_a_grid_and_an_improvement(regional):
    for bad in ({"action_grid": None}, {"reward": "absolute"}):
        with pytest.raises(InputError, match="reward_map"):
            VideoInpaintEnv(**regional | {"reward_map": True} | bad)


def test_every_gain_arises_in_its_own_cell_by_its_own_weight(mapped, monkeypatch):
    env = VideoInpaintEnv(**mapped | {"action_grid": (2, 2), "compute_price": 0.4})
    core, holes = env._core, np.zeros((4, 48, 64), np.uint8)
    for top, left in ((8, 8), (8, 40), (32, 8), (32, 40)):
        holes[:, top : top + 8, left : left + 8] = 1  # as much in every cell
    state = core.begin([core.draw(2, {"mask": holes})])
    controls = np.broadcast_to(Controls(alpha=1.0, beta=0.6).to_array(), (1, 2, 2, 5)).copy()
    controls[0, 1, 1, HEADS] = 2
    gains = {name: torch.zeros(1, 2, 2, dtype=torch.float64) for name in ("psnr", "ssim", "perceptual", "lpips")}
    for number, gain in enumerate(gains.values()):
        gain.view(-1)[number] = 0.01 * (number + 1)
    monkeypatch.setattr("videoinpaint.envs.rewards.scoring.improvement_by_cell", lambda *_: gains)
    weights = {"psnr": 0.9, "ssim": 0.9, "perceptual": 0.45, "lpips": 0.45}  # fixed, whatever the controls say
    terms = {name: weight * gains[name].sum((1, 2)).numpy() for name, weight in weights.items()}
    terms["compute"] = np.array([-0.1])  # of the price a quarter was needed
    arose = core.scoring.by_cell(state, core.loop.advance(within("loop", state), controls), None, terms, controls)
    price = -0.4 / 4
    expected = [[0.009 + price, 0.018 + price], [0.0135 + price, 0.018 + price + 0.3]]
    assert arose[0] == pytest.approx(np.array(expected), abs=1e-9)
