"""Importing the package registers the environments, cheaply, and both ways of making one work."""

from __future__ import annotations

import subprocess
import sys

import pytest

PARTS = "inpainter='telea', detector='none', num_frames=3, height=40, width=48, device='cpu'"


def run(code: str) -> str:
    """The output of a fresh interpreter in which every warning is an error."""
    command = [sys.executable, "-W", "error::UserWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "code",
    [
        f"import gymnasium as gym, videoinpaint; env = gym.make('VideoInpaint-v0', {PARTS})",
        f"import gymnasium as gym; env = gym.make('videoinpaint:VideoInpaintBudget-v0', {PARTS})",
        "import gymnasium as gym, videoinpaint; env = gym.make_vec('VideoInpaint-v0', num_envs=2, "
        f"vectorization_mode='vector_entry_point', {PARTS})",
    ],
)
def test_environments_are_made_in_a_fresh_interpreter(code):
    assert run(f"{code}; env.reset(seed=0); print(env.step(env.action_space.sample())[0]['frames'].shape)").endswith(
        "9, 40, 48)"
    )


def test_registration_does_not_import_the_heavy_libraries():
    assert (
        run("import sys, videoinpaint; print([m for m in ('torch', 'cv2', 'stable_baselines3') if m in sys.modules])")
        == "[]"
    )


def test_an_episode_needs_neither_the_trainer_nor_torchvision_nor_the_compiler():
    """Each of them takes as long to import as torch itself."""
    play = "env = gym.make('VideoInpaint-v1', num_frames=2, height=40, width=48, device='cpu'); env.reset(seed=0); "
    play += "env.step(env.action_space.sample()); "
    shown = "print([m for m in ('stable_baselines3', 'torchvision', 'torch._dynamo') if m in sys.modules])"
    assert run(f"import sys, gymnasium as gym, videoinpaint; {play}{shown}") == "[]"


def test_the_folders_claim_no_import_names_of_their_own():
    code = "import sys; sys.path[:] = [p for p in sys.path if p]; from importlib.util import find_spec; "
    assert run(code + "print([n for n in ('envs', 'agents', 'inpainters', 'detectors') if find_spec(n)])") == "[]"
