"""Policies of stock Stable-Baselines3: a file plays what was trained, or is not written."""

from __future__ import annotations

from collections.abc import Callable
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
from videoinpaint.envs.wrappers import FloatObservation, NaturalControls, Thumbnails
from videoinpaint.errors import CorruptWeightsError, InputError

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


@pytest.mark.parametrize(
    ("policy_kwargs", "named"),
    [
        ({"activation_fn": nn.ReLU}, "activation_fn"),
        ({"net_arch": [32, 32]}, "net_arch"),
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
