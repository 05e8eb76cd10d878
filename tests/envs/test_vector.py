"""The vector form: equal to single environments, three ways to begin anew, partial resets, truncation."""

from __future__ import annotations

import json
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from videoinpaint.clips import make_clips
from videoinpaint.envs import VideoInpaintVectorEnv
from videoinpaint.errors import InputError

NUM = 3
SMALL = {"num_frames": 2, "height": 48, "width": 64, "inpainter": "telea", "detector": "none", "device": "cpu"}
MODES = list(AutoresetMode)


def make(mode=AutoresetMode.NEXT_STEP, num_envs=NUM, **kwargs):
    return gymnasium.make_vec(
        "VideoInpaint-v0", num_envs=num_envs, vectorization_mode="vector_entry_point", autoreset_mode=mode, **kwargs
    )


def batch(step):
    return np.random.default_rng(step).uniform(-1, 1, (NUM, 5)).astype(np.float32)


class EarlyDetector:
    """Content or not by a finely cut brightness, so that episodes of one batch end at different steps."""

    name = "early"

    def __init__(self, inner):
        self.inner = inner

    def detect(self, repaired, masks):
        found = self.inner.detect(repaired, masks)
        light = (repaired * masks).sum((1, 2, 3, 4)) / masks.sum((1, 2, 3, 4)) / 3
        keep = (light.mul(40).floor() % 2).view(-1, 1, 1, 1, 1)
        return type(found)(masks * keep, found.weights)


def assert_close(first, second):
    """Equal infos up to the last bits of float32 sums over a batch."""
    assert first.keys() == second.keys()
    for key, value in first.items():
        if isinstance(value, dict):
            assert_close(value, second[key])
        elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
            np.testing.assert_allclose(value, second[key], atol=2e-4, rtol=1e-5)
        elif isinstance(value, np.ndarray) and value.dtype == object:
            for one, other in zip(value, second[key]):
                if isinstance(one, dict):
                    assert all(np.array_equal(one[k], other[k]) for k in one)
                else:
                    assert one == other
        else:
            assert np.array_equal(value, second[key])


def test_make_vec_is_silent_and_works_with_the_defaults(size):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs = gymnasium.make_vec("VideoInpaint-v1", num_envs=4, vectorization_mode="vector_entry_point", **size)
        obs, infos = envs.reset(seed=0)
        obs, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
    assert obs in envs.observation_space
    assert rewards.shape == terminated.shape == truncated.shape == (4,)
    assert rewards.dtype == np.float64
    assert infos["metrics"]["psnr"].shape == (4,)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    envs.close()


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_vector_equals_synchronous_single_environments(toy, mode, early):
    if early:
        toy["detector"] = EarlyDetector(toy["detector"])
    vector = make(mode, **toy)
    single = SyncVectorEnv([lambda: gymnasium.make("VideoInpaint-v0", **toy)] * NUM, autoreset_mode=mode)
    ours, theirs = vector.reset(seed=21), single.reset(seed=21)
    ends = set()
    for step in range(8):
        assert all(np.array_equal(ours[0][key], theirs[0][key]) for key in ("frames", "masks"))
        assert_close(ours[-1], theirs[-1])
        ours, theirs = vector.step(batch(step)), single.step(batch(step))
        np.testing.assert_allclose(ours[1], theirs[1], atol=1e-5)
        assert np.array_equal(ours[2], theirs[2])
        assert not ours[3].any()
        ends.add(tuple(ours[2]))
    assert bool(ends - {(True,) * NUM, (False,) * NUM}) == early  # with early ends, batches are really mixed


def test_vector_equals_single_with_the_default_parts(size):
    vector = make(**size)
    obs, infos = vector.reset(seed=[3, 14, 15])
    stepped = vector.step(batch(0))
    for i, seed in enumerate((3, 14, 15)):
        env = gymnasium.make("VideoInpaint-v0", **size)
        first, info = env.reset(seed=seed)
        assert all(np.array_equal(obs[key][i], first[key]) for key in first)
        assert infos["clip"][i] == info["clip"]
        after, reward, *_ = env.step(batch(0)[i])
        assert stepped[1][i] == pytest.approx(reward, abs=1e-4)
        for key in after:  # convolutions over a batch may differ in the last bit: at most one grey level
            assert np.abs(stepped[0][key][i].astype(int) - after[key]).max() <= 1


def test_environments_of_the_same_seed_play_the_same_episode_apart(toy):
    class Counted:
        name, drawn = "counted", 0

        def __init__(self, inner):
            self.inner = inner

        def sample(self, *args):
            Counted.drawn += 1
            return self.inner.sample(*args)

        def load(self, *args):
            return self.inner.load(*args)

    toy["clips"] = Counted(make_clips("studio"))
    vector, single = make(**toy), gymnasium.make("VideoInpaint-v0", **toy)
    drawn = Counted.drawn
    obs, _ = vector.reset(seed=[7, 8, 7])
    assert Counted.drawn == drawn + 2
    first, _ = single.reset(seed=7)
    for key in first:
        assert np.array_equal(obs[key][0], first[key])
        assert np.array_equal(obs[key][2], first[key])
        assert not np.array_equal(obs[key][1], first[key])
    after, rewards, *_ = vector.step(batch(0))
    assert rewards[0] != rewards[2]  # they chose differently, and neither disturbs the other
    assert rewards[0] == pytest.approx(single.step(batch(0)[0])[1], abs=1e-5)
    assert not np.array_equal(after["frames"][0], after["frames"][2])


def test_disabled_autoreset_waits_for_a_reset_mask(toy):
    vector = make(AutoresetMode.DISABLED, max_iterations=2, **toy)
    start, _ = vector.reset(seed=0)
    vector.step(batch(0))
    mask = np.array([False, True, False])
    obs, infos = vector.reset(seed=[None, 1, None], options={"reset_mask": mask})
    assert np.array_equal(obs["frames"][1], start["frames"][1])  # the same seed as at first
    assert not np.array_equal(obs["frames"][0], start["frames"][0])  # still under repair
    assert infos["_seed"].tolist() == mask.tolist()
    *_, terminated, _, infos = vector.step(batch(1))
    assert terminated.tolist() == [True, False, True]
    assert infos["iteration"].tolist() == [2, 1, 2]
    with pytest.raises(ResetNeeded, match=r"\[0, 2\]"):
        vector.step(batch(2))


def test_same_step_keeps_the_last_observation(toy):
    vector = make(AutoresetMode.SAME_STEP, max_iterations=1, **toy)
    vector.reset(seed=0)
    obs, rewards, terminated, _, infos = vector.step(batch(0))
    assert terminated.all()
    assert infos["final_info"]["iteration"].tolist() == [1] * NUM
    assert infos["iteration"].tolist() == [0] * NUM
    assert (infos["final_info"]["metrics"]["ssim"] > 0).all()
    for i in range(NUM):
        assert not np.array_equal(infos["final_obs"][i]["frames"], obs["frames"][i])
    assert (rewards != 0).all()


def test_next_step_begins_anew_without_reward(toy):
    vector = make(max_iterations=1, **toy)
    start, _ = vector.reset(seed=0)
    assert vector.step(batch(0))[2].all()
    obs, rewards, terminated, truncated, infos = vector.step(np.full((NUM, 5), np.nan, np.float32))
    assert not rewards.any()
    assert not (terminated | truncated).any()
    assert infos["iteration"].tolist() == [0] * NUM
    assert not np.array_equal(obs["frames"], start["frames"])


def test_episodes_are_truncated_on_request(toy):
    vector = make(AutoresetMode.SAME_STEP, max_episode_steps=2, max_iterations=5, **toy)
    vector.reset(seed=0)
    assert not vector.step(batch(0))[3].any()
    _, _, terminated, truncated, infos = vector.step(batch(1))
    assert truncated.all()
    assert not terminated.any()
    assert infos["final_info"]["iteration"].tolist() == [2] * NUM


def test_what_is_over_is_not_truncated(toy):
    vector = make(max_episode_steps=2, max_iterations=2, **toy)
    vector.reset(seed=0)
    vector.step(batch(0))
    _, _, terminated, truncated, infos = vector.step(batch(1))
    assert terminated.all()
    assert not truncated.any()
    assert infos["end"].tolist() == ["max_iterations"] * NUM


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, "SAME_STEP"])
def test_a_spec_in_json_makes_the_same_batch(mode):
    env = gymnasium.make_vec("VideoInpaint-v1", 2, autoreset_mode=mode, max_iterations=2, max_episode_steps=4, **SMALL)
    told = json.loads(env.spec.to_json())
    assert told["kwargs"] == SMALL | {
        "autoreset_mode": "SameStep", "max_iterations": 2, "max_episode_steps": 4, "num_envs": 2,
        "vectorization_mode": "vector_entry_point", "reward": "improvement", "reward_weights": "fixed",
    }  # fmt: skip
    again = gymnasium.make_vec(EnvSpec.from_json(json.dumps(told)))
    assert again.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert (again.num_envs, again.max_episode_steps) == (2, 4)
    longer = gymnasium.make_vec(env.spec, max_iterations=3)
    longer.reset(seed=0)
    assert [longer.step(np.zeros((2, 5)))[2].tolist() for _ in range(3)] == [[False] * 2, [False] * 2, [True] * 2]


def test_states_are_exchangeable_with_single_environments(toy):
    vector = make(**toy)
    vector.reset(seed=8)
    vector.step(batch(0))
    states = vector.get_state()
    expected = vector.step(batch(1))
    vector.reset(seed=50)
    vector.set_state(states)
    again = vector.step(batch(1))
    assert np.array_equal(again[0]["frames"], expected[0]["frames"])
    assert np.array_equal(again[1], expected[1])
    env = gymnasium.make("VideoInpaint-v0", **toy).unwrapped
    env.set_state(states[1])
    _, reward, *_ = env.step(batch(1)[1])
    assert reward == pytest.approx(expected[1][1], abs=1e-5)
    vector.set_state([env.get_state()] * NUM)  # one state, several candidate actions: what a search needs
    rewards = vector.step(batch(2))[1]
    assert len(set(rewards)) == NUM


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ({"num_envs": 0}, "num_envs"),
        ({"mode": "Sometimes"}, "SameStep"),
        ({"max_episode_steps": 0}, "max_episode_steps"),
        ({"render_mode": "human"}, "rgb_array"),
        ({"height": 8}, "height"),
    ],
)
def test_unusable_arguments_are_refused(toy, argument, words):
    with pytest.raises(InputError, match=words):
        make(**{**toy, **argument})


def test_unknown_arguments_are_refused(toy):
    with pytest.raises(InputError, match=r"got an unexpected keyword argument 'colour'.*: use some of clips, "):
        make(**toy, colour="red")


def test_unusable_actions_and_resets_are_refused(toy):
    vector = make(**toy)
    with pytest.raises(ResetNeeded):
        vector.step(batch(0))
    with pytest.raises(ResetNeeded, match="reset_mask"):
        vector.reset(options={"reset_mask": np.array([True, False, False])})
    vector.reset(seed=0)
    bad = batch(0)
    bad[1, 2] = np.nan
    for actions in (bad, batch(0)[:2], batch(0)[:, :4]):
        with pytest.raises(InputError):
            vector.step(actions)
    for mask in (np.zeros(NUM, bool), np.ones(2, bool), [True, False, True]):
        with pytest.raises(InputError, match="reset_mask"):
            vector.reset(options={"reset_mask": mask})
    with pytest.raises(InputError, match="seed"):
        vector.reset(seed=[1, 2])


def test_pictures_of_all_environments(toy):
    vector = make(render_mode="rgb_array", **toy)
    vector.reset(seed=0)
    pictures = vector.render()
    assert len(pictures) == NUM
    assert pictures[0].dtype == np.uint8
    assert not np.array_equal(pictures[0], pictures[1])


def test_single_environments_are_called_as_gymnasium_calls_them(toy):
    env = gymnasium.make_vec("VideoInpaint-v1", num_envs=2, render_mode="rgb_array", **toy)
    others = SyncVectorEnv([lambda: gymnasium.make("VideoInpaint-v1", render_mode="rgb_array", **toy)] * 2)
    for each in (env, others):
        each.reset(seed=3)
    for ours, theirs in zip(env.call("render"), others.call("render"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name in ("honoured_controls", "action_space", "observation_space", "np_random_seed", "render_mode"):
        assert env.get_attr(name) == env.call(name) == others.get_attr(name)
        assert env.call("get_wrapper_attr", name) == others.call("get_wrapper_attr", name)
        assert env.call("has_wrapper_attr", name) == others.call("has_wrapper_attr", name) == (True, True)
    assert env.call("has_wrapper_attr", "nothing_of_this_name") == (False, False)
    drawn = [[generator.random() for generator in each.get_attr("np_random")] for each in (env, others)]
    assert drawn[0] == drawn[1]
    assert [episode.seed for episode in env.get_attr("episodes")] == [3, 4]
    env.set_attr("max_episode_steps", 1)
    env.set_attr("max_episode_steps", [2, 2])
    assert env.get_attr("max_episode_steps") == (2, 2)
    env.set_attr("action_space", env.get_attr("action_space"))
    assert env.action_space == others.action_space
    env.set_attr("note", [np.arange(3), np.arange(3)])
    assert env.get_attr("note")[1].tolist() == [0, 1, 2]
    with pytest.raises(InputError, match="share 'max_episode_steps': give one value for all 2"):
        env.set_attr("max_episode_steps", [1, 2])
    with pytest.raises(InputError, match="call the batch's own"):
        env.call("reset")
    with pytest.raises(AttributeError):
        env.call("nothing_of_this_name")


def test_a_vector_takes_what_a_single_environment_takes(toy, size):
    for env_id, extra in (
        ("VideoInpaint-v1", {"propagator": "flow"}),
        ("VideoInpaintOneShot-v1", {"masks": "square"}),
        ("VideoInpaintOneShot-v1", {"fusion": "boundary"}),
    ):
        for make in (gymnasium.make, lambda *args, **kwargs: gymnasium.make_vec(*args, 2, **kwargs)):
            told = f"^VideoInpaint.*Env got an unexpected keyword argument '{next(iter(extra))}'.*: use .*height, "
            with pytest.raises(InputError, match=told) as refused:
                make(env_id, **size | extra)
            assert isinstance(refused.value, TypeError)  # as other libraries expect where they try arguments
    with pytest.raises(InputError, match="seed"):
        VideoInpaintVectorEnv(2, **toy).reset(seed=np.array(5))
    expected = VideoInpaintVectorEnv(2, **toy).reset(seed=5)[0]
    for seeds in (np.array([5, 6]), range(5, 7), (5, 6)):
        assert np.array_equal(VideoInpaintVectorEnv(2, **toy).reset(seed=seeds)[0]["frames"], expected["frames"])


def test_untrained_parts_are_asked_once_a_step_and_may_load_their_weights_late(toy):
    asked = []

    class Lazy(type(toy["inpainter"])):
        loaded = False

        @property
        def random_weights(self):
            asked.append(self.loaded)
            return not self.loaded

        def refine(self, *args):
            self.loaded = True
            return super().refine(*args)

    vector = make(num_envs=6, **toy | {"inpainter": Lazy()})
    del asked[:]
    assert vector.reset(seed=0)[1]["random_weights"].tolist() == ["inpainter toy"] * 6
    assert len(asked) <= 2  # the protocol looks whether it is there, and then reads it
    del asked[:]
    assert vector.step(vector.action_space.sample())[-1]["random_weights"].tolist() == [""] * 6
    assert len(asked) <= 2


class Broken:
    """Clips as ever; one episode after another cannot be drawn as long as `broken`."""

    name, broken = "broken", False

    def __init__(self):
        self.inner = make_clips("studio")

    def sample(self, *args):
        if self.broken:
            raise OSError("the disk is gone")
        return self.inner.sample(*args)

    def load(self, *args):
        return self.inner.load(*args)


@pytest.mark.parametrize("num_envs", [NUM, 6])  # six lie packed
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_step_whose_reset_fails_changes_nothing_and_can_be_taken_again(toy, mode, num_envs):
    clips = Broken()
    toy["detector"] = EarlyDetector(toy["detector"])
    vector, untouched = (make(mode, num_envs, **toy | {"clips": one}) for one in (clips, Broken()))
    for each in (vector, untouched):
        each.reset(seed=21)
    generator, failed = np.random.default_rng(0), 0
    for _ in range(6):
        actions = generator.uniform(-1, 1, (num_envs, 5)).astype(np.float32)
        before = [one["tensors"]["loop/repaired"].clone() for one in vector.get_state()]
        expected = untouched.step(actions)
        begun = np.flatnonzero(expected[4]["iteration"] == 0)  # of these environments the episode is new
        clips.broken = True
        for _ in range(2 * bool(len(begun))):
            with pytest.raises(Exception, match=r"(?s)disk is gone.*episode of seed \d+") as error:
                vector.step(actions)
            assert f"environments {begun.tolist()}" in error.value.__notes__[-1]
            for one, kept in zip(vector.get_state(), before):
                assert np.array_equal(one["tensors"]["loop/repaired"], kept)
            failed += len(begun) < num_envs
        clips.broken = False
        ours = vector.step(actions)
        for got, wanted in zip(ours[1:4], expected[1:4]):
            assert np.array_equal(got, wanted)
        assert all(np.array_equal(ours[0][key], expected[0][key]) for key in ("frames", "masks"))
        assert_close(ours[4], expected[4])
    assert failed > 0  # steps in which other environments went on


def test_what_was_refused_ends_in_silence():
    """Gymnasium 1.1 closes a vector whose __init__ raised, while it is deleted."""
    VideoInpaintVectorEnv.__new__(VideoInpaintVectorEnv).close()
