"""The environment checkers of Gymnasium and of Stable-Baselines3 pass, with every warning an error."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from videoinpaint.registration import ENVIRONMENTS

IDS = sorted(one.id for one in ENVIRONMENTS)


@pytest.fixture(autouse=True)
def _strict(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # pygame's own, while it is imported.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="pygame|pkg_resources")
        warnings.filterwarnings("ignore", message=".*pkg_resources.*")
        # Gymnasium's word on every id that has a newer version; the older ones are kept, and tested, on purpose.
        warnings.filterwarnings("ignore", message=".*is out of date.*")
        yield


def test_ids_are_registered():
    ours = [name for name, spec in gymnasium.registry.items() if str(spec.entry_point).startswith("videoinpaint.envs:")]
    assert sorted(name for name in ours if not name.startswith("VideoInpaintTest")) == IDS
    assert gymnasium.spec("VideoInpaint-v1").kwargs == {"reward": "improvement", "reward_weights": "fixed"}
    assert gymnasium.spec("VideoInpaint-v0").kwargs == {}


@pytest.mark.parametrize("name", IDS)
def test_gymnasium(size, name):
    without_pygame = find_spec("pygame") is None  # the checker tries every render mode
    check_env(gymnasium.make(name, render_mode="rgb_array", **size).unwrapped, skip_render_check=without_pygame)


@pytest.mark.parametrize("name", IDS)
def test_stable_baselines3(size, name):
    env = gymnasium.make(name, render_mode="rgb_array", **size)
    if env.action_space.low.min() < -1:  # it recommends [-1, 1], and below -1 heads skip
        warnings.filterwarnings("ignore", message="We recommend you to use a symmetric and normalized")
    sb3_check_env(env, warn=True)


def test_passive_checker_stays_silent(toy):
    env = gymnasium.make("VideoInpaint-v1", render_mode="rgb_array", disable_env_checker=False, **toy)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    env.render()
