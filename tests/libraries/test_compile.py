"""`compile=True`: the same episodes but for rounding. Minutes long, so it runs with `make libraries`."""

from __future__ import annotations

import shutil

import gymnasium
import numpy as np
import pytest
import torch

from videoinpaint.envs.env import VideoInpaintEnv

pytest.importorskip("ray", reason="runs with `make libraries`")

SMALL = {"num_frames": 4, "height": 48, "width": 88, "device": "cpu"}
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")


@pytest.fixture(autouse=True)
def kernels(monkeypatch, tmp_path):
    """Kernels lie where the test does."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch._dynamo.reset()


def returns(compiled: bool, precision: str) -> tuple[np.ndarray, np.ndarray]:
    """Rewards and PSNR in the hole of 4 environments over 4 steps, with actions that ask for other heads each time."""
    env = gymnasium.make_vec("VideoInpaint-v1", 4, "vector_entry_point", precision=precision, compile=compiled, **SMALL)
    env.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (4, 4, 5)).astype(np.float32)
    steps = [env.step(action) for action in actions]
    return np.array([step[1] for step in steps]), np.array([step[4]["metrics"]["psnr_hole"] for step in steps])


@needs_compiler
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_episodes_are_the_same_but_for_rounding(precision):
    (rewards, psnr), (expected, reference) = returns(True, precision), returns(False, precision)
    assert np.abs(rewards - expected).max() < 1e-3
    assert np.abs(psnr - reference).max() < 0.02


@needs_compiler
def test_every_number_of_heads_runs_compiled():
    env = VideoInpaintEnv(**SMALL, compile=True, max_iterations=20)
    env.reset(seed=1)
    for heads in np.linspace(-1, 1, 11):
        _, reward, *_ = env.step(np.array([heads, 0, 0, 0, 0], np.float32))
        assert np.isfinite(reward)
