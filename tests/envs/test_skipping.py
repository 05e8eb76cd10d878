"""Actions that leave cells as they are, and episodes that stop."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

from videoinpaint.agents.evaluation.oracle import controls_grid, oracle_return
from videoinpaint.agents.policies import make_policy
from videoinpaint.composition import EMPTY_BELOW
from videoinpaint.controls import DEFAULT, HEADS, LOW, SKIP, Controls, action_to_controls, controls_to_action
from videoinpaint.envs import NaturalControls, VideoInpaintEnv, VideoInpaintVectorEnv
from videoinpaint.envs.skipping import at_rest
from videoinpaint.envs.states.batch import within
from videoinpaint.errors import InputError

EDGE = 4  # pixels over which what is refined fades into what is not


@pytest.fixture
def skipping(regional):
    return regional | {"skips": True, "masks": "square"}


def skip_all(env):
    return np.broadcast_to(env.action_space.low, env.action_space.shape).copy()


@given(st.floats(-3, 3))
def test_heads_below_the_range_are_none_and_others_what_they_were(value):
    action = [[value, 0, 0, 0, 0]]
    plain, skips = action_to_controls(action)[0], action_to_controls(action, skips=True)[0]
    assert plain[HEADS] >= LOW[HEADS]
    assert skips[HEADS] == (0 if value < -1.2 else plain[HEADS])
    assert np.array_equal(skips[1:], plain[1:])
    back = controls_to_action(skips[None])
    assert back[0, HEADS] == np.float32(SKIP) if skips[HEADS] == 0 else back[0, HEADS] >= -1
    assert np.array_equal(action_to_controls(back, skips=True)[0, HEADS], skips[HEADS])


def test_actions_of_the_unit_range_mean_the_same_in_both(skipping):
    one, other = VideoInpaintEnv(**skipping), VideoInpaintEnv(**skipping | {"skips": False})
    one.reset(seed=2), other.reset(seed=2)
    action = np.random.default_rng(0).uniform(-1, 1, (2, 3, 5)).astype(np.float32)
    first, second = one.step(action), other.step(action)
    assert all(np.array_equal(first[0][key], second[0][key]) for key in first[0])
    assert first[1:4] == second[1:4]
    assert other.action_space.low.min() == -1
    assert one.action_space.low[..., HEADS].max() == np.float32(SKIP)
    assert one.action_space.low[..., 1:].max() == -1


def test_without_skips_the_lowest_action_is_two_heads(skipping):
    env = VideoInpaintEnv(**skipping | {"skips": False})
    env.reset(seed=0)
    _, _, terminated, _, info = env.step(np.full((2, 3, 5), SKIP, np.float32))
    assert info["controls"]["heads"] == 2
    assert info["gflops"] > 0
    assert not terminated


def test_controls_and_actions_convert_both_ways_where_cells_are_skipped(skipping):
    env, plain = VideoInpaintEnv(**skipping), VideoInpaintEnv(**skipping | {"skips": False})
    assert env.to_controls(skip_all(env)).heads == 0
    assert env.to_controls(env.to_action(Controls(heads=0))) == Controls(heads=0)
    assert plain.to_controls(np.full((2, 3, 5), SKIP, np.float32)).heads == 2
    env.reset(seed=0)
    action = env.to_action(DEFAULT)
    action[0, 0, HEADS] = SKIP
    *_, info = env.step(action)
    assert env.to_controls(action).heads == round(float(info["controls"]["heads"])) == 10


def test_a_skipped_cell_keeps_its_repair_and_others_change(skipping):
    env = VideoInpaintEnv(**skipping)
    hole = np.zeros((4, 48, 64), np.uint8)
    hole[:, 10:40, 8:58] = 1
    env.reset(seed=1, options={"mask": hole})
    before, *_ = env.step(env.to_action(Controls(fusion=0.5)))
    action = env.to_action(Controls(fusion=0.8))
    action[:, 1, HEADS] = SKIP
    state = env.get_state()
    after, _, terminated, _, info = env.step(action)
    assert not terminated
    assert info["control_map"][:, 1, HEADS].max() == 0
    assert info["controls"]["heads"] == 8
    assert info["heads_run"] == round((12 + 2 + 12) / 3)
    env.set_state(state)
    whole, *_ = env.step(env.to_action(Controls(fusion=0.8)))
    width = env.observation_space["frames"].shape[2]
    # Detection follows the whole picture, so only the repair is compared.
    middle = slice(width // 3 + EDGE, 2 * width // 3 - EDGE)
    assert np.array_equal(after["frames"][..., middle], before["frames"][..., middle])
    assert not np.array_equal(whole["frames"][..., middle], before["frames"][..., middle])
    assert not np.array_equal(after["frames"], before["frames"])


@pytest.mark.parametrize("when", [0, 1])
@pytest.mark.parametrize("grid", [None, (2, 3)])
def test_skipping_everything_stops_and_costs_nothing(skipping, when, grid):
    improving = skipping | {"action_grid": grid, "reward_map": grid is not None}
    env = VideoInpaintEnv(**improving)
    before, started = env.reset(seed=1)
    for _ in range(when):
        before, *_, started = env.step(env.to_action(DEFAULT))
    after, reward, terminated, truncated, info = env.step(skip_all(env))
    assert all(np.array_equal(after[key], before[key]) for key in after)
    assert (reward, terminated, truncated) == (0, True, False)
    assert (info["end"], info["gflops"], info["heads_run"], info["is_success"]) == ("stopped", 0, 0, False)
    assert info["metrics"] == started["metrics"]
    assert info["quality"] == started["quality"]
    assert info["iteration"] == when + 1
    assert info.keys() == started.keys()
    assert not np.any(info.get("reward_map", 0))
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(skip_all(env))


def test_cells_without_a_flagged_pixel_do_not_keep_an_episode_going(skipping):
    env = VideoInpaintEnv(**skipping)
    observation, _ = env.reset(seed=1)
    flagged = (observation["masks"] > 0).any(0)
    height, width = flagged.shape
    cells = flagged.reshape(2, height // 2, -1)[..., : width // 3 * 3].reshape(2, height // 2, 3, -1).any((1, 3))
    assert 0 < cells.sum() < cells.size, "the case needs a hole that leaves cells out"
    action = env.to_action(DEFAULT)
    action[cells, HEADS] = SKIP
    info = env.step(action)[4]
    assert (info["end"], info["gflops"], info["heads_run"]) == ("stopped", 0, 0)


def test_rest_is_told_by_flagged_cells():
    masks = torch.zeros(3, 2, 1, 4, 6)
    masks[:, 1, 0, 0, 0] = 1
    masks[:, 0, 0, 3, 5] = EMPTY_BELOW - 0.01
    controls = np.tile(DEFAULT.to_array(), (3, 2, 3, 1))
    controls[0, 0, 0, HEADS] = 0
    controls[1, 1, 2, HEADS] = 0
    controls[2, ..., HEADS] = 0
    assert at_rest(controls, masks).tolist() == [True, False, True]
    assert at_rest(controls[1:2], masks[1:2]).tolist() == [False]
    assert at_rest(controls[:, 0, 0], masks).tolist() == [True, False, True]


def test_an_absolute_reward_pays_the_repair_to_the_end(skipping):
    absolute = skipping | {"reward": "absolute", "max_iterations": 3, "compute_price": 0.0}
    env = VideoInpaintEnv(**absolute)
    env.reset(seed=1)
    *_, once = env.step(env.to_action(DEFAULT))
    _, reward, *_ = env.step(skip_all(env))
    assert reward == pytest.approx(2 * once["quality"], abs=1e-6)


def test_a_batch_in_which_some_stop_is_its_environments(skipping):
    batch = VideoInpaintVectorEnv(num_envs=3, **skipping)
    batch.reset(seed=5)
    singles = [VideoInpaintEnv(**skipping) for _ in range(3)]
    for i, env in enumerate(singles):
        env.reset(seed=5 + i)
    going = [env.to_action(DEFAULT) for env in singles]
    for actions in (going, [going[0], skip_all(singles[1]), going[2]]):
        observation, rewards, terminated, _, infos = batch.step(np.stack(actions))
        for i, env in enumerate(singles):
            alone, reward, over, _, info = env.step(actions[i])
            assert all(np.allclose(alone[key].astype(int), observation[key][i], atol=1) for key in alone)
            assert rewards[i] == pytest.approx(reward, abs=1e-5)
            assert (terminated[i], infos["end"][i]) == (over, info["end"])
    assert list(infos["end"]) == ["", "stopped", ""]


def test_a_snapshot_after_a_stop_and_the_checker(skipping):
    env = VideoInpaintEnv(**skipping)
    check_env(env, skip_render_check=True)
    env.reset(seed=1)
    env.step(skip_all(env))
    state = env.get_state()
    env.reset(seed=2)
    env.set_state(state)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(skip_all(env))


def test_natural_controls_take_no_heads(skipping):
    env = NaturalControls(VideoInpaintEnv(**skipping))
    assert env.action_space.low[..., HEADS].max() == 0
    env.reset(seed=1)
    nothing = np.broadcast_to(np.array([0, 0.65, 0.9, 0.45, 0.2], np.float32), (2, 3, 5))
    assert env.action_space.contains(nothing)
    assert env.step(nothing)[4]["end"] == "stopped"
    plain = NaturalControls(VideoInpaintEnv(**skipping | {"skips": False}))
    assert plain.action_space.low[..., HEADS].min() == 2


def test_a_plan_that_repairs_once_stops(skipping):
    env = VideoInpaintEnv(**skipping | {"action_grid": None})
    policy = make_policy("heads6once")
    observation, _ = env.reset(seed=1)
    chosen = action_to_controls(policy.act({k: v[None] for k, v in observation.items()}), skips=True)
    assert chosen[0, HEADS] == 6
    observation, *_ = env.step(controls_to_action(chosen)[0])
    assert env.step(policy.act({k: v[None] for k, v in observation.items()})[0])[4]["end"] == "stopped"


def test_an_oracle_stops_where_a_pass_costs_more_than_it_gains(skipping):
    dear = VideoInpaintEnv(**skipping | {"compute_price": 1.0})
    found = oracle_return(dear, controls_grid(heads=(2, 12), fusion=(0.65,)), seed=1)
    assert found.record.episode_return == 0
    assert len(found.actions) == 1
    assert (found.actions[0, ..., HEADS] < -1.2).all()


def test_a_loop_repairs_once_at_least_and_stops_where_all_is_skipped(skipping):
    env = VideoInpaintEnv(**skipping)
    env.reset(seed=1)
    loop, state = env._core.loop, within("loop", env._running.shelf.opened([0]))
    nothing, something = ([[heads, 0.65, 0.9, 0.45, 0.2]] for heads in (0, 2))
    first, wanted = next(loop.run(state, lambda _: nothing, 1)), next(loop.run(state, lambda _: something, 1))
    assert torch.equal(first["repaired"], wanted["repaired"])
    assert not torch.equal(first["repaired"], state["repaired"])
    assert len(list(loop.run(state, lambda _: nothing, 3))) == 1
    assert len(list(loop.run(state, lambda _: something, 3, to_the_end=True))) == 3


@pytest.mark.parametrize("bad", ["yes", 1, None])
def test_skips_is_a_truth_value(skipping, bad):
    with pytest.raises(InputError, match="skips"):
        VideoInpaintEnv(**skipping | {"skips": bad})


def test_an_episode_that_ends_early_is_paid_to_its_end_and_pays_for_its_computation_once(content):
    told = []
    for passes in (1, 3):
        env = VideoInpaintEnv(**content, reward="absolute", compute_price=0.3, max_iterations=passes)
        env.reset(seed=1)
        _, _, terminated, _, info = env.step(env.to_action(DEFAULT))
        assert terminated
        told.append(info["reward_terms"])
    assert told[0]["compute"] == pytest.approx(-0.3)
    for name, value in told[0].items():
        assert told[1][name] == pytest.approx(value if name == "compute" else 3 * value)
