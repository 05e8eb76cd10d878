""" "Default" means one thing: the controls, the policy of that name, the front door and the fixed weights."""

from __future__ import annotations

import inspect

import gymnasium
import numpy as np
import pytest

import videoinpaint
from videoinpaint import Controls
from videoinpaint.agents import make_policy
from videoinpaint.registration import DEFAULT_ID


def test_the_policy_and_the_front_door_use_the_default_controls() -> None:
    assert make_policy("default").controls == Controls()  # type: ignore[attr-defined]
    defaults = {name: p.default for name, p in inspect.signature(videoinpaint.inpaint).parameters.items()}
    assert (defaults["policy"], defaults["iterations"]) == ("default", 1)


def test_quality_has_the_default_weights() -> None:
    size = {"num_frames": 2, "height": 40, "width": 48, "inpainter": "telea", "detector": "none", "device": "cpu"}
    env = gymnasium.make(DEFAULT_ID, **size)
    env.reset(seed=1)
    info = env.step(np.zeros(5, np.float32))[4]
    metrics, weights = info["metrics"], Controls()
    expected = weights.alpha * (metrics["ssim"] + metrics["psnr"] / 50)
    expected -= weights.beta * (metrics["perceptual"] + metrics["lpips"]) + weights.gamma * metrics["wta"]
    assert info["quality"] == pytest.approx(expected, abs=1e-6)
