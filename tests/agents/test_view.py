"""What training sees is made where observations are: from tensors it is what it is from arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videoinpaint.agents.policies.kinds import NETWORKS
from videoinpaint.agents.ppo.view import TrainingView, on_host
from videoinpaint.envs.sb3 import make_sb3_vec

SMALL = {"num_frames": 3, "height": 48, "width": 64, "device": "cpu", "max_iterations": 2, "inpainter": "telea"}


def seen(tensors, policy, steps=3):
    """All that a training is given, episodes' ends included."""
    base = make_sb3_vec(2, "VideoInpaint-v1", 5, tensors=tensors, detector="none", **SMALL)
    view = TrainingView(base, policy)
    everything = [view.reset()]
    for _ in range(steps):
        observation, _, _, infos = view.step(np.zeros((2, 5), np.float32))
        everything += [observation, *(info["terminal_observation"] for info in infos if "terminal_observation" in info)]
    assert isinstance(base.reset()["frames"], torch.Tensor if tensors else np.ndarray)
    return everything, view.pictures


@pytest.mark.parametrize("policy", NETWORKS.values())
def test_tensors_and_arrays_look_the_same(policy):
    (found, pictures), (expected, wanted) = seen(True, policy), seen(False, policy)
    assert len(found) == len(expected) == 1 + 3 + 2
    for one, other in zip(found, expected):
        assert one.keys() == other.keys()
        assert all(isinstance(one[key], np.ndarray) and np.array_equal(one[key], other[key]) for key in one)
    assert all(np.array_equal(one, other) for one, other in zip(pictures, wanted))


def test_policies_get_arrays():
    found = on_host({"frames": torch.zeros(1, 2), "masks": np.zeros((1, 3))})
    assert all(isinstance(value, np.ndarray) for value in found.values())
