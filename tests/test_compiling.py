"""Compiled parts of an environment; tests/libraries has those that take minutes."""

from __future__ import annotations

import importlib
import shutil
from functools import partial

import numpy as np
import pytest
import torch

from videoinpaint.compiling import check_compiler, compile_methods
from videoinpaint.detectors.compact import CompactDetector
from videoinpaint.envs.env import VideoInpaintEnv
from videoinpaint.errors import InputError
from videoinpaint.protocols import Detection

SMALL = {"num_frames": 2, "height": 32, "width": 64, "inpainter": "telea", "device": "cpu"}


@pytest.fixture(autouse=True)
def kernels(monkeypatch, tmp_path):
    """Kernels lie where the test does."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch._dynamo.reset()


class Threshold:
    """Flags the bright part of the hole: one kernel, where those of the compact networks take a minute to build."""

    name = "threshold"

    def flags(self, repaired, masks):
        return (repaired.mean(2, keepdim=True) - 0.2).relu() * masks

    def compile(self):
        compile_methods(self, "flags")

    def detect(self, repaired, masks):
        flags = self.flags(repaired, masks)
        return Detection(flags, flags.expand(-1, -1, 3, -1, -1).clone())


def play(compiled, detector):
    """Masks and reward of a step."""
    env = VideoInpaintEnv(detector=detector, compile=compiled, **SMALL)
    env.reset(seed=0)
    observation, reward, *_ = env.step(np.zeros(5, np.float32))
    return observation["masks"].astype(int), reward


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_a_compiled_part_gives_the_same_but_for_rounding():
    part = Threshold()
    masks, reward = play(True, part)
    assert "flags" in vars(part)
    expected, expected_reward = play(False, Threshold())
    assert np.abs(masks - expected).max() <= 1
    assert masks.max() > 0
    assert reward == pytest.approx(expected_reward, abs=1e-5)


def test_the_detectors_network_can_be_traced_whole(monkeypatch):
    """By the compiler's front end alone; tests/libraries has the kernels."""
    detector = CompactDetector()
    expected = play(False, detector)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager", fullgraph=True))
    detector.compile()
    assert "forward" in vars(detector.network)
    masks, reward = play(False, detector)
    assert np.array_equal(masks, expected[0])
    assert reward == expected[1]


def test_without_a_compiler_there_is_one_error():
    config = importlib.import_module("torch._inductor.config")
    # Its own way: after monkeypatch has put the value back, torch says that there is none.
    with (
        config.patch({"cpp.cxx": ("no-such-compiler",)}),
        pytest.raises(InputError, match="compile=True does not work here"),
    ):
        check_compiler(torch.device("cpu"))


def test_what_is_compiled_is_not_compiled_again():
    class Part:
        def double(self, x):
            return 2 * x

    part = Part()
    compile_methods(part, "double")
    compiled = part.double
    compile_methods(part, "double")
    assert part.double is compiled
    assert "double" not in vars(Part())
