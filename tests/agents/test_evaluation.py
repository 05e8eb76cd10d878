"""Evaluation through the vector environment, the oracle and the best fixed setting."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest

from videoinpaint.agents import evaluate
from videoinpaint.agents.evaluation.episodes import make_evaluation_env
from videoinpaint.agents.evaluation.oracle import best_fixed, controls_grid, oracle_return
from videoinpaint.agents.evaluation.record import episode_record
from videoinpaint.agents.policies.baselines import FixedPolicy, HeuristicPolicy
from videoinpaint.controls import DEFAULT, Controls, controls_to_action
from videoinpaint.envs import NaturalControls, SingleImage
from videoinpaint.errors import InputError, UnknownNameError


def test_records_are_those_of_single_environments(small: dict) -> None:
    records = evaluate("heads4", small, seeds=[5, 6, 7], num_envs=2)
    assert [r.seed for r in records] == [5, 6, 7]
    env = gymnasium.make("VideoInpaint-v1", **small)
    for record in records:
        env.reset(seed=record.seed)
        rewards = []
        for _ in range(record.length):
            _, reward, terminated, _, info = env.step(FixedPolicy(replace(DEFAULT, heads=4)).action)
            rewards.append(reward)
        assert terminated
        np.testing.assert_allclose(record.rewards, rewards, rtol=1e-5)
        np.testing.assert_allclose(record.episode_return, sum(rewards), rtol=1e-5)
        assert record.clip == info["clip"]
        assert set(record.metrics) == {"psnr", "ssim", "lpips", "perceptual", "wta", "psnr_hole"}
        np.testing.assert_allclose(record.metrics["psnr_hole"], info["metrics"]["psnr_hole"], rtol=1e-4)
        assert [c["heads"] for c in record.controls] == [4] * record.length


def test_what_ships_for_an_environment_is_what_plays_there(small: dict) -> None:
    records, own = (
        evaluate(name, small, [5], env_id="VideoInpaintBudget-v0") for name in ("shipped", "trained-budget")
    )
    assert records == own
    assert records[0].policy == "trained-budget"


def test_records_repeat_and_are_plain(small: dict) -> None:
    env = make_evaluation_env(2, env_kwargs=small)
    one, two = (evaluate("random", seeds=[1, 2], env=env) for _ in range(2))
    assert one == two
    json.dumps([record.as_dict() for record in one])
    assert evaluate("random", seeds=[1, 2], env=env, seed=1) != one
    assert evaluate("random", seeds=[], env=env) == []


def test_a_record_says_what_every_iteration_gave(small: dict) -> None:
    record = evaluate("heads4", small, seeds=[5], num_envs=1)[0]
    env = gymnasium.make("VideoInpaint-v1", **small)
    env.reset(seed=5)
    infos = [env.step(FixedPolicy(replace(DEFAULT, heads=4)).action)[4] for _ in range(record.length)]
    for terms, reward, info in zip(record.reward_terms, record.rewards, infos):
        assert sum(terms.values()) == pytest.approx(reward)
        assert terms == pytest.approx(info["reward_terms"])
    assert record.gflops_by_iteration == pytest.approx([info["gflops"] for info in infos])
    assert record.gflops == pytest.approx(sum(record.gflops_by_iteration))
    assert len(record.quality_by_iteration) == record.length + 1
    assert np.diff(record.quality_by_iteration) == pytest.approx(record.rewards, abs=1e-5)
    assert record.quality_gain == pytest.approx(record.episode_return, abs=1e-5)
    assert record.quality == record.quality_by_iteration[-1]
    told = record.as_dict()
    assert told["quality"] == record.quality
    assert record.mask_iou is record.mask_j_and_f is None


def test_quality_and_the_end_are_the_environments_where_it_tells_them() -> None:
    start = {"clip": "a", "mask": "b", "quality": np.float64(0.5)}
    step = {"metrics": {"psnr": np.float32(20)}, "controls": {}, "gflops": np.float64(2)}
    steps = [step | {"quality": np.float64(0.7), "end": ""}, step | {"quality": np.float64(0.9), "end": "repaired"}]
    record = episode_record("mine", 3, start, steps, [np.float64(1), 2.0])
    assert record.quality_by_iteration == [0.5, 0.7, 0.9]
    assert (record.quality, record.end) == (0.9, "repaired")
    assert record.quality_gain == pytest.approx(0.4)
    assert json.loads(json.dumps(record.as_dict()))["gflops"] == 4
    assert episode_record("mine", 3, start, [step], [1.0], truncated=True).end == "truncated"


def test_a_one_shot_record_says_how_well_the_target_was_followed() -> None:
    kwargs = {"num_frames": 3, "height": 40, "width": 48, "max_iterations": 1, "inpainter": "telea", "device": "cpu"}
    kwargs |= {"detector": "none"}
    record = evaluate("heads4", kwargs, seeds=[1], env_id="VideoInpaintOneShot-v0", num_envs=1)[0]
    env = gymnasium.make("VideoInpaintOneShot-v0", **kwargs)
    _, info = env.reset(seed=1)
    assert record.mask_iou == pytest.approx(info["mask_iou"])
    assert record.mask_j_and_f == pytest.approx(info["mask_j_and_f"])
    assert record.mask == info["mask"]


def test_an_id_without_a_vector_form_is_played_one_environment_after_the_other(toy_id: str, toy_env: type) -> None:
    records = evaluate("heads8", {"length": 2}, seeds=[4, 5, 6], env_id=toy_id, num_envs=2)
    for record in records:
        env = toy_env(2)
        env.reset(seed=record.seed)
        steps = [env.step(FixedPolicy(replace(DEFAULT, heads=8)).action) for _ in range(2)]
        assert record.rewards == pytest.approx([step[1] for step in steps])
        assert record.metrics == steps[-1][4]["metrics"]
        assert (record.clip, record.quality) == ("toy", None)
    best = best_fixed({"length": 1}, GRID, seeds=[4, 5], env_id=toy_id, num_envs=2)
    assert [record.seed for record in best.records[best.controls]] == [4, 5]
    assert oracle_return(gymnasium.make(toy_id), GRID, seed=4).record.clip == "toy"


def test_a_vector_environment_of_ones_own_is_played(toy_env: type) -> None:
    vector = gymnasium.vector.SyncVectorEnv([toy_env] * 2)
    wrapped = gymnasium.wrappers.vector.RecordEpisodeStatistics(vector)
    plain, through = (evaluate("heads8", seeds=[4, 5, 6], env=env) for env in (vector, wrapped))
    assert plain == through
    other = gymnasium.vector.SyncVectorEnv([toy_env], autoreset_mode="SameStep")
    with pytest.raises(InputError, match="NextStep"):
        evaluate("heads8", seeds=[4], env=other)


def test_unknown_ids_and_arguments_are_named(small: dict) -> None:
    for run in (evaluate, best_fixed):
        with pytest.raises(UnknownNameError, match=r"Nope-v0.*VideoInpaint-v0"):
            run(*(["heads4"] if run is evaluate else []), small, env_id="Nope-v0")
    with pytest.raises(InputError, match=r"hight.*height"):
        evaluate("heads4", small | {"hight": 40})
    with pytest.raises(InputError, match=r"masks"):
        evaluate("heads4", {"masks": "square"}, env_id="VideoInpaintOneShot-v0")


def test_precision_reaches_the_networks(small: dict) -> None:
    kwargs = small | {"inpainter": "compact", "max_iterations": 1}
    exact, half, again = (
        evaluate("heads4", kwargs, seeds=[1], num_envs=1, precision=precision)[0]
        for precision in ("float32", "bfloat16", "float32")
    )
    assert exact == again
    assert exact.metrics != half.metrics
    assert exact.metrics["psnr"] == pytest.approx(half.metrics["psnr"], abs=0.5)


def test_a_precision_that_cannot_be_had_is_refused(small: dict, toy_id: str) -> None:
    with pytest.raises(InputError, match="float16"):
        evaluate("heads4", small, seeds=[1], precision="float16")
    with pytest.raises(InputError, match="takes no precision"):
        evaluate("heads4", seeds=[1], env_id=toy_id, precision="float32")


def test_a_policy_that_misbehaves_is_named(small: dict) -> None:
    class Short:
        def act(self, observation):
            return np.zeros((1, 4))

    with pytest.raises(InputError, match=r"Short.*\(2, 5\)"):
        evaluate(Short(), small, seeds=[1, 2], num_envs=2)


GRID = controls_grid(heads=(2, 4, 7, 10, 12), fusion=(0.65,))


def test_the_oracle_finds_the_best_of_the_grid_in_every_state(toy_env: type) -> None:
    env = toy_env()
    result = oracle_return(env, GRID, seed=3)
    env.reset(seed=3)
    by_hand = []
    for controls in GRID:
        copy = toy_env()
        copy.reset(seed=3)
        by_hand.append(copy.step(controls_to_action(controls.to_array()[None])[0])[1])
    np.testing.assert_allclose(result.record.episode_return, 3 * max(by_hand))
    assert result.tried == 3 * len(GRID)
    env.reset(seed=3)
    np.testing.assert_allclose(sum(env.step(action)[1] for action in result.actions), result.record.episode_return)


def test_a_wide_search_sees_a_trap_that_a_greedy_one_falls_into(toy_env: type) -> None:
    class Trap(toy_env):
        """The first step's best control costs more at the second."""

        def step(self, action):
            observation, _, _, truncated, info = super().step(action)
            high = action[0] > 0
            if self.n == 1:
                self.light = 1.0 if high else 0.0
                return observation, 1.0 if high else 0.5, False, truncated, info
            return observation, -2.0 if self.light else 1.0, True, truncated, info

    grid = controls_grid(heads=(2, 12), fusion=(0.65,))
    greedy, wide = (oracle_return(Trap(), grid, seed=0, width=width) for width in (1, None))
    assert greedy.record.episode_return == -1
    assert wide.record.episode_return == 1.5
    assert wide.tried == 2 + 4


def test_the_oracle_beats_fixed_controls_on_the_environment(small: dict) -> None:
    small = small | {"inpainter": "compact", "detector": "none", "max_iterations": 2}
    grid = controls_grid(heads=(2, 12), fusion=(0.5, 0.8))
    env = gymnasium.make("VideoInpaint-v1", **small)
    found = oracle_return(env, grid, seed=11, width=None)
    for controls in grid:
        fixed = evaluate(FixedPolicy(controls), small, seeds=[11], num_envs=1)[0]
        assert found.record.episode_return >= fixed.episode_return - 1e-4


def test_the_oracle_plays_the_clip_and_the_hole_that_it_is_told(small: dict) -> None:
    env = gymnasium.make("VideoInpaint-v1", **small, max_iterations=1)
    rng = np.random.default_rng(0)
    options = {"clip": rng.integers(0, 256, (2, 40, 48, 3), np.uint8), "mask": np.zeros((2, 40, 48), bool)}
    options["mask"][:, 10:20, 10:20] = True
    found = oracle_return(env, GRID[:2], seed=3, options=options)
    env.reset(seed=3, options=options)
    assert env.step(found.actions[0])[1] == pytest.approx(found.record.episode_return)
    assert found.record.clip != oracle_return(env, GRID[:2], seed=3).record.clip


def test_a_score_of_ones_own_is_maximised(toy_env: type) -> None:
    found = oracle_return(toy_env(), GRID, seed=3, score=lambda record: -record.controls[-1]["heads"])
    assert {c["heads"] for c in found.record.controls} == {2}


def test_best_fixed_ranks_the_grid(small: dict) -> None:
    grid = [Controls(alpha=0.8), Controls(alpha=1.0)]
    best = best_fixed(small, grid, seeds=[1, 2], env_id="VideoInpaint-v0", num_envs=2)
    assert best.controls.alpha == 1.0  # the weights scale the reward
    assert [controls.alpha for controls, _ in best.scores] == [1.0, 0.8]
    mean = np.mean(
        [r.episode_return for r in evaluate(best.policy(), small, seeds=[1, 2], env_id="VideoInpaint-v0", num_envs=2)]
    )
    np.testing.assert_allclose(best.score, mean, rtol=1e-6)
    assert list(best.records) == grid
    env = make_evaluation_env(2, "VideoInpaint-v0", env_kwargs=small)
    told: list[None] = []
    given = best_fixed(grid=grid, seeds=[1, 2], env=env, on_done=lambda: told.append(None))
    assert given.scores == best.scores
    assert len(told) == 2


def test_bad_searches(small: dict, toy_env: type) -> None:
    with pytest.raises(InputError, match="grid"):
        oracle_return(toy_env(), [], seed=0)
    with pytest.raises(InputError, match="grid"):
        best_fixed(small, [])
    with pytest.raises(InputError, match="get_state"):
        oracle_return(gymnasium.make("CartPole-v1"), seed=0)


def test_heuristic_runs_through_the_environment(small: dict) -> None:
    assert len(evaluate(HeuristicPolicy(), small, seeds=[0], num_envs=1)) == 1


def test_a_record_measures_the_repair_that_was_seen_last(small: dict) -> None:
    record = evaluate("heads4", small, seeds=[5, 6], num_envs=2)[1]
    assert len(record.actions) == record.length
    assert len(record.observations) == record.length + 1
    assert record.observations[0] != record.observations[1]
    assert record.measures["psnr_hole"] == pytest.approx(record.metrics["psnr_hole"], abs=0.1)  # of rounded frames
    env = gymnasium.make("VideoInpaint-v1", **small)
    env.reset(seed=6)
    for action in record.actions:
        _, _, _, _, info = env.step(np.asarray(action, np.float32))
    assert info["metrics"]["psnr_hole"] == pytest.approx(record.metrics["psnr_hole"], rel=1e-5)


@pytest.mark.parametrize("shown", [{"flat_info": True}, {"output": "torch"}], ids=str)
def test_what_agents_are_shown_changes_no_record(small: dict, shown: dict) -> None:
    assert evaluate("heads4", small | shown, [0, 1]) == evaluate("heads4", small, [0, 1])


def test_an_id_that_registers_flat_infos_is_played(small: dict) -> None:
    gymnasium.register(
        "VideoInpaintTestFlat-v0",
        entry_point="videoinpaint.envs:VideoInpaintEnv",
        vector_entry_point="videoinpaint.envs:VideoInpaintVectorEnv",
        kwargs={"flat_info": True, "reward": "improvement", "reward_weights": "fixed"},
    )
    try:
        assert evaluate("heads4", small, [0], env_id="VideoInpaintTestFlat-v0") == evaluate("heads4", small, [0])
    finally:
        del gymnasium.registry["VideoInpaintTestFlat-v0"]


@pytest.mark.parametrize(("arguments", "message"), [
    ({"seeds": 3}, "seeds are numbers"), ({"seeds": "12"}, "seeds are numbers"), ({"seeds": [1.5]}, "whole number"),
    ({"env_kwargs": {"autoreset_mode": "SameStep"}}, "leave it out"),
])  # fmt: skip
def test_what_evaluate_cannot_use_is_named(small: dict, arguments: dict, message: str) -> None:
    given = {"env_kwargs": small, "seeds": [0]} | arguments
    with pytest.raises(InputError, match=message):
        evaluate("default", **given | {"env_kwargs": small | given["env_kwargs"]})


def rescaled(env: gymnasium.Env) -> gymnasium.Env:
    return gymnasium.wrappers.RescaleAction(env, np.float32(0), np.float32(1))


@pytest.mark.parametrize(("made", "message"), [
    ({"output": "torch"}, "output='numpy'"),
    ({"flat_info": True}, "flat_info=False"),
    ({"vectorization_mode": "sync", "flat_info": True}, "flat_info=False"),
    ({"vectorization_mode": "sync", "wrappers": [NaturalControls]}, "NaturalControls"),
    ({"vectorization_mode": "sync", "wrappers": [rescaled]}, "RescaleAction"),
    ({"vectorization_mode": "sync", "wrappers": [SingleImage]}, "frames and masks"),
], ids=["tensors", "flat infos", "flat infos in turn", "natural units", "another range", "one image"])  # fmt: skip
def test_an_environment_that_shows_or_takes_something_else_is_named(small: dict, made: dict, message: str) -> None:
    env = gymnasium.make_vec("VideoInpaint-v1", num_envs=2, **small | made)
    with pytest.raises(InputError, match=message):
        evaluate("default", seeds=[0], env=env)


def test_infos_as_lists_are_named(small: dict) -> None:
    env = gymnasium.wrappers.vector.DictInfoToList(gymnasium.make_vec("VideoInpaint-v1", num_envs=2, **small))
    with pytest.raises(InputError, match="DictInfoToList"):
        evaluate("default", seeds=[0], env=env)


def test_a_policy_may_compare_as_it_likes(small: dict) -> None:
    class Odd:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> Any:
            return np.array([True, False])

        def act(self, observation: dict) -> np.ndarray:
            return np.zeros((len(observation["masks"]), 5), np.float32)

    assert len(evaluate(Odd(), small, seeds=[0])) == 1
