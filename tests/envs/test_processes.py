"""What only shows in a process of its own: forks with the default number of threads, and orders of import."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

PATIENCE = 300
"""Seconds after which a process counts as stuck; it needs a few."""

ASYNC = """
import gymnasium, videoinpaint

size = dict(num_frames=3, height=48, width=40, device="cpu")
if {first}:
    env = gymnasium.make({name!r}, **size)
    env.reset(seed=0)
    env.step(env.action_space.sample())
envs = gymnasium.make_vec({name!r}, num_envs=2, vectorization_mode="async", **size)
observation, _ = envs.reset(seed=0)
assert observation["frames"].shape == (2, 9, 48, 40)
envs.step(envs.action_space.sample())
envs.close()
"""


def run(code: str, **variables: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")} | variables
    done = subprocess.run(  # noqa: PLW1510 - the code is in the message
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, (done.returncode, done.stderr)


@pytest.mark.parametrize(
    ("name", "first"),
    [("VideoInpaint-v0", False), ("VideoInpaintOneShot-v0", True)],
    ids=["fresh", "after_a_step"],
)
def test_workers_do_not_wait_for_threads_that_a_fork_left_behind(name, first):
    run(ASYNC.format(name=name, first=first))


HUMAN = """
import gymnasium, numpy, videoinpaint

env = gymnasium.make("VideoInpaint-v0", render_mode="human", num_frames=4, height=48, width=64, device="cpu",
                     inpainter="telea", detector="none")
env.reset(seed=0)
env.step(numpy.zeros(5, numpy.float32))
with open("/proc/self/maps") as maps:
    assert "LLVM" not in maps.read(), "the window has loaded a graphics driver"
import torch._dynamo, triton
env.close()
"""


def test_a_window_loads_no_llvm_beside_that_of_triton():
    pytest.importorskip("pygame")
    if importlib.util.find_spec("triton") is None or not os.path.exists("/proc/self/maps"):
        pytest.skip("needs triton, and Linux to see what a process has loaded")
    run(HUMAN, SDL_VIDEODRIVER="offscreen")
