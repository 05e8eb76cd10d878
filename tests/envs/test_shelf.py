"""States between steps: packed or not, in groups or at once, episodes are the same, and packed they take little."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from videoinpaint.envs.sb3 import make_sb3_vec
from videoinpaint.envs.states import shelf
from videoinpaint.errors import InputError
from videoinpaint.protocols import Refinement

SMALL = {"num_frames": 3, "height": 48, "width": 40, "device": "cpu"}


def played(env, steps=5, count=5):
    """Everything that a batch hands out, as bytes and plain values."""
    seen = [env.reset(seed=3)]
    for step in range(steps):
        seen.append(env.step(np.random.default_rng(step).uniform(-1, 1, (count, 5)).astype(np.float32)))
        if step == 1:
            env.unwrapped.set_state(env.unwrapped.get_state())
    return repr([[flat(value) for value in one] for one in seen]), seen


def flat(value):
    if isinstance(value, dict):
        return {key: flat(inner) for key, inner in value.items()}
    array = np.asarray(value)
    return [flat(one) for one in array] if array.dtype.kind == "O" and array.ndim else array.tobytes()


def batch(**arguments):
    return gymnasium.make_vec(
        "VideoInpaint-v1", 5, "vector_entry_point", autoreset_mode=AutoresetMode.SAME_STEP, **SMALL | arguments
    )


def test_packed_or_not_in_groups_or_at_once_episodes_are_the_same(monkeypatch):
    packed = batch()
    assert packed.unwrapped._running.shelf.groups(range(5)) == [[0, 1, 2, 3], [4]]
    _, grouped = played(packed)
    monkeypatch.setattr(shelf, "AT_ONCE", 100)
    partly = batch()
    assert partly.unwrapped._running.shelf.groups(range(5)) == [[0, 1, 2, 3, 4]]
    found, at_once = played(partly)
    for one, other in zip(grouped, at_once, strict=True):
        assert all(np.array_equal(one[0][key], other[0][key]) for key in other[0])
    # Some processors round otherwise in batches of another size.
    for one, other in zip(grouped[1:], at_once[1:], strict=True):
        assert one[1] == pytest.approx(other[1], abs=1e-5)
        assert all(np.array_equal(one[end], other[end]) for end in (2, 3))
    monkeypatch.setattr(shelf, "may_look", lambda _: False)  # as on a GPU
    dense = batch()
    assert isinstance(dense.unwrapped._running.shelf, shelf.DenseShelf)
    assert played(dense)[0] == found


@pytest.mark.parametrize("light", [0.0, 2.0])
def test_whatever_of_a_few_environments_lies_packed_episodes_are_the_same(light, monkeypatch):
    asked = SMALL | {"inpainter": "compact", "max_iterations": 2}
    few = [gymnasium.make_vec("VideoInpaint-v1", 3, "vector_entry_point", **asked) for _ in range(2)]
    found, _ = played(few[0], count=3)
    monkeypatch.setattr(shelf, "LIGHT", light)
    assert played(few[1], count=3)[0] == found


def test_episodes_that_have_just_begun_stand_in_one_batch_with_others():
    env, other = (gymnasium.make_vec("VideoInpaint-v1", 2, "vector_entry_point", **SMALL) for _ in range(2))
    for one in (env, other):
        one.reset(seed=0)
    env.step(np.zeros((2, 5), np.float32))
    env.reset(seed=[4, None], options={"reset_mask": np.array([True, False])})
    opened, fresh = env.unwrapped._running.shelf.opened(range(2)), other.unwrapped._running.shelf.opened(range(2))
    assert opened.keys() == fresh.keys()
    assert {name: tensor.shape for name, tensor in opened.items()} == {name: t.shape for name, t in fresh.items()}
    assert opened["iteration"].tolist() == [0, 1]
    assert torch.equal(opened["loop/repaired"][0], opened["loop/corrupted"][0])
    assert not torch.equal(opened["loop/repaired"][1], opened["loop/corrupted"][1])


def test_a_few_environments_are_packed_in_part_and_the_brief_state_knows_what_changed_all_the_same(monkeypatch):
    few, many = (gymnasium.make_vec("VideoInpaint-v1", count, "vector_entry_point", **SMALL) for count in (2, 5))
    for env in (few, many):
        env.reset(seed=0)
        env.step(np.zeros((env.num_envs, 5), np.float32))
        env.reset(seed=7, options={"reset_mask": np.arange(env.num_envs) == 1})
    for i in range(2):
        one, other = (env.unwrapped.get_brief_state()[i]["brief"] for env in (few, many))
        assert one["layout"] == other["layout"]
        assert all(torch.equal(tensor, other["kept"][name]) for name, tensor in one["kept"].items())
        assert ("loop/repaired" in one["layout"]) == (i == 0)


@pytest.mark.parametrize("env_id", ["VideoInpaint-v1", "VideoInpaintOneShot-v1"])
@pytest.mark.parametrize(("count", "share"), [(1, 0.6), (3, 0.6), (5, 0.4)])
def test_an_environment_takes_a_fraction_of_its_state_and_one_of_many_less(env_id, count, share):
    env = gymnasium.make_vec(env_id, count, "vector_entry_point", **SMALL).unwrapped
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.zeros((count, 5), np.float32))
        state = env._running.shelf.opened(range(count))
        assert env._running.shelf.nbytes < share * sum(tensor.nbytes for tensor in state.values())


def test_environments_that_play_the_same_clip_share_it():
    env = make_sb3_vec(5, "VideoInpaint-v1", **SMALL)
    found = []
    for seeds in ([5] * 5, [6, 7, 8, 9, 10]):
        env._seeds = seeds
        env.reset()
        found.append(env.env.unwrapped._running.shelf.nbytes)
    assert found[0] < found[1] / 4
    assert env.reset_infos[0]["metrics"] is not env.reset_infos[1]["metrics"]


def test_a_part_whose_state_depends_on_the_clip_is_named(toy):
    class Growing(type(toy["inpainter"])):
        def begin(self, frames, masks):
            return {"more": torch.zeros(len(frames), 1 + int(masks[0].sum()))}

        def refine(self, state, repaired, masks, controls):
            return Refinement(repaired, torch.zeros(len(repaired), dtype=torch.float64))

    asked = toy | {"inpainter": Growing()}
    few, many = (gymnasium.make_vec("VideoInpaint-v1", count, "vector_entry_point", **asked) for count in (2, 5))
    for env in (few, many):
        env.reset(seed=[0] * env.num_envs)
        env.reset(seed=[4] + [None] * (env.num_envs - 1), options={"reset_mask": np.arange(env.num_envs) == 0})
        with pytest.raises(InputError, match="cannot form one batch: loop/inpainter/more"):
            env.step(np.zeros((env.num_envs, 5), np.float32))
