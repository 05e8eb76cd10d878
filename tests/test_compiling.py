"""Compiled parts of an environment; tests/libraries has those that take minutes."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from videoinpaint.compiling import check_compiler, compile_methods
from videoinpaint.envs.env import VideoInpaintEnv
from videoinpaint.errors import InputError


@pytest.fixture(autouse=True)
def kernels(monkeypatch, tmp_path):
    """Kernels lie where the test does."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch._dynamo.reset()


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_a_compiled_detector_flags_the_same_but_for_rounding():
    found = []
    for compiled in (False, True):
        env = VideoInpaintEnv(num_frames=2, height=32, width=64, inpainter="telea", device="cpu", compile=compiled)
        env.reset(seed=0)
        assert ("forward" in vars(env._core.loop.detector.network)) == compiled
        found.append(env.step(np.zeros(5, np.float32)))
    assert np.abs(found[0][0]["masks"].astype(int) - found[1][0]["masks"]).max() <= 1
    assert found[0][1] == pytest.approx(found[1][1], abs=1e-5)


def test_without_a_compiler_there_is_one_error(monkeypatch):
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    with pytest.raises(InputError, match="compile=True does not work here"):
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
