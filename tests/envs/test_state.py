"""States through the wrappers of `gymnasium.make`, and what they hold of a one-shot episode."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import RecordEpisodeStatistics

import videoinpaint  # noqa: F401 - registers the environments
from videoinpaint.envs.snapshot import restore


@pytest.mark.parametrize("wrap", [lambda env: env, RecordEpisodeStatistics], ids=["made", "statistics"])
@pytest.mark.parametrize("limit", [None, 2, 5])
def test_a_fresh_environment_goes_on_from_a_state_without_a_reset(toy, wrap, limit):
    first = gymnasium.make("VideoInpaint-v0", **toy)
    first.reset(seed=1)
    first.step(np.zeros(5, np.float32))
    state = first.unwrapped.get_state()
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
        assert np.array_equal(getattr(fresh._episode, name), getattr(first._episode, name)), name
