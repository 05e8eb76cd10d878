"""The adapter to Stable-Baselines3, and training through it."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics, TransformReward
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import VecMonitor

from videoinpaint.controls import Controls
from videoinpaint.envs import SB3VecEnv, make_sb3_vec
from videoinpaint.errors import InputError


def actions(step, count=2):
    return np.random.default_rng(step).uniform(-1, 1, (count, 5)).astype(np.float32)


def test_adapter_equals_stable_baselines_own_vectoriser(toy):
    ours = make_sb3_vec(2, "VideoInpaint-v0", seed=9, **toy)
    theirs = make_vec_env("VideoInpaint-v0", 2, seed=9, env_kwargs=toy)
    theirs.seed(9)
    first, second = ours.reset(), theirs.reset()
    for step in range(7):
        assert all(np.array_equal(first[key], second[key]) for key in second)
        first, rewards, dones, infos = ours.step(actions(step))
        second, their_rewards, their_dones, their_infos = theirs.step(actions(step))
        np.testing.assert_allclose(rewards, their_rewards, atol=1e-5)
        assert rewards.dtype == np.float32
        assert np.array_equal(dones, their_dones)
        for info, other in zip(infos, their_infos):
            assert info.keys() == other.keys()
            if "episode" in other:
                assert info["episode"]["l"] == other["episode"]["l"]
                assert info["episode"]["r"] == pytest.approx(other["episode"]["r"], abs=1e-4)
                assert info["episode"].keys() == other["episode"].keys()
            assert info["TimeLimit.truncated"] is False
            assert info["clip"] == other["clip"]
            if "terminal_observation" in info:
                last = info["terminal_observation"]
                assert all(np.array_equal(last[key], other["terminal_observation"][key]) for key in last)
    assert [info["seed"] for info in ours.reset_infos] == [info["seed"] for info in theirs.reset_infos]


def test_truncation_is_told_from_termination(toy):
    venv = make_sb3_vec(2, max_episode_steps=1, max_iterations=2, **toy)
    venv.reset()
    *_, dones, infos = venv.step(actions(0))
    assert dones.all()
    assert all(info["TimeLimit.truncated"] is True and "terminal_observation" in info for info in infos)


def test_seeds_and_options_are_used_once(toy):
    venv = make_sb3_vec(2, **toy)
    venv.seed(4)
    venv.set_options({"mask": "square"})
    venv.reset()
    assert [(info["seed"], info["mask"]) for info in venv.reset_infos] == [(4, "square"), (5, "square")]
    venv.reset()
    assert all(info["mask"] == "stationary" and info["seed"] > 5 for info in venv.reset_infos)


def test_attributes_and_methods(toy):
    venv = make_sb3_vec(3, render_mode="rgb_array", **toy)
    venv.reset()
    assert venv.get_attr("render_mode") == ["rgb_array"] * 3
    assert venv.env_method("to_controls", np.zeros(5), indices=[1])[0] == Controls(7, 0.65, 0.9, 0.45, 0.2)
    assert [s["episode"]["seed"] for s in venv.env_method("get_state")] == [i["seed"] for i in venv.reset_infos]
    assert venv.env_is_wrapped(gymnasium.Wrapper, 0) == [False]
    assert not venv.has_attr("nothing_of_this_name")
    venv.set_attr("max_episode_steps", 1)
    assert venv.step(actions(0, 3))[2].all()
    assert venv.render().ndim == 3
    with pytest.raises(InputError, match="all"):
        venv.set_attr("max_episode_steps", 2, indices=0)
    with pytest.raises(InputError, match="reset"):
        venv.env_method("reset")
    venv.close()


def test_only_same_step_autoreset_fits(toy):
    vector = gymnasium.make_vec("VideoInpaint-v0", num_envs=2, autoreset_mode=AutoresetMode.DISABLED, **toy)
    with pytest.raises(InputError, match="SameStep"):
        SB3VecEnv(vector)
    with pytest.raises(InputError, match="VectorEnv"):
        SB3VecEnv(gymnasium.make("VideoInpaint-v0", **toy))


def wrapped(toy):
    env = make_sb3_vec(2, "VideoInpaint-v0", **toy).env
    return RecordEpisodeStatistics(TransformReward(env, lambda rewards: rewards))


def synchronous(toy):
    make = [lambda: gymnasium.make("VideoInpaint-v0", **toy)] * 2
    return SyncVectorEnv(make, autoreset_mode=AutoresetMode.SAME_STEP)


@pytest.mark.parametrize("make", [wrapped, synchronous])
def test_any_same_step_vector_environment_gives_what_the_bare_one_gives(toy, make):
    bare, other = make_sb3_vec(2, "VideoInpaint-v0", seed=3, **toy), SB3VecEnv(make(toy))
    other.seed(3)
    first, second = bare.reset(), other.reset()
    ended = 0
    for step in range(7):
        assert all(np.array_equal(first[key], second[key]) for key in first)
        first, rewards, dones, infos = bare.step(actions(step))
        second, their_rewards, their_dones, their_infos = other.step(actions(step))
        np.testing.assert_allclose(rewards, their_rewards, atol=1e-5)
        assert np.array_equal(dones, their_dones)
        for info, theirs in zip(infos, their_infos):
            assert info.keys() <= theirs.keys()
            assert info["clip"] == theirs["clip"]
            assert info["metrics"] == pytest.approx(theirs["metrics"], abs=1e-4)
            if "episode" in info:
                ended += 1
                assert theirs["episode"]["r"] == pytest.approx(info["episode"]["r"], abs=1e-4)
                last = theirs["terminal_observation"]
                assert all(np.array_equal(last[key], value) for key, value in info["terminal_observation"].items())
    assert ended
    assert [info["seed"] for info in bare.reset_infos] == [info["seed"] for info in other.reset_infos]
    assert len(other.env_method("to_controls", np.zeros(5))) == len(other.get_attr("honoured_controls")) == 2


def test_stock_ppo_logs_returns_and_successes(content, tmp_path):
    model = PPO(
        "MultiInputPolicy", make_sb3_vec(2, **content), n_steps=8, batch_size=8, n_epochs=1, device="cpu", seed=0
    )
    model.set_logger(configure(str(tmp_path), ["csv"]))
    evaluation = EvalCallback(VecMonitor(make_sb3_vec(2, **content)), n_eval_episodes=2, eval_freq=8, verbose=0)
    model.learn(32, log_interval=1, callback=evaluation)
    table = np.genfromtxt(tmp_path / "progress.csv", delimiter=",", names=True, deletechars="")
    assert np.isfinite(table["rollout/ep_rew_mean"]).any()
    assert np.nanmax(table["rollout/ep_len_mean"]) == 1  # this detector is content with the first repair
    assert np.nanmax(table["rollout/success_rate"]) == 1
    assert np.nanmax(table["eval/success_rate"]) == 1
    assert np.isfinite(table["eval/mean_reward"]).any()


@pytest.mark.parametrize("batched", [False, True])
def test_stock_ppo_trains(toy, batched):
    env = VecMonitor(make_sb3_vec(2, **toy)) if batched else gymnasium.make("VideoInpaint-v0", **toy)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = PPO("MultiInputPolicy", env, n_steps=8, batch_size=8, n_epochs=1, device="cpu", seed=0)
        model.learn(16)
        returns, lengths = evaluate_policy(model, model.get_env(), n_eval_episodes=2, return_episode_rewards=True)
    # Both keys are read as images by a CNN: 256 features each, however many channels.
    assert {type(e).__name__ for e in model.policy.features_extractor.extractors.values()} == {"NatureCNN"}
    assert len(returns) == 2
    assert max(lengths) <= 3


def test_an_id_without_a_vector_form_is_played_one_environment_after_the_other(toy):
    name = "VideoInpaintSinglesOnly-v0"
    gymnasium.register(name, entry_point="videoinpaint.envs:VideoInpaintEnv", order_enforce=False)
    try:
        batched, singles = make_sb3_vec(2, "VideoInpaint-v0", seed=5, **toy), make_sb3_vec(2, name, seed=5, **toy)
        assert isinstance(singles.env, SyncVectorEnv)
        first, second = batched.reset(), singles.reset()
        assert all(np.array_equal(first[key], second[key]) for key in first)
        np.testing.assert_allclose(batched.step(actions(0))[1], singles.step(actions(0))[1], atol=1e-5)
    finally:
        del gymnasium.registry[name]
