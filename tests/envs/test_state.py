"""States through the wrappers of `gymnasium.make`, and what they hold of a one-shot episode."""

from __future__ import annotations

import copy

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.wrappers import RecordEpisodeStatistics
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import videoinpaint  # noqa: F401 - registers the environments
from videoinpaint.envs import VideoInpaintEnv, VideoInpaintVectorEnv
from videoinpaint.envs.snapshot import restore
from videoinpaint.envs.states import shelf
from videoinpaint.errors import InputError
from videoinpaint.protocols import Refinement


@pytest.mark.parametrize("wrap", [lambda env: env, RecordEpisodeStatistics], ids=["made", "statistics"])
@pytest.mark.parametrize("limit", [None, 2, 5])
@pytest.mark.parametrize("brief", [False, True], ids=["whole", "brief"])
def test_a_fresh_environment_goes_on_from_a_state_without_a_reset(toy, wrap, limit, brief):
    first = gymnasium.make("VideoInpaint-v0", **toy)
    first.reset(seed=1)
    first.step(np.zeros(5, np.float32))
    state = first.unwrapped.get_brief_state() if brief else first.unwrapped.get_state()
    fresh = wrap(gymnasium.make("VideoInpaint-v0", max_episode_steps=limit, **toy))
    seen = restore(fresh, state) if limit else fresh.get_wrapper_attr("set_state")(state)
    assert seen in fresh.observation_space
    action = np.full(5, 0.5, np.float32)
    expected, got = first.step(action), fresh.step(action)
    assert all(np.array_equal(got[0][key], expected[0][key]) for key in expected[0])
    assert got[1:3] == expected[1:3]
    assert got[3] == (limit == 2)  # the state had one step behind it


def test_a_restored_one_shot_episode_knows_the_true_masks_and_what_the_camera_saw(size):
    first = gymnasium.make("VideoInpaintOneShot-v0", inpainter="telea", detector="none", **size).unwrapped
    first.reset(seed=2)
    fresh = gymnasium.make("VideoInpaintOneShot-v0", inpainter="telea", detector="none", **size).unwrapped
    fresh.set_state(first.get_state())
    for name in ("frames", "holes", "observed"):
        assert np.array_equal(getattr(fresh._running.episodes[0], name), getattr(first._running.episodes[0], name)), (
            name
        )


@pytest.mark.parametrize("brief", [False, True])
def test_a_generator_that_somebody_set_goes_on_from_a_state(toy, brief):
    env, fresh = VideoInpaintEnv(**toy), VideoInpaintEnv(**toy)
    env.np_random = np.random.default_rng(3)
    env.reset()
    fresh.set_state(env.get_brief_state() if brief else env.get_state())
    assert fresh.reset()[1]["seed"] == env.reset()[1]["seed"]


def begun(toy, seed=1):
    env = VideoInpaintEnv(**toy)
    env.reset(seed=seed)
    env.step(np.zeros(5, np.float32))
    return env


def flat(state):
    """Everything in a state, as bytes and plain values."""
    if isinstance(state, torch.Tensor):
        return state.numpy().tobytes(), tuple(state.shape), str(state.dtype)
    if isinstance(state, dict):
        return {key: flat(value) for key, value in state.items()}
    return repr(state)


def damaged(state, draw):
    """A state with one thing wrong with it, and what that is."""
    state = copy.deepcopy(state)
    kind = draw(st.sampled_from(["lacks", "extra", "value", "shape", "type", "plain", "top"]))
    names = sorted(state["tensors"])
    name = draw(st.sampled_from(names))
    tensor = state["tensors"][name]
    if kind == "lacks":
        del state["tensors"][name]
    elif kind == "extra":
        state["tensors"]["loop/more"] = torch.zeros(1)
    elif kind == "value":
        bad = [1e30, -1e30] + ([np.nan, np.inf] if tensor.is_floating_point() else [])
        value = draw(st.sampled_from(bad if tensor.is_floating_point() else [200]))
        if name == "reference":  # any byte is a colour, but then the reward's is another
            value = (int(tensor.view(-1)[0]) + 100) % 256
        tensor.view(-1)[draw(st.integers(0, tensor.numel() - 1)) if name != "reference" else 0] = value
    elif kind == "shape":
        change = draw(st.sampled_from([lambda x: x[:0], lambda x: torch.cat([x, x]), lambda x: x[..., None]]))
        state["tensors"][name] = change(tensor)
    elif kind == "type":
        other = torch.float16 if tensor.dtype == torch.float32 else torch.float32
        state["tensors"][name] = tensor.to(other)
    elif kind == "plain":
        wrong = [None, "text", 3, [1], {}, torch.zeros(2).to_sparse(), torch.empty(3, device="meta")]
        state["tensors"][name] = draw(st.sampled_from(wrong))
    else:
        key = draw(st.sampled_from(["version", "arguments", "tensors", "given", "episode", "done", "generator"]))
        state[key] = draw(st.sampled_from([None, "text", 7, [], {}, {"seed": -1}, {"state": 3}, {"holes": None}]))
        if draw(st.booleans()):
            del state[key]
    return state


@pytest.mark.parametrize("fresh", [False, True])
def test_a_damaged_state_is_refused_and_changes_nothing(toy, fresh):
    source = begun(toy)
    good = source.get_state()

    env = VideoInpaintEnv(**toy) if fresh else begun(toy, seed=5)
    before = None if fresh else flat(env.get_state())

    @settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def refuse(data):
        bad = damaged(good, data.draw)
        with pytest.raises(InputError) as caught:
            env.set_state(bad)
        assert "\n" not in str(caught.value)
        if fresh:
            with pytest.raises(gymnasium.error.ResetNeeded):
                env.get_state()
        else:
            assert flat(env.get_state()) == before

    refuse()
    env.set_state(good)
    assert flat(env.get_state()) == flat(good)
    env.step(np.zeros(5, np.float32))


@pytest.mark.parametrize("states", [None, 3, [], [{}], "states", [None, None]])
def test_a_batch_takes_all_states_or_none(toy, states):
    batch = VideoInpaintVectorEnv(num_envs=2, **toy)
    batch.reset(seed=0)
    good = batch.get_state()
    with pytest.raises(InputError):
        batch.set_state(states)
    broken = copy.deepcopy(good)
    broken[1]["tensors"]["loop/masks"] = broken[1]["tensors"]["loop/masks"] * torch.nan
    with pytest.raises(InputError, match="loop/masks"):
        batch.set_state([begun(toy, 9).get_state(), broken[1]])
    assert [flat(state) for state in batch.get_state()] == [flat(state) for state in good]


@pytest.mark.parametrize("inpainter", ["compact", "propagation"])
def test_states_of_real_parts_are_taken_by_a_fresh_environment(size, inpainter):
    arguments = size | {"inpainter": inpainter, "device": "cpu"}
    env = VideoInpaintEnv(**arguments)
    env.reset(seed=3)
    env.step(np.zeros(5, np.float32))
    state, action = env.get_state(), np.full(5, 0.3, np.float32)
    expected = env.step(action)
    fresh = VideoInpaintEnv(**arguments)
    fresh.set_state(state)
    got = fresh.step(action)
    assert np.array_equal(got[0]["frames"], expected[0]["frames"])
    assert got[1:4] == expected[1:4]


def steps(env, count=3):
    return [env.step(np.full(5, 0.3 * n - 0.2, np.float32)) for n in range(count)]


def same(first, second):
    for one, other in zip(first, second, strict=True):
        assert all(np.array_equal(one[0][key], other[0][key]) for key in one[0])
        assert one[1:] == other[1:]


@pytest.mark.parametrize("env_id", ["VideoInpaint-v1", "VideoInpaintOneShot-v1"])
def test_a_brief_state_goes_on_as_exactly_in_a_tenth_of_the_bytes(size, env_id, tmp_path):
    env = gymnasium.make(env_id, max_iterations=9, **size).unwrapped
    env.reset(seed=3)
    steps(env, 2)
    brief, whole = env.get_brief_state(), env.get_state()
    torch.save(brief, tmp_path / "brief.pt")
    torch.save(whole, tmp_path / "whole.pt")
    assert (tmp_path / "brief.pt").stat().st_size < (tmp_path / "whole.pt").stat().st_size / 10
    expected = steps(env)
    for source in (torch.load(tmp_path / "brief.pt", weights_only=True), whole):
        other = gymnasium.make(env_id, max_iterations=9, **size).unwrapped
        other.set_state(source)
        assert flat(other.get_state()) == flat(whole)
        again = other.get_brief_state()  # of what was restored from all tensors, nothing is known to follow from a seed
        same(steps(other), expected)
        other.set_state(again)
        assert flat(other.get_state()) == flat(whole)
    batch = gymnasium.make_vec(env_id, 2, "vector_entry_point", max_iterations=9, **size).unwrapped
    batch.reset(seed=8)
    batch.step(np.zeros((2, 5), np.float32))
    mixed = [brief, batch.get_brief_state()[1]]
    batch.set_state(mixed)
    assert flat(batch.get_state()[0]) == flat(whole)


def test_a_brief_state_of_given_arrays_holds_them(toy):
    env = begun(toy)
    clip = np.random.default_rng(0).integers(0, 256, (4, 48, 64, 3), dtype=np.uint8)
    env.reset(seed=1, options={"clip": clip})
    env.step(np.zeros(5, np.float32))
    brief, whole = env.get_brief_state(), env.get_state()
    fresh = VideoInpaintEnv(**toy)
    fresh.set_state(brief)
    assert flat(fresh.get_state()) == flat(whole)


def test_a_brief_state_whose_seed_gives_another_clip_is_refused(toy):
    brief = begun(toy).get_brief_state()
    with pytest.raises(InputError, match="gives another clip or hole"):
        begun(toy | {"clips": "studio:hard"}).set_state(brief)


def test_a_damaged_brief_state_is_refused_and_changes_nothing(toy):
    env = begun(toy, seed=5)
    good, before = begun(toy).get_brief_state(), flat(env.get_state())
    changes = [
        lambda s: s["brief"].pop("kept"),
        lambda s: s["brief"]["kept"].popitem(),
        lambda s: s["brief"]["built_on"].update({"loop/repaired": "nothing"}),
        lambda s: s["brief"]["kept"].update({"loop/masks:values": torch.full((3,), 0.5)}),
        lambda s: s["brief"]["kept"].update({"last/psnr:whole": torch.tensor([np.nan])}),
        lambda s: s["brief"].update(again=None),
        lambda s: s["episode"].update(seed=-1),
        lambda s: s.update(brief=None),
        lambda s: s.pop("generator"),
    ]
    for change in changes:
        bad = copy.deepcopy(good)
        change(bad)
        with pytest.raises(InputError):
            env.set_state(bad)
        assert flat(env.get_state()) == before


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_state_that_says_it_is_huge_is_refused_before_memory_is_taken(toy, given, fresh):
    taken = begun(toy)
    if given:
        frames = np.random.default_rng(0).integers(0, 256, (*taken._core.shape, 3), np.uint8)
        taken.reset(options={"clip": frames})
    bad = taken.get_brief_state()
    bad["brief"]["layout"]["loop/masks"] = [[1, 10**9], "float32"]
    env = VideoInpaintEnv(**toy) if fresh else begun(toy, seed=5)
    with pytest.raises(InputError, match=r"loop/masks must be .* it is torch.float32 \(1, 1000000000\)"):
        env.set_state(bad)


@pytest.mark.parametrize("form", ["single", "vector"])
@pytest.mark.parametrize("seed", [None, 9])
def test_a_reset_that_fails_leaves_the_episode_before_as_it_was(toy, monkeypatch, form, seed):
    made = (lambda: VideoInpaintEnv(**toy)) if form == "single" else lambda: VideoInpaintVectorEnv(2, **toy)
    env, untouched = made(), made()
    for one in (env, untouched):
        one.reset(seed=5)
    action = np.zeros((5,) if form == "single" else (2, 5), np.float32)
    with monkeypatch.context() as patch:
        patch.setattr(env._core, "begin", lambda episodes: (_ for _ in ()).throw(InputError("too large")))
        with pytest.raises(InputError, match="too large"):
            env.reset(seed=seed)
    for _ in range(2):
        (_, *got, told), (_, *expected, info) = env.step(action), untouched.step(action)
        assert repr(got) == repr(expected)
        assert repr((told["clip"], told["seed"])) == repr((info["clip"], info["seed"]))
    assert repr(env.reset()[1]["seed"]) == repr(untouched.reset()[1]["seed"])  # drawn as if nothing had been


STATES = {
    "infinite": lambda f: torch.full((len(f), 3), torch.inf),
    "unknown": lambda f: torch.full((len(f), 3), torch.nan),
    "a seed": lambda f: torch.full((len(f),), 6364136223846793005),
    "large": lambda f: torch.full((len(f),), 1e13),
    "complex": torch.fft.rfft2,
    "conjugated": lambda f: torch.fft.rfft2(f).conj(),
    "true or not": lambda f: torch.ones(len(f), 3, dtype=torch.bool),
    "empty": lambda f: torch.ones(len(f), 0),
    "one number, strided": lambda f: f.flatten(1)[:, 5],
    "one of many, strided": lambda f: f.flatten(1)[:, ::7][:, :1],
    "channels last": lambda f: f.movedim(2, -1)[:, :1],
    "one for all": lambda f: torch.ones(1, 3).expand(len(f), 3),
}


@pytest.mark.parametrize("how", STATES)
@pytest.mark.parametrize("count", [1, 5])
def test_whatever_an_inpainter_keeps_is_saved_and_restored(toy, how, count):
    part = type("Part", (type(toy["inpainter"]),), {})()
    part.begin = lambda frames, masks: type(part).begin(part, frames, masks) | {"more": STATES[how](frames)}
    env = VideoInpaintVectorEnv(count, **toy | {"inpainter": part})
    env.reset(seed=0)
    env.step(np.zeros((count, 5), np.float32))
    whole, brief = env.get_state(), env.get_brief_state()
    ahead = env.step(np.zeros((count, 5), np.float32))[1]
    for saved in (whole, brief):
        env.set_state(saved)
        assert [flat(one) for one in env.get_state()] == [flat(one) for one in whole]
        assert np.array_equal(env.step(np.zeros((count, 5), np.float32))[1], ahead)


def test_what_a_pass_remembers_may_be_conjugated(toy):
    part = type("Part", (type(toy["inpainter"]),), {})()
    part.begin = lambda frames, masks: type(part).begin(part, frames, masks) | {"more": torch.fft.rfft(frames)}

    def refine(state, *others):
        plain = type(part).refine(part, state, *others)
        return Refinement(plain.frames, plain.gflops, None, {"more": state["more"].conj()})

    part.refine = refine
    env = VideoInpaintVectorEnv(5, **toy | {"inpainter": part})
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.zeros((5, 5), np.float32))
    whole, brief = env.get_state(), env.get_brief_state()
    env.set_state(brief)
    assert [flat(one) for one in env.get_state()] == [flat(one) for one in whole]


def test_costs_may_be_views_of_the_controls(toy):
    part = type("Part", (type(toy["inpainter"]),), {})()

    def refine(state, repaired, masks, controls):
        return Refinement(torch.zeros_like(repaired), torch.as_tensor(controls[:, 0]).double())

    part.refine = refine
    env = VideoInpaintEnv(**toy | {"inpainter": part})
    env.reset(seed=0)
    env.step(np.zeros(5, np.float32))
    env.set_state(env.get_brief_state())


@pytest.mark.parametrize(
    "other",
    [{"compute_price": 0.5}, {"psnr_scale": 40.0}, {"reward": "improvement"}, {"reward_weights": "fixed"},
     {"max_iterations": 2}, {"detector": "none"}, {"inpainter": "telea"}, {"num_frames": 3}],
)  # fmt: skip
def test_a_state_of_an_environment_with_other_arguments_is_refused(toy, other):
    named = {"num_frames": "shape"}.get(name := next(iter(other)), name)
    for state in (begun(toy).get_state(), begun(toy).get_brief_state()):
        with pytest.raises(InputError, match=rf"other arguments: .*\b{named}="):
            VideoInpaintEnv(**toy | other).set_state(state)


@pytest.mark.parametrize(("count", "packed"), [(1, True), (5, True), (2, False)])
def test_a_brief_state_holds_what_changed_in_an_earlier_pass_alone(toy, count, packed, monkeypatch):
    monkeypatch.setattr(shelf, "may_look", lambda _: packed)  # False as on a GPU
    part = type("Part", (type(toy["inpainter"]),), {})()
    part.begin = lambda frames, masks: type(part).begin(part, frames, masks) | {"more": torch.zeros(len(frames), 3)}

    def refine(state, *others):
        plain = type(part).refine(part, state, *others)
        return (
            plain if state["more"].any() else Refinement(plain.frames, plain.gflops, None, {"more": state["more"] + 1})
        )

    part.refine = refine
    env = VideoInpaintVectorEnv(count, **toy | {"inpainter": part})
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.zeros((count, 5), np.float32))
    whole, brief = env.get_state(), env.get_brief_state()
    env.set_state(brief)
    assert [flat(one) for one in env.get_state()] == [flat(one) for one in whole]
