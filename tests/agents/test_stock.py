"""Policies of stock Stable-Baselines3: a file plays what was trained, or is not written."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.wrappers import FrameStackObservation, RescaleAction
from stable_baselines3 import PPO, SAC
from torch import nn

from videoinpaint.agents import ClosedLoopPolicy, evaluate, load_policy, make_policy, save_policy
from videoinpaint.agents.policies.stock import StockPolicy
from videoinpaint.envs.wrappers import FloatObservation, NaturalControls, Thumbnails
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.weights import read_file, save_safetensors

SIZE: dict[str, Any] = {"inpainter": "telea", "detector": "none", "num_frames": 2, "height": 40, "width": 48}
Wrap = Callable[[gymnasium.Env], gymnasium.Env]


def bare(env: gymnasium.Env) -> gymnasium.Env:
    return env


def unit_range(env: gymnasium.Env) -> gymnasium.Env:
    return RescaleAction(env, np.float32(0), np.float32(1))


def model_of(wrap: Wrap = bare, kind: Any = "MultiInputPolicy", size: Any = SIZE, **kwargs: Any) -> PPO:
    env = wrap(gymnasium.make("VideoInpaint-v1", **size))
    return PPO(kind, env, n_steps=4, batch_size=4, device="cpu", seed=0, **kwargs)


@pytest.mark.parametrize("net_arch", [None, [64, 64]])
@pytest.mark.parametrize("wrap", [bare, lambda env: Thumbnails(env, 36, 40)])
def test_a_file_acts_as_the_model_did(tmp_path: Path, wrap: Wrap, net_arch: Any) -> None:
    model = model_of(wrap, policy_kwargs={} if net_arch is None else {"net_arch": net_arch})
    with torch.no_grad():
        model.policy.action_net.weight += 0.1
    policy = load_policy(save_policy(tmp_path / "stock.safetensors", model.policy))
    observation = model.env.reset()  # type: ignore[union-attr]
    np.testing.assert_array_equal(policy.act(observation), model.predict(observation, deterministic=True)[0])  # type: ignore[arg-type]


LAYERS: list[dict[str, Any]] = [
    {"net_arch": [32]},
    {"net_arch": []},
    {"net_arch": {"pi": [16, 24, 8], "vf": []}},
    {"net_arch": {"vf": [48]}, "log_std_init": -1.5},
    {"net_arch": [np.int64(20), 20], "activation_fn": nn.GELU},
    *({"activation_fn": kind} for kind in (nn.Tanh, nn.ReLU, nn.ELU, nn.SiLU, nn.LeakyReLU)),
]


@pytest.mark.parametrize("policy_kwargs", LAYERS)
def test_other_layers_come_back_bit_for_bit(tmp_path: Path, policy_kwargs: dict[str, Any]) -> None:
    model = model_of(policy_kwargs=policy_kwargs)
    with torch.no_grad():
        for weights in model.policy.parameters():
            weights.add_(0.02 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(1)))
    policy = load_policy(save_policy(tmp_path / "stock.safetensors", model.policy))
    assert isinstance(policy, StockPolicy)
    observation: Any = model.env.reset()  # type: ignore[union-attr]
    np.testing.assert_array_equal(policy.act(observation), model.predict(observation, deterministic=True)[0])
    seen = {key: torch.as_tensor(value) for key, value in observation.items()}
    with torch.no_grad():
        assert torch.equal(policy.network.predict_values(seen), model.policy.predict_values(seen))
        both = [network.get_distribution(seen).distribution for network in (policy.network, model.policy)]
    assert torch.equal(both[0].stddev, both[1].stddev)
    (record,) = evaluate(policy, SIZE, [0])
    assert np.isfinite(record.episode_return)


def test_a_file_of_the_usual_layers_says_what_it_said(tmp_path: Path) -> None:
    for number, net_arch in enumerate((None, [64, 64], {"pi": [64, 64], "vf": [64, 64]})):
        kwargs = {} if net_arch is None else {"net_arch": net_arch}
        path = save_policy(tmp_path / f"{number}.safetensors", model_of(policy_kwargs=kwargs).policy)
        told = json.loads(read_file(path)[1]["architecture"])
        assert told == {
            "stock": "MultiInputPolicy", "frames": [6, 40, 48], "masks": [2, 40, 48], "grid": [], "skips": False
        }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"net_arch": {"pi": [32], "vf": [64]}}, "net_arch"),
        ({"net_arch": {"pi": [32], "vf": [10**9]}}, "net_arch"),
        ({"net_arch": {"pi": [32, 7], "vf": [32]}}, "policy_net.2"),
        ({"net_arch": "wide"}, "stock policy"),
        ({"net_arch": {"pi": [], "vf": []}}, "action_net"),
        ({"activation": "os.system"}, "os.system"),
        ({"activation": ["tanh"]}, "stock policy"),
    ],
)
def test_a_file_that_tells_of_other_layers_is_refused(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    path = save_policy(tmp_path / "stock.safetensors", model_of(policy_kwargs={"net_arch": [32]}).policy)
    tensors, metadata = read_file(path)
    told = json.loads(metadata["architecture"]) | change
    save_safetensors(path, tensors, metadata | {"architecture": json.dumps(told)})
    with pytest.raises(CorruptWeightsError, match=named):
        load_policy(path)


@pytest.mark.parametrize(
    ("policy_kwargs", "named"),
    [
        ({"activation_fn": nn.Softplus}, "activation_fn"),
        ({"activation_fn": partial(nn.ELU, alpha=0.5)}, "activation_fn"),
        ({"net_arch": [8] * 33}, "net_arch"),
        ({"normalize_images": False}, "normalize_images"),
        ({"features_extractor_kwargs": {"cnn_output_dim": 64}}, "features_extractor_kwargs"),
    ],
)
def test_another_network_is_not_written(tmp_path: Path, policy_kwargs: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=rf"other .*{named}.*: train it without policy_kwargs"):
        save_policy(tmp_path / "stock.safetensors", model_of(policy_kwargs=policy_kwargs).policy)
    with pytest.raises(InputError, match="use_sde"):
        save_policy(tmp_path / "stock.safetensors", model_of(use_sde=True).policy)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrap", "named"),
    [
        (FloatObservation, "observations"),
        (lambda env: FrameStackObservation(env, 2), "observations"),
        (NaturalControls, "NaturalControls"),
        (unit_range, "RescaleAction"),
    ],
)
def test_another_environment_is_not_written(tmp_path: Path, wrap: Wrap, named: str) -> None:
    with pytest.raises(InputError, match=named):
        save_policy(tmp_path / "stock.safetensors", model_of(wrap).policy)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrap", [NaturalControls, unit_range])
def test_other_actions_of_this_packages_network_are_not_written_either(tmp_path: Path, wrap: Wrap) -> None:
    with pytest.raises(InputError, match="NaturalControls"):
        save_policy(tmp_path / "own.safetensors", model_of(wrap, ClosedLoopPolicy).policy)


def test_whoever_gives_a_model_is_told_of_save_policy(tmp_path: Path) -> None:
    model = model_of()
    with pytest.raises(InputError, match=r"save_policy\(path, model.policy\).*got a PPO"):
        save_policy(tmp_path / "model.safetensors", model)  # type: ignore[arg-type]
    off_policy = SAC("MultiInputPolicy", gymnasium.make("VideoInpaint-v1", **SIZE), buffer_size=2, device="cpu")
    with pytest.raises(InputError, match=r"save_policy\(path, model.policy\).*got a MultiInputPolicy"):
        save_policy(tmp_path / "model.safetensors", off_policy.policy)  # type: ignore[arg-type]
    for given in (model, model.policy):
        with pytest.raises(InputError, match=r"save_policy\(path, model.policy\)") as refused:
            evaluate(given, SIZE, [0])  # type: ignore[arg-type]
        assert len(str(refused.value)) < 300
    model.save(tmp_path / "model")
    with pytest.raises(CorruptWeightsError, match=r"save_policy\(path, model.policy\)"):
        make_policy(tmp_path / "model.zip")
