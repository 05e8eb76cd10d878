"""The promises everything else stands on: known pixels, no leak, same seed same bits, exact states."""

from __future__ import annotations

import copy
import io
import pickle

import gymnasium
import numpy as np
import pytest
import torch

from videoinpaint.errors import InputError
from videoinpaint.inpainters import AROUND_PUBLISHED, INPAINTERS, PUBLISHED
from videoinpaint.inpainters.internal import InternalInpainter
from videoinpaint.registration import ENVIRONMENTS

IDS = sorted(one.id for one in ENVIRONMENTS)
PARTS = [("compact", "compact"), ("compact2", "compact"), ("propagation", "none"), ("internal", "none")]
PARTS += [("telea", "compact"), ("ciri", "compact"), ("toy", "toy")]


def actions(count: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 5)).astype(np.float32)


def rollout(env: gymnasium.Env, seed: int, **options: object) -> list[tuple]:
    """Everything an episode gives, the reset first."""
    steps: list[tuple] = [env.reset(seed=seed, options=options or None)]
    for action in actions():
        steps.append(env.step(np.broadcast_to(action, env.action_space.shape)))
        if steps[-1][2]:
            break
    return steps


def assert_equal(first: object, second: object) -> None:
    """Equal bit for bit, whatever the nesting."""
    assert type(first) is type(second)
    if isinstance(first, dict):
        assert first.keys() == second.keys()  # type: ignore[attr-defined]
        for key, value in first.items():
            assert_equal(value, second[key])  # type: ignore[index]
    elif isinstance(first, tuple | list):
        assert len(first) == len(second)  # type: ignore[arg-type]
        for a, b in zip(first, second):  # type: ignore[call-overload]
            assert_equal(a, b)
    elif isinstance(first, np.ndarray):
        assert first.dtype == second.dtype  # type: ignore[attr-defined]
        assert np.array_equal(first, second)  # type: ignore[arg-type]
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second)  # type: ignore[arg-type]
    else:
        assert first == second


def build(toy: dict, inpainter: str, detector: str, **kwargs: object) -> gymnasium.Env:
    # A pass of internal learning is as many steps as one likes: its rules hold after few.
    part = InternalInpainter(steps=5) if inpainter == "internal" else inpainter
    parts = {} if inpainter == "toy" else {"inpainter": part, "detector": detector}
    return gymnasium.make("VideoInpaint-v0", **{**toy, **parts, **kwargs})


def test_every_registered_inpainter_is_covered_here():
    # The published networks are too slow for all of this; tests/inpainters/test_published.py runs reduced ones.
    assert {inpainter for inpainter, _ in PARTS} >= set(INPAINTERS.names()) - set(PUBLISHED + AROUND_PUBLISHED)


@pytest.mark.parametrize(("inpainter", "detector"), PARTS)
def test_known_pixels_stay_bit_for_bit(toy, inpainter, detector):
    env = build(toy, inpainter, detector)
    env.reset(seed=1)
    start = env.unwrapped.get_state()["tensors"]
    known = start["loop/holes"].expand_as(start["loop/corrupted"]) == 0
    for action in actions():
        obs, _, done, _, _ = env.step(action)
        tensors = env.unwrapped.get_state()["tensors"]
        assert torch.equal(tensors["loop/repaired"][known], start["loop/corrupted"][known])
        pixels = torch.from_numpy(obs["frames"]).view(1, 4, 3, 48, 64)
        assert torch.equal(pixels[known], start["reference"][known])
        assert not tensors["loop/masks"][start["loop/holes"] == 0].any()
        if done:
            break


@pytest.mark.parametrize(("inpainter", "detector"), PARTS)
def test_the_reference_never_leaks(toy, inpainter, detector):
    env = build(toy, inpainter, detector)
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 256, (4, 12, 16, 3), np.uint8).repeat(4, 1).repeat(4, 2)
    mask = np.zeros((4, 48, 64), np.uint8)
    mask[:, 10:34, 16:44] = 1
    other = np.where(mask[..., None] == 1, rng.integers(0, 256, clip.shape, np.uint8), clip)
    runs, states = [], []
    for reference in (clip, other):
        runs.append(rollout(env, 7, clip=reference, mask=mask))
        states.append(env.unwrapped.get_state()["tensors"])
    for first, second in zip(*runs):
        assert_equal(first[0], second[0])
    measured = ("metrics", "reward_terms", "quality")  # against the reference: for whoever evaluates, not for agents
    infos = [[run[0][1], *(step[4] for step in run[1:])] for run in runs]
    for info, info2 in zip(*infos):
        assert_equal(
            {k: v for k, v in info.items() if k not in measured}, {k: v for k, v in info2.items() if k not in measured}
        )
        assert info["quality"] != info2["quality"]
    for (_, reward, done, _, _), (_, reward2, done2, _, _) in zip(runs[0][1:], runs[1][1:]):
        assert reward != reward2
        assert done == done2
    loops = [{name: t for name, t in state.items() if name.startswith("loop/")} for state in states]
    assert_equal(*loops)


@pytest.mark.parametrize("name", IDS)
def test_same_seed_same_bits(size, name):
    first, second = (rollout(gymnasium.make(name, **size), seed=11) for _ in range(2))
    assert_equal(first, second)


def test_consecutive_episodes_follow_from_one_seed(env):
    env.reset(seed=5)
    first = [env.reset()[1]["seed"] for _ in range(3)]
    env.reset(seed=5)
    assert [env.reset()[1]["seed"] for _ in range(3)] == first
    assert len(set(first)) == 3


@pytest.mark.parametrize("name", IDS)
def test_observations_share_no_memory_and_are_not_constant(size, name):
    env = gymnasium.make(name, **size)
    observations = [step[0] for step in rollout(env, 3)] + [env.reset(seed=4)[0]]
    for i, one in enumerate(observations):
        for other in observations[i + 1 :]:
            for key, value in one.items():
                assert not np.shares_memory(value, other[key])
                assert not np.array_equal(value, other[key]) or key == "masks"


def test_a_caller_who_writes_to_an_observation_changes_nothing(env):
    expected = rollout(env, 9)
    env.reset(seed=9)[0]["frames"][:] = 0
    for action, (obs, reward, *_) in zip(actions(), expected[1:]):
        got = env.step(action)
        assert_equal((got[0], got[1]), (obs, reward))
        got[0]["frames"][:] = 0
        got[0]["masks"][:] = 0


@pytest.mark.parametrize(
    ("inpainter", "detector", "reward"), [*((*parts, "improvement") for parts in PARTS), (*PARTS[0], "absolute")]
)
def test_set_state_continues_identically(toy, inpainter, detector, reward):
    env = build(toy, inpainter, detector, reward=reward)
    env.reset(seed=2)
    if env.step(actions()[0])[2]:  # a detector that is content at once
        env.reset()
    state = env.unwrapped.get_state()
    kept = copy.deepcopy(state)
    going_on = [env.step(actions()[1]), env.reset()]
    env.reset(seed=99)
    env.step(actions()[2])
    env.unwrapped.set_state(state)
    assert_equal([env.step(actions()[1]), env.reset()], going_on)
    assert_equal(state, kept)  # stepping on from a state leaves it as it was
    other = build(toy, inpainter, detector, reward=reward)
    other.reset(seed=0)
    obs = other.unwrapped.set_state(kept)
    assert obs in other.observation_space
    assert_equal([other.step(actions()[1]), other.reset()], going_on)


def test_states_survive_files_without_unpickling_code(env):
    env.reset(seed=2)
    env.step(actions()[0])
    buffer = io.BytesIO()
    torch.save(env.unwrapped.get_state(), buffer)
    expected = [env.step(actions()[1]), env.reset()]
    buffer.seek(0)
    env.unwrapped.set_state(torch.load(buffer, weights_only=True))
    assert_equal([env.step(actions()[1]), env.reset()], expected)


def test_the_end_of_an_episode_is_part_of_its_state(content):
    env = gymnasium.make("VideoInpaint-v0", **content).unwrapped
    env.reset(seed=0)
    before = env.get_state()
    env.step(actions()[0])
    after = env.get_state()
    env.set_state(before)
    env.step(actions()[0])
    env.set_state(after)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(actions()[0])


def test_states_of_other_environments_are_refused(toy, env):
    env.reset(seed=0)
    state = env.unwrapped.get_state()
    other = gymnasium.make("VideoInpaint-v0", **{**toy, "max_iterations": 7}).unwrapped
    with pytest.raises(InputError, match="max_iterations"):
        other.set_state(state)
    with pytest.raises(InputError, match="version"):
        other.set_state({"tensors": {}})


@pytest.mark.parametrize("name", IDS)
def test_pickled_environments_continue_identically(size, name):
    env = gymnasium.make(name, **size)
    first, second, _ = (np.broadcast_to(action, env.action_space.shape) for action in actions())
    if env.reset(seed=6) and env.step(first)[2]:
        env.reset()
    twin = pickle.loads(pickle.dumps(env))
    assert_equal([env.step(second), env.reset()], [twin.step(second), twin.reset()])
