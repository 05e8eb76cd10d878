"""A step on a GPU never waits for the device but once; seen here without a GPU, by what is asked of tensors."""

from __future__ import annotations

import sys

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from torch.utils._python_dispatch import TorchDispatchMode

from videoinpaint import device
from videoinpaint.errors import InputError

LOOKS = ("_local_scalar_dense", "nonzero", "unique", "masked_select", "is_nonzero", "equal")
"""Operators whose result Python, or the shape of something, depends on."""

SIZE = {"num_frames": 4, "height": 48, "width": 88, "device": "cpu", "precision": "float32"}


class Witness(TorchDispatchMode):
    """Notes every operator that a GPU would have to be waited for, and every copy to the host by whom it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.looks: list[str] = []
        self.copies: list[str] = []
        for name in ("cpu", "tolist", "item", "to"):
            monkeypatch.setattr(torch.Tensor, name, self.noting(name, getattr(torch.Tensor, name)))

    def noting(self, name, usual):
        def call(tensor, *args, **kwargs):
            places = [str(x) for x in (*args, *kwargs.values()) if isinstance(x, str)]
            if name != "to" or "cpu" in places:
                self.copies.append(sys._getframe(1).f_code.co_name)
            return usual(tensor, *args, **kwargs)

        return call

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in LOOKS:
            self.looks.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def far(monkeypatch):
    """The CPU, as if it were a GPU: Python must not look."""
    monkeypatch.setattr(device, "FREE", frozenset())


def actions(count, step):
    return np.random.default_rng(step).uniform(-1, 1, (count, 5)).astype(np.float32)


def steps(env, count, rounds=3):
    seen = []
    observation, infos = env.reset(seed=4)
    for step in range(rounds):
        observation, reward, *_, infos = env.step(actions(count, step))
        seen.append((observation, reward, infos))
    return seen


@pytest.mark.parametrize("env_id", ["VideoInpaint-v1", "VideoInpaintBudget-v0"])
def test_a_step_looks_at_no_tensor_but_in_one_transfer(env_id, far, monkeypatch):
    env = gymnasium.make_vec(env_id, 3, "vector_entry_point", **SIZE)
    env.reset(seed=1)
    core, state = env.unwrapped._core, env.unwrapped._running.shelf.opened(range(3))
    with monkeypatch.context() as patch, Witness(patch) as witness:
        core.step(state, actions(3, 0))
    assert witness.looks == []
    assert witness.copies == ["fetched"]


def test_the_witness_sees_looks_and_copies(monkeypatch):
    with monkeypatch.context() as patch, Witness(patch) as witness:
        float(torch.ones(5).sum())
        torch.ones(5).nonzero()
        torch.ones(5).to("cpu")
        torch.ones(5).tolist()
    assert witness.looks == ["_local_scalar_dense", "nonzero"]
    assert witness.copies == ["test_the_witness_sees_looks_and_copies"] * 2


@pytest.mark.parametrize("env_id", ["VideoInpaint-v1", "VideoInpaintBudget-v0"])
def test_fixed_shapes_give_the_same_episodes_but_for_rounding(env_id, monkeypatch):
    env = gymnasium.make_vec(env_id, 3, "vector_entry_point", **SIZE)
    usual = steps(env, 3)
    monkeypatch.setattr(device, "FREE", frozenset())
    fixed = steps(env, 3)
    for (pictures, rewards, infos), (others, same, told) in zip(usual, fixed):
        assert np.abs(pictures["frames"].astype(int) - others["frames"]).max() <= 1
        assert np.allclose(rewards, same, atol=1e-5)
        assert np.allclose(infos["gflops"], told["gflops"], rtol=1e-12)


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_tensors_are_the_arrays(toy, mode):
    arrays, tensors = (
        gymnasium.make_vec("VideoInpaint-v1", 2, "vector_entry_point", autoreset_mode=mode, output=output, **toy)
        for output in ("numpy", "torch")
    )
    (expected, _), (found, infos) = arrays.reset(seed=3), tensors.reset(seed=3)
    assert isinstance(infos["quality"], np.ndarray)
    kept = []
    for step in range(3 if mode == AutoresetMode.DISABLED else 7):
        for key, array in expected.items():
            assert found[key].dtype == torch.uint8
            assert torch.equal(found[key], torch.from_numpy(array))
        kept.append((found["frames"], found["frames"].clone()))
        expected, *numbers, told = arrays.step(actions(2, step))
        found, *others, infos = tensors.step(torch.from_numpy(actions(2, step)))
        for number, other in zip(numbers, others):
            assert torch.equal(torch.from_numpy(number), other)
        assert infos.keys() == told.keys()
        if "final_obs" in told:
            assert np.array_equal(infos["final_obs"][0]["frames"].numpy(), told["final_obs"][0]["frames"])
    assert all(torch.equal(tensor, copy) for tensor, copy in kept), "a buffer was used again"
    tensors.set_state(arrays.get_state())


def test_another_output_is_refused(toy):
    with pytest.raises(InputError, match="'numpy' or 'torch'"):
        gymnasium.make_vec("VideoInpaint-v1", 2, "vector_entry_point", output="jax", **toy)
