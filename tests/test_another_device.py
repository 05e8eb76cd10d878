"""What runs on the CPU runs on another device, with the same results: seen without a GPU, by a device that is none."""

from __future__ import annotations

import copy
import dataclasses

import gymnasium
import numpy as np
import pytest
import torch
from torch.nn import functional

from videoinpaint.agents.evaluation.episodes import evaluate
from videoinpaint.agents.ppo.config import TrainConfig
from videoinpaint.agents.ppo.training import train
from videoinpaint.cli import main
from videoinpaint.detectors import make_detector
from videoinpaint.envs.build_bank import build_bank
from videoinpaint.errors import InputError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.repair.front_door import inpaint
from videoinpaint.testing import another_device, check_detector, check_inpainter

SIZE = {"num_frames": 4, "height": 48, "width": 64, "precision": "float32"}


@pytest.fixture
def device():
    with another_device() as name:
        yield name


def batch(env_id="VideoInpaint-v1", **arguments):
    return gymnasium.make_vec(env_id, 2, "vector_entry_point", **SIZE | arguments)


def played(env, rounds=2):
    """Observations, rewards, ends and infos."""
    rng = np.random.default_rng(0)
    seen = [env.reset(seed=3)]
    for _ in range(rounds):
        seen.append(env.step(rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)))
    env.close()
    return seen


def same(a, b):
    """Equal but for rounding, whatever the nesting."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            same(a[name], b[name])
    elif isinstance(a, tuple | list):
        for one, other in zip(a, b, strict=True):
            same(one, other)
    elif isinstance(a, np.ndarray) and a.dtype == np.uint8:
        assert np.abs(a.astype(int) - b).max() <= 1
    elif isinstance(a, float) or (isinstance(a, np.ndarray) and a.dtype.kind == "f"):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    else:
        assert np.array_equal(a, b)


def test_the_device_refuses_what_a_gpu_refuses(device):
    there, here = torch.ones(3, device=device), torch.ones(3)
    for mix in (lambda: there + here, lambda: here[there.long()], lambda: torch.stack([there, here])):
        with pytest.raises(RuntimeError, match="same device"):
            mix()
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(3, device=device, generator=torch.Generator())
    for read in (there.numpy, lambda: np.asarray(there)):
        with pytest.raises((RuntimeError, TypeError)):
            read()


def test_the_device_does_what_a_gpu_does(device):
    there = torch.arange(3.0, device=device)
    assert (there[torch.tensor([0, 2])] * 2 + torch.tensor(1.0)).tolist() == [1, 5]
    assert there.to("cpu").device.type == there.cpu().device.type == "cpu"
    made = (there.new_zeros(2), torch.zeros_like(there), there[1:], torch.ones(2).to(there), there.new_tensor([1, 2]))
    assert {tensor.device.type for tensor in made} == {"lazy"}
    network = torch.nn.Linear(3, 2).to(device)
    copied = copy.deepcopy(network)
    functional.mse_loss(network(there), there.new_zeros(2)).backward()
    torch.optim.Adam(network.parameters()).step()
    assert not torch.equal(network.weight, copied.weight)
    copied.load_state_dict({name: tensor.cpu() for name, tensor in network.state_dict().items()})
    assert torch.equal(network.weight, copied.weight)


KINDS = ["VideoInpaint-v1", "VideoInpaintBudget-v0", "VideoInpaintRegions-v1", "VideoInpaintOneShot-v1"]


@pytest.mark.parametrize("env_id", KINDS)
def test_every_kind_of_environment_plays_the_same_episode_there(device, env_id):
    same(*(played(batch(env_id, device=place)) for place in (device, "cpu")))


def test_a_target_is_followed_there_as_here(device):
    same(*(played(batch("VideoInpaintOneShot-v1", propagator="flow", device=place)) for place in (device, "cpu")))


def test_a_single_environment_saves_and_restores_its_state_there(device):
    env, other = (gymnasium.make("VideoInpaint-v1", device=device, **SIZE).unwrapped for _ in range(2))
    env.reset(seed=1)
    action = np.full(5, 0.3, np.float32)
    env.step(action)
    other.set_state(env.get_state())
    same(env.step(action), other.step(action))


def test_tensors_of_observations_lie_there(device):
    envs = batch(output="torch", device=device)
    observation, _ = envs.reset(seed=0)
    stepped, reward, *_ = envs.step(torch.zeros(2, 5, device=device))
    assert {tensor.device.type for tensor in (*observation.values(), *stepped.values(), reward)} == {"lazy"}


@pytest.mark.parametrize("ahead", ["bank", "prefetch"])
def test_episodes_that_were_begun_before_are_the_same_there(device, ahead, tmp_path):
    kept = {"prefetch": 1}
    if ahead == "bank":
        build_bank(tmp_path / "bank", "VideoInpaint-v1", SIZE | {"device": device}, episodes=2, first_seed=3)
        kept = {"bank": tmp_path / "bank"}
    same(*(played(batch(device=device, **arguments)) for arguments in (kept, {})))


def test_a_policy_is_trained_and_evaluated_there(device, tmp_path):
    settings = SIZE | {"inpainter": "telea", "detector": "none"}
    config = TrainConfig(
        tmp_path / "run", settings, steps=4, num_envs=2, n_steps=2, batch_size=4, policy="described", device=device,
        progress=False,
    )  # fmt: skip
    assert train(config).steps == 4
    records = evaluate(tmp_path / "run", settings | {"device": device}, [1, 2], num_envs=2)
    assert [record.seed for record in records] == [1, 2]


@pytest.mark.parametrize(
    ("network", "room"),
    [
        ("inpainter", "inpainters.compact.pretraining"),
        ("detector", "detectors.compact.pretraining"),
        ("aligner", "metrics.alignment_pretraining"),
        ("one-shot", "inpainters.ciri.pretraining"),
    ],
)
def test_networks_are_trained_there(device, network, room, monkeypatch, tmp_path):
    seen = []

    def fit(module, *_, **__):
        seen.append({tensor.device.type for tensor in module.parameters()})
        raise InputError("seen")

    monkeypatch.setattr(f"videoinpaint.{room}.fit", fit)
    size = ["--iterations", "2", "--num-frames", "3", "--height", "48", "--width", "64", "--batch", "1"]
    assert main(["pretrain", network, *size, "--device", device, "--output", str(tmp_path / "x.safetensors")]) == 2
    assert seen == [{"lazy"}]


def test_an_inpainter_is_checked_there(device):
    class Costed(type(make_inpainter("propagation"))):
        """Tells its costs where the frames are, as networks do."""

        def refine(self, state, repaired, masks, controls):
            result = super().refine(state, repaired, masks, controls)
            return dataclasses.replace(result, gflops=result.gflops.to(repaired.device))

    check_inpainter(Costed(device=device), device=device)


def test_a_detector_is_checked_there(device):
    check_detector(make_detector("compact", device=device), device=device)


def test_a_video_is_repaired_there_as_here(device):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (8, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    frames = np.stack([np.roll(picture, shift, 1) for shift in range(5)])
    holes = np.zeros((5, 64, 64), bool)
    holes[:, 20:36, 20:36] = True
    there, here = (inpaint(frames, holes, device=place) for place in (device, "cpu"))
    assert np.abs(there.astype(int) - here).max() <= 1


def test_a_part_that_forgets_the_device_is_told(device):
    class Forgetful(type(make_inpainter("telea"))):
        def begin(self, frames, masks):
            return super().begin(frames, masks) | {"own": torch.zeros(len(frames))}

    env = gymnasium.make("VideoInpaint-v1", inpainter=Forgetful(), detector="none", device=device, **SIZE)
    with pytest.raises(InputError, match="gives 'own' on cpu: the clip lies on lazy:0, move it"):
        env.reset(seed=0)
