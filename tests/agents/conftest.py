"""A stand-in for the environment that steps in microseconds, and small settings of the real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from videoinpaint.agents.ppo.training import TrainConfig
from videoinpaint.agents.trials import fit_policy
from videoinpaint.controls import Controls, action_to_controls

TIME, HEIGHT, WIDTH = 2, 40, 48


class ToyEnv(gymnasium.Env):
    """`VideoInpaint-v0`'s spaces and info over plain pictures.

    A picture's brightness says which first control is best; its returns differ far more than what actions change.
    """

    def __init__(self, length: int = 3, num_frames: int = TIME) -> None:
        self.length, self.num_frames = length, num_frames
        self.observation_space = spaces.Dict(
            {
                "frames": spaces.Box(0, 255, (3 * num_frames, HEIGHT, WIDTH), np.uint8),
                "masks": spaces.Box(0, 255, (num_frames, HEIGHT, WIDTH), np.uint8),
            }
        )
        self.action_space = spaces.Box(-1.0, 1.0, (5,), np.float32)
        self.light, self.n = 0.0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.light, self.n = float(self.np_random.random()), 0
        return self._observation(), {"clip": "toy", "mask": "toy", "seed": seed or 0, "iteration": 0}

    def step(self, action):
        self.n += 1
        best = 1.6 * (self.light - 0.5)
        quality = -0.1 * float((action[0] - best) ** 2)
        info = {
            "metrics": {"psnr": 20 + self.light, "ssim": 0.5},
            "controls": Controls.from_array(action_to_controls(np.asarray(action)[None])[0]).as_dict(),
            "gflops": 1.0,
            "iteration": self.n,
        }
        return self._observation(), 1 + self.light + quality, self.n >= self.length, False, info

    def get_state(self) -> dict[str, Any]:
        return {"light": self.light, "n": self.n, "rng": self.np_random.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        self.light, self.n = state["light"], state["n"]
        self.np_random.bit_generator.state = state["rng"]

    def _observation(self) -> dict[str, np.ndarray]:
        frames = np.full((3 * self.num_frames, HEIGHT, WIDTH), round(255 * self.light), np.uint8)
        masks = np.zeros((self.num_frames, HEIGHT, WIDTH), np.uint8)
        masks[:, 10:20, 10 : 20 + self.n] = 255
        return {"frames": frames, "masks": masks}


def make_toys(config: TrainConfig) -> VecEnv:
    """The toy environments that a training configuration asks for."""
    return DummyVecEnv([lambda: ToyEnv(**config.env) for _ in range(config.num_envs)])


TOY_ID = "VideoInpaintTestToy-v0"
"""The toy as a registered environment that has no vector entry point."""
gymnasium.register(TOY_ID, entry_point=ToyEnv)


@pytest.fixture
def toy_id() -> str:
    return TOY_ID


@pytest.fixture
def toy_vec() -> VecEnv:
    return DummyVecEnv([ToyEnv for _ in range(3)])


@pytest.fixture
def small() -> dict[str, Any]:
    """Keyword arguments of a small, fast real environment."""
    return {
        "num_frames": 2,
        "height": 40,
        "width": 48,
        "inpainter": "telea",
        "detector": "none",
        "device": "cpu",
    }


@pytest.fixture
def observation() -> dict[str, np.ndarray]:
    """A batch of three random observations of four frames of 48x64."""
    rng = np.random.default_rng(0)
    shapes = {"frames": (3, 12, 48, 64), "masks": (3, 4, 48, 64)}
    return {key: rng.integers(0, 256, shape, dtype=np.uint8) for key, shape in shapes.items()}


@pytest.fixture
def toy_env() -> type[ToyEnv]:
    return ToyEnv


@pytest.fixture(name="make_toys")
def make_toys_fixture() -> Callable[[TrainConfig], VecEnv]:
    return make_toys


@pytest.fixture
def check_fits_repeat() -> Callable[[Any], None]:
    """That a fit to trials repeats by its seed, differs by another, and leaves the global generator as it was."""

    def check(trials: Any) -> None:
        state = torch.get_rng_state()
        one, same, other = (fit_policy(trials, seed=seed, epochs=2).state_dict() for seed in (0, 0, 1))
        assert all(torch.equal(one[key], same[key]) for key in one)
        assert any(not torch.equal(one[key], other[key]) for key in one)
        assert torch.equal(state, torch.get_rng_state())

    return check
