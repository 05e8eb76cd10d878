"""What the environment promises to an agent: spaces, rewards, info, termination, options, bad input."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.wrappers import TimeAwareObservation

from videoinpaint.clips import Clip
from videoinpaint.controls import NAMES, Controls
from videoinpaint.envs import VideoInpaintEnv
from videoinpaint.envs.infos import flattened
from videoinpaint.errors import InputError, UnknownNameError
from videoinpaint.inpainters import INPAINTERS
from videoinpaint.inpainters.published.pretraining import sizes_of
from videoinpaint.inpainters.published.recipes import SMALL

METRICS = {"psnr", "ssim", "lpips", "perceptual", "wta", "psnr_hole"}


def arrays(seed: int = 0, frames: int = 4, height: int = 48, width: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A smooth random clip and a square hole."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (frames, 6, 8, 3), np.uint8)
    mask = np.zeros((frames, height, width), np.uint8)
    mask[:, 12:30, 20:44] = 1
    return coarse.repeat(height // 6, 1).repeat(width // 8, 2), mask


def test_reset_shows_the_corrupted_clip_and_the_hole(env):
    clip, mask = arrays()
    obs, info = env.reset(seed=3, options={"clip": clip, "mask": mask})
    assert obs in env.observation_space
    frames = obs["frames"].reshape(4, 3, 48, 64).transpose(0, 2, 3, 1)
    assert np.array_equal(obs["masks"], mask * 255)
    assert np.array_equal(frames[mask == 0], clip[mask == 0])
    assert (frames[mask == 1] == 128).all()
    assert {key: info[key] for key in ("clip", "mask", "seed", "iteration")} == {
        "clip": "given", "mask": "given", "seed": 3, "iteration": 0,
    }  # fmt: skip
    assert info["metrics"]["psnr_hole"] < 100
    assert not any(info["reward_terms"].values())


def keys(info):
    return {k: sorted(v) if isinstance(v, dict) else None for k, v in info.items()}


def test_infos_have_the_same_keys_and_types_after_reset_and_step(env):
    begun = env.reset(seed=0)[1]
    stepped = env.step(env.action_space.sample())[4]
    assert keys(begun) == keys(stepped)
    for info in (begun, stepped):
        flat = flattened(info)
        assert all(isinstance(value, np.generic) for value in flat.values())  # some libraries ask each for its dtype
        assert np.isfinite(list(flat.values())).all()
        assert "metrics/psnr" in flat
        assert not any(isinstance(value, str) for value in flat.values())


def test_flat_infos_are_numbers_alone(toy):
    env = gymnasium.make("VideoInpaint-v1", flat_info=True, **toy)
    info = env.reset(seed=0)[1]
    assert not any(isinstance(value, str | dict) for value in info.values())
    assert info.keys() == env.step(env.action_space.sample())[4].keys()


def test_the_return_of_v1_is_what_quality_gained(toy):
    env = gymnasium.make("VideoInpaint-v1", **toy)
    total, before = 0.0, env.reset(seed=2)[1]["quality"]
    for _ in range(3):
        _, reward, _, _, info = env.step(env.action_space.sample())
        total += reward
    assert total == pytest.approx(info["quality"] - before, abs=1e-6)
    assert info["end"] == "max_iterations"
    assert not info["is_success"]


def remade(env, **kwargs):
    return gymnasium.make(env.spec, **kwargs)


def remade_from_json(env, **kwargs):
    return gymnasium.make(EnvSpec.from_json(env.spec.to_json()), **kwargs)


def remade_from_pickle(env, **kwargs):
    return pickle.loads(pickle.dumps(env.spec)).make(**kwargs)


@pytest.mark.parametrize("remake", [remade, remade_from_json, remade_from_pickle])
def test_what_a_spec_makes_again_ends_as_the_environment_does(remake):
    env = gymnasium.make("VideoInpaint-v1", max_iterations=2, num_frames=2, inpainter="telea", detector="none")
    for again, iterations in ((env, 2), (remake(env), 2), (remake(env, max_iterations=4), 4)):
        again.reset(seed=0)
        steps = [again.step(np.zeros(5)) for _ in range(iterations)]
        assert [step[2] for step in steps] == [False] * (iterations - 1) + [True]
        assert not any(step[3] for step in steps)


def test_time_is_observed_where_the_length_is_given(toy):
    env = TimeAwareObservation(gymnasium.make("VideoInpaint-v1", max_episode_steps=3, **toy), flatten=False)
    env.reset(seed=0)
    steps = [env.step(np.zeros(5)) for _ in range(3)]
    assert [step[0]["time"].tolist() for step in steps] == [[1], [2], [3]]
    assert [step[2] for step in steps] == [False, False, True]


@pytest.mark.parametrize("mode", ["vector_entry_point", "sync"])
def test_success_is_a_truth_value_in_every_form(toy, mode):
    env = gymnasium.make("VideoInpaint-v1", **toy)
    assert type(env.reset(seed=0)[1]["is_success"]) is bool
    assert type(env.step(np.zeros(5))[4]["is_success"]) is bool
    assert gymnasium.make_vec("VideoInpaint-v1", 2, mode, **toy).reset(seed=0)[1]["is_success"].dtype == np.bool_


def test_step_returns_plain_types_and_scalar_info(env):
    env.reset(seed=0)
    obs, reward, terminated, truncated, info = env.step(np.array([1, 0, -1, 0, 1], np.float32))
    assert obs in env.observation_space
    assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
    assert set(info["metrics"]) == METRICS
    assert info["controls"] == {"heads": 12, "fusion": 0.65, "alpha": 0.8, "beta": 0.45, "gamma": 0.3}
    assert info["gflops"] == pytest.approx(1.2)
    assert info["iteration"] == 1
    flat = {**info, **info["metrics"], **info["reward_terms"], **info["controls"]}
    assert all(isinstance(v, np.generic | int | str | dict) for v in flat.values())
    assert all(len(v) < 80 for v in flat.values() if isinstance(v, str))


def test_reward_is_equation_6_of_the_raw_metrics(env):
    env.reset(seed=1)
    _, reward, _, _, info = env.step(env.action_space.sample())
    m, c = info["metrics"], info["controls"]
    quality = c["alpha"] * (m["ssim"] + m["psnr"] / 50)
    expected = quality - c["beta"] * (m["perceptual"] + m["lpips"]) - c["gamma"] * m["wta"]
    assert reward == pytest.approx(expected, abs=1e-5)
    assert reward == pytest.approx(sum(info["reward_terms"].values()))


def test_episode_ends_after_max_iterations(toy):
    env = gymnasium.make("VideoInpaint-v0", max_iterations=2, **toy)
    env.reset(seed=0)
    action = np.zeros(5, np.float32)
    assert env.step(action)[2:4] == (False, False)
    assert env.step(action)[2:4] == (True, False)
    with pytest.raises(ResetNeeded, match="reset"):
        env.step(action)


def test_episode_ends_when_nothing_is_flagged(content):
    env = gymnasium.make("VideoInpaint-v0", **content)
    env.reset(seed=0)
    obs, _, terminated, _, info = env.step(np.zeros(5, np.float32))
    assert terminated
    assert info["iteration"] == 1
    assert not obs["masks"].any()


def test_step_before_reset_is_refused(env):
    with pytest.raises(ResetNeeded):
        env.unwrapped.step(np.zeros(5, np.float32))


def test_fixed_weights_ignore_the_action(toy):
    env = gymnasium.make("VideoInpaint-v0", reward_weights="fixed", **toy)
    env.reset(seed=2)
    _, reward, _, _, info = env.step(np.ones(5, np.float32))
    m = info["metrics"]
    expected = 0.9 * (m["ssim"] + m["psnr"] / 50) - 0.45 * (m["perceptual"] + m["lpips"]) - 0.2 * m["wta"]
    assert reward == pytest.approx(expected, abs=1e-5)
    assert info["controls"]["alpha"] == 1.0  # the network is still conditioned on the action


def test_the_budget_environment_rewards_improvement_and_charges_for_compute(toy):
    rewards = {}
    for env_id, kwargs in (
        ("VideoInpaintBudget-v0", {}),
        ("VideoInpaint-v0", {"reward": "improvement", "reward_weights": "fixed"}),
    ):
        env = gymnasium.make(env_id, **kwargs, **toy)
        env.reset(seed=5)
        _, reward, _, _, info = env.step(np.ones(5, np.float32))
        rewards[env_id] = reward - info["reward_terms"]["compute"]
    assert info["reward_terms"]["compute"] == 0
    assert rewards["VideoInpaintBudget-v0"] == pytest.approx(rewards["VideoInpaint-v0"], abs=1e-6)


def test_improvements_add_up_to_the_change_in_absolute_reward(toy):
    rewards = {}
    for kind in ("absolute", "improvement"):
        env = gymnasium.make("VideoInpaint-v0", reward=kind, reward_weights="fixed", **toy)
        env.reset(seed=5)
        rewards[kind] = [env.step(np.full(5, x, np.float32))[1] for x in (-1, 0, 1)]
    absolute, improvement = rewards["absolute"], rewards["improvement"]
    assert improvement[1:] == pytest.approx(np.diff(absolute), abs=1e-5)
    assert improvement[0] != pytest.approx(absolute[0], abs=0.05)


def test_changing_the_weights_alone_is_no_improvement(toy):
    class Idle(type(toy["inpainter"])):
        """Gives back what it was given."""

        def refine(self, state, repaired, masks, controls):
            result = super().refine(state, repaired, masks, controls)
            return type(result)(repaired, result.gflops)

    env = gymnasium.make("VideoInpaint-v0", reward="improvement", **{**toy, "inpainter": Idle()})
    env.reset(seed=0)
    env.step(np.full(5, -1, np.float32))
    _, reward, _, _, info = env.step(np.ones(5, np.float32))
    # The repair is the same; the detector's weights of the temporal term are as well, from the first step on.
    assert reward == pytest.approx(0, abs=1e-6)
    assert all(abs(v) < 1e-6 for v in info["reward_terms"].values())


def test_compute_price_is_relative_to_twelve_heads(toy):
    priced = gymnasium.make("VideoInpaint-v0", compute_price=0.3, **toy)
    free = gymnasium.make("VideoInpaint-v0", **toy)
    for heads, share in ((-1, 2 / 12), (1, 1.0)):
        action = np.array([heads, 0, 0, 0, 0], np.float32)
        priced.reset(seed=0)
        free.reset(seed=0)
        _, reward, _, _, info = priced.step(action)
        assert info["reward_terms"]["compute"] == pytest.approx(-0.3 * share)
        assert reward == pytest.approx(free.step(action)[1] - 0.3 * share)


def test_psnr_scale_of_one_gives_raw_decibel(toy):
    env = gymnasium.make("VideoInpaint-v0", psnr_scale=1.0, **toy)
    env.reset(seed=0)
    _, _, _, _, info = env.step(np.zeros(5, np.float32))
    assert info["reward_terms"]["psnr"] == pytest.approx(0.9 * info["metrics"]["psnr"], rel=1e-5)


def test_options_take_names_and_seeds_reproduce_episodes(env):
    obs, info = env.reset(seed=0, options={"clip": "studio-mixed-000007", "mask": "square"})
    assert (info["clip"], info["mask"]) == ("studio-mixed-000007", "square")
    square = obs["masks"][0] > 0
    assert square.sum() == 12 * 16
    env.reset()
    later, info = env.reset()
    again, same = env.reset(seed=info["seed"])
    assert info == same
    assert np.array_equal(later["frames"], again["frames"])
    assert np.array_equal(later["masks"], again["masks"])


def test_initial_states_differ_by_seed(env):
    first, second = (env.reset(seed=s)[0] for s in (0, 1))
    assert not np.array_equal(first["frames"], second["frames"])
    assert not np.array_equal(first["masks"], second["masks"])


def test_controls_and_actions_are_inverse(env):
    controls = Controls(heads=5, fusion=0.7, alpha=0.85, beta=0.6, gamma=0.1)
    action = env.unwrapped.to_action(controls)
    assert action in env.action_space
    assert env.unwrapped.to_controls(action) == controls
    assert env.unwrapped.honoured_controls == {"heads", "fusion", "objective"}


@pytest.mark.parametrize("changes", [{"heads": 13}, {"heads": 1}, {"heads": 4.5}, {"fusion": 5.0}, {"gamma": np.nan}])
def test_no_action_stands_for_controls_out_of_range(env, changes):
    told = "finite" if changes.get("gamma") else r"heads 2\.\.12, fusion 0\.5\.\.0\.8"
    with pytest.raises(InputError, match=told):
        env.unwrapped.to_action(Controls(**changes))


@pytest.mark.parametrize("name", NAMES)
def test_every_control_reaches_the_inpainter(env, name):
    repairs = []
    for end in (-1, 1):
        env.reset(seed=4)
        action = np.zeros(5, np.float32)
        action[NAMES.index(name)] = end
        repairs.append(env.step(action)[0]["frames"])
    assert not np.array_equal(*repairs)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_actions_that_are_not_finite_are_refused_and_change_nothing(env, bad):
    env.reset(seed=0)
    action = np.zeros(5, np.float32)
    action[2] = bad
    with pytest.raises(InputError, match="finite"):
        env.unwrapped.step(action)
    assert env.unwrapped.step(np.zeros(5, np.float32))[4]["iteration"] == 1


@pytest.mark.parametrize("shape", [(), (4,), (1, 5), (6,)])
def test_actions_of_another_shape_are_refused(env, shape):
    env.reset(seed=0)
    with pytest.raises(InputError, match=r"\(5,\)"):
        env.unwrapped.step(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("argument", "error", "words"),
    [
        ({"num_frames": 1}, InputError, "num_frames"),
        ({"compile": "yes"}, InputError, "compile is True or False"),
        ({"compile": True}, InputError, "neither the inpainter 'toy' nor the detector"),
        ({"num_frames": 4.0}, InputError, "num_frames"),
        ({"height": 31}, InputError, "height"),
        ({"width": 0}, InputError, "width"),
        ({"max_iterations": 0}, InputError, "max_iterations"),
        ({"inpainter": "telly"}, UnknownNameError, "telea"),
        ({"detector": "nun"}, UnknownNameError, "none"),
        ({"backbone": "alexa"}, (InputError, UnknownNameError), "alex"),
        ({"clips": "studios"}, UnknownNameError, "studio"),
        ({"masks": "squares"}, UnknownNameError, "square"),
        ({"reward": "relative"}, InputError, "improvement"),
        ({"reward_weights": "free"}, InputError, "action"),
        ({"compute_price": -1.0}, InputError, "compute_price"),
        ({"psnr_scale": 0.0}, InputError, "psnr_scale"),
        ({"device": "tpu9"}, InputError, "device"),
        ({"render_mode": "ascii"}, InputError, "rgb_array"),
    ],
)
def test_unusable_arguments_name_themselves_and_the_remedy(toy, argument, error, words):
    with pytest.raises(error, match=words):
        gymnasium.make("VideoInpaint-v0", **{**toy, **argument})


def test_frames_smaller_than_the_inpainter_accepts_are_refused(toy):
    toy["inpainter"].min_size = (64, 64)
    with pytest.raises(InputError, match=r"toy.*64x64"):
        gymnasium.make("VideoInpaint-v0", **toy)


CLIP, MASK = arrays()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"video": CLIP}, "video"),
        ({"clip": CLIP[:, :40]}, "clip"),
        ({"clip": CLIP[:3]}, "clip"),
        ({"clip": CLIP.astype(np.float32)}, "uint8"),
        ({"mask": MASK[:, :, :40]}, "mask"),
        ({"mask": MASK[:2]}, "mask"),
        ({"mask": MASK * 0}, "empty"),
        ({"mask": MASK * 0 + 1}, "covers"),
        ({"mask": MASK * 7}, "mask"),
        ({"mask": MASK * np.float32(np.nan)}, "NaN"),
        ({"clip": "nobody"}, "nobody"),
        ({"mask": "nobody"}, "nobody"),
        ({"clips": "studio", "seed": 1}, "unknown reset options 'clips', 'seed': use"),
    ],
)
def test_unusable_options_are_refused_and_the_running_episode_survives(env, options, words):
    env.reset(seed=0)
    with pytest.raises((InputError, UnknownNameError), match=words):
        env.reset(options=options)
    assert env.step(np.zeros(5, np.float32))[4]["iteration"] == 1


@pytest.mark.parametrize("scale", [1, 255])
def test_masks_of_zeros_and_255_or_booleans_mean_the_same(env, scale):
    plain, _ = env.reset(seed=0, options={"mask": MASK})
    for other in (MASK * np.uint8(scale), MASK.astype(bool)):
        obs, _ = env.reset(seed=0, options={"mask": other})
        assert np.array_equal(obs["masks"], plain["masks"])


@pytest.mark.parametrize("vector", [False, True])
def test_who_is_done_early_earns_no_less(toy, content, vector):
    settings = {**content, "max_iterations": 3}
    action = np.zeros(5, np.float32)
    if vector:
        envs = gymnasium.make_vec("VideoInpaint-v0", 2, "vector_entry_point", **settings)
        envs.reset(seed=[4, 4])
        _, rewards, terminated, _, infos = envs.step(np.stack([action, action]))
        assert infos["end"].tolist() == ["repaired", "repaired"]
        reward, done, success = rewards[1], terminated[1], infos["is_success"][1]
        terms = {name: values[1] for name, values in infos["reward_terms"].items() if not name.startswith("_")}
    else:
        env = gymnasium.make("VideoInpaint-v0", **settings)
        env.reset(seed=4)
        _, reward, done, _, info = env.step(action)
        assert info["end"] == "repaired"
        success, terms = info["is_success"], info["reward_terms"]
    going_on = gymnasium.make("VideoInpaint-v0", **(settings | {"detector": toy["detector"]}))
    going_on.reset(seed=4)
    once = going_on.step(action)[1]
    assert done
    assert success
    assert reward == pytest.approx(3 * once, rel=1e-3)
    assert reward == pytest.approx(sum(terms.values()))


@pytest.mark.parametrize(("inpainter", "run"), [("compact", [2, 7, 12]), ("telea", [0, 0, 0]), ("sttn", [1, 2, 4])])
def test_the_info_says_how_many_heads_really_ran(inpainter, run):
    if inpainter == "sttn":  # a small one: the published size takes a second a head
        kind, recipe = INPAINTERS.find(inpainter), SMALL[inpainter]
        inpainter = kind(sizes=sizes_of(kind, replace(recipe, sizes=replace(recipe.sizes, depth=1))))
    sizes = {"num_frames": 2, "height": 48, "width": 64, "detector": "none"}
    env = gymnasium.make("VideoInpaint-v1", inpainter=inpainter, **sizes)
    assert env.reset(seed=0)[1]["heads_run"] == 0
    infos = [env.step(np.array([heads, 0, 0, 0, 0], np.float32))[4] for heads in (-1, 0, 1)]
    assert [info["heads_run"] for info in infos] == run
    assert [info["controls"]["heads"] for info in infos] == [2, 7, 12]


@pytest.mark.parametrize(
    "view", [lambda x: x[..., ::-1], lambda x: x[:, ::-1], lambda x: x[::-1], np.asfortranarray], ids=list("abcd")
)
def test_clips_and_holes_are_taken_however_they_lie_in_memory(toy, view):
    rng = np.random.default_rng(0)
    clip, hole = rng.integers(0, 256, (4, 48, 64, 3), np.uint8), np.zeros((4, 48, 64), bool)
    hole[1:, 10:20, 5:30] = True
    clip.flags.writeable = False
    env = gymnasium.make("VideoInpaint-v1", **toy)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen, _ = env.reset(seed=0, options={"clip": view(clip), "mask": view(hole)})
    whole = {"clip": np.ascontiguousarray(view(clip)), "mask": np.ascontiguousarray(view(hole))}
    expected, _ = gymnasium.make("VideoInpaint-v1", **toy).reset(seed=0, options=whole)
    assert all(np.array_equal(seen[key], expected[key]) for key in expected)


class Clips:
    """A source without names; its only clip is called `name`."""

    def __init__(self, name):
        self.name, self.called = "mine", name

    def sample(self, rng, num_frames, height, width):
        return Clip(rng.integers(0, 255, (num_frames, height, width, 3), np.uint8), self.called)


@pytest.mark.parametrize("name", [7, None, Path("x")])
def test_a_clip_that_is_not_named_by_a_text_is_refused(toy, name):
    with pytest.raises(InputError, match="a clip's name is a text, got"):
        VideoInpaintEnv(**toy, clips=Clips(name)).reset(seed=0)


def test_a_name_of_numpys_is_a_text(toy):
    assert type(VideoInpaintEnv(**toy, clips=Clips(np.str_("x"))).reset(seed=0)[1]["clip"]) is str


def test_a_source_without_names_says_so(toy):
    with pytest.raises(InputError, match="the clip source 'mine' loads no clip by name"):
        VideoInpaintEnv(**toy, clips=Clips("x")).reset(seed=0, options={"clip": "x"})


def test_classes_are_parts(toy):
    whole = toy | {name: type(toy[name]) for name in ("inpainter", "detector")}
    (seen, _), (expected, _) = VideoInpaintEnv(**whole).reset(seed=0), VideoInpaintEnv(**toy).reset(seed=0)
    assert np.array_equal(seen["frames"], expected["frames"])
