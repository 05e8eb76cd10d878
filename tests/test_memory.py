"""Arrays that are kept apart, and episodes on a system that tells nothing of memory and has no private pages."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from videoinpaint.memory import ALIGNED, apart

WITHOUT = """
import mmap, os, sys
import gymnasium as gym, torch, videoinpaint
sys.modules |= dict.fromkeys(("resource", "fcntl", "pwd", "grp"))  # None: importing it fails
for where, names in {mmap: ("MAP_PRIVATE", "MAP_ANONYMOUS"), os: ("sysconf", "register_at_fork", "killpg")}.items():
    for name in names:
        if hasattr(where, name):
            delattr(where, name)
env = gym.make("VideoInpaint-v1", num_frames=2, height=40, width=48, device="cpu")
env.reset(seed=0)
env.step(env.action_space.sample())
from videoinpaint.memory import give_back, peak_bytes
give_back()
assert peak_bytes() >= 0
"""
"""As on Windows, whose Python has neither these modules nor these names."""


def test_an_episode_needs_nothing_that_windows_lacks():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr


def test_arrays_that_are_kept_apart_are_the_same():
    arrays = {"a": np.arange(5, dtype=np.float32), "empty": np.zeros((0, 3)), "b": np.ones((2, 3), bool)}
    kept = apart(arrays)
    assert list(kept) == list(arrays)
    for name, array in arrays.items():
        assert kept[name].dtype == array.dtype
        assert np.array_equal(kept[name], array)
        assert kept[name].ctypes.data % ALIGNED == 0
