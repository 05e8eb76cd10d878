"""Stock PPO becomes a file that acts as the policy it was made of."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy

from videoinpaint.agents import load_policy, make_policy, save_policy
from videoinpaint.agents.policies.protocol import acts_by_cell, choose
from videoinpaint.agents.policies.stock import StockPolicy
from videoinpaint.benchmarks.policies.stock_ppo import Stock, export, run
from videoinpaint.controls import least_action
from videoinpaint.envs import make_sb3_vec
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.weights import read_file, save_safetensors


def small(folder: Path, **changes: Any) -> Stock:
    """A training of eight steps."""
    flags = Stock(
        clips="studio:easy", masks="square", num_frames=4, height=40, width=48, steps=8, num_envs=2, n_steps=4,
        batch_size=4, folder=folder,
    )  # fmt: skip
    return replace(flags, **changes)


@pytest.fixture(scope="module")
def frames_trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training whose actions are of whole frames; nobody writes into it."""
    folder = tmp_path_factory.mktemp("frames")
    run(small(folder))
    return folder


@pytest.fixture(scope="module")
def cells_trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one whose actions are by cell; nobody writes into it."""
    folder = tmp_path_factory.mktemp("cells")
    run(small(folder, env_id="VideoInpaintRegions-v1"))
    return folder


def first_observation(env_id: str) -> dict[str, np.ndarray]:
    env = make_sb3_vec(3, env_id, seed=5, clips="studio:easy", masks="square", num_frames=4, height=40, width=48)
    return {key: np.asarray(value) for key, value in env.reset().items()}  # type: ignore[union-attr]


def test_the_file_acts_and_the_same_seed_gives_the_same(tmp_path: Path) -> None:
    flags = small(tmp_path)
    observation = first_observation(flags.env_id)
    frames, masks = (torch.from_numpy(observation[key]) for key in ("frames", "masks"))
    actions = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        found = run(replace(flags, folder=tmp_path / name, seed=seed))
        assert found["policy"] == str(tmp_path / name / "policy.pt")
        actions[name] = torch.jit.load(found["policy"])(frames, masks).numpy()
        np.testing.assert_allclose(make_policy(tmp_path / name).act(observation), actions[name], atol=1e-6)
    assert actions["a"].shape == (3, 5)
    assert np.abs(actions["a"]).max() <= 1
    np.testing.assert_array_equal(actions["a"], actions["b"])
    assert np.abs(actions["a"] - actions["c"]).max() > 1e-4
    with pytest.raises(InputError, match="steps"):
        run(replace(flags, steps=0))


def test_one_that_chooses_for_a_grid_does_so_on_that_grid_and_size_alone(cells_trained: Path) -> None:
    observation = first_observation("VideoInpaintRegions-v1")
    frames, masks = (torch.from_numpy(observation[key]) for key in ("frames", "masks"))
    policy = load_policy(cells_trained / "policy.safetensors")
    assert isinstance(policy, StockPolicy)
    assert policy.trained_grid is not None
    assert policy.training["env_id"] == "VideoInpaintRegions-v1"
    chosen = choose(policy, observation, (*policy.trained_grid, 5))
    scripted = torch.jit.load(str(cells_trained / "policy.pt"))
    np.testing.assert_allclose(scripted(frames, masks).numpy(), chosen, atol=1e-6)
    assert chosen.std(axis=(1, 2)).max() > 0
    for shape in ((2, 3, 5), (5,)):
        with pytest.raises(InputError, match="own environment"):
            choose(policy, observation, shape)
    with pytest.raises(InputError, match="size"):
        choose(policy, {key: value[..., :-2] for key, value in observation.items()}, (*policy.trained_grid, 5))


def test_means_reach_the_actions_that_stop(cells_trained: Path, tmp_path: Path) -> None:
    policy = load_policy(cells_trained / "policy.safetensors")
    assert isinstance(policy, StockPolicy)
    with torch.no_grad():
        policy.network.action_net.bias.fill_(-3)
    observation = first_observation("VideoInpaintRegions-v1")
    actions = choose(policy, observation, (*policy.trained_grid, 5))  # type: ignore[misc]
    np.testing.assert_allclose(actions, np.broadcast_to(least_action(), actions.shape))
    frames, masks = (torch.from_numpy(observation[key]) for key in ("frames", "masks"))
    path = export(policy.network, frames[:1], masks[:1], tmp_path / "low.pt")
    np.testing.assert_allclose(torch.jit.load(str(path))(frames, masks).numpy(), actions)


def test_a_whole_frame_policy_chooses_alike_for_all_cells(frames_trained: Path) -> None:
    policy = load_policy(frames_trained / "policy.safetensors")
    observation = first_observation("VideoInpaint-v1")
    assert not acts_by_cell(policy)
    chosen = choose(policy, observation, (2, 3, 5))
    np.testing.assert_array_equal(chosen[:, 1, 2], policy.act(observation))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"batch_size": 1}, "batch_size"),
        ({"num_envs": 1, "n_steps": 1}, "one step"),
        ({"gamma": 2.0}, "gamma"),
        ({"folder": Path("file/deeper")}, "cannot write"),
    ],
)
def test_what_cannot_be_trained_or_written_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    # The clips are those of nobody: looked for after what is refused here.
    with pytest.raises(InputError, match=told):
        run(replace(small(tmp_path / "run", clips="nowhere"), **change))


def test_nothing_is_left_among_the_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.delenv("SB3_LOGDIR")
    run(small(tmp_path / "run"))
    assert not list((tmp_path / "temporary").glob("SB3*"))


@pytest.mark.parametrize(
    "change",
    [
        {"masks": [4, 4000, 4800], "frames": [12, 4000, 4800]},
        {"masks": [4, 40, 10**9], "frames": [12, 40, 10**9]},
        {"frames": [3, 40, 48]},
        {"grid": [10**6, 10**6]},
        {"grid": [3]},
        {"masks": None},
        {"stock": "CnnPolicy"},
    ],
)
def test_a_file_that_tells_of_other_sizes_is_refused_before_anything_is_made(
    frames_trained: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    tensors, metadata = read_file(frames_trained / "policy.safetensors")
    metadata["architecture"] = json.dumps(json.loads(metadata["architecture"]) | change)
    save_safetensors(tmp_path / "other.safetensors", tensors, metadata)
    with pytest.raises(CorruptWeightsError):
        load_policy(tmp_path / "other.safetensors")


def test_other_policies_of_the_library_are_refused(tmp_path: Path) -> None:
    box = spaces.Box(-1, 1, (5,), np.float32)
    with pytest.raises(InputError, match="MultiInputPolicy"):
        save_policy(tmp_path / "p.safetensors", ActorCriticPolicy(box, box, lambda _: 0.0))
