"""The policy of the paper: full resolution and nothing hand-made, its preset, and a replay that tells its memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO

from videoinpaint.agents import make_policy
from videoinpaint.agents.policies.export import blank_network, load_policy, save_policy
from videoinpaint.agents.policies.full_resolution import PaperPolicy, picture_space, stacked
from videoinpaint.agents.ppo.config import ReplayConfig
from videoinpaint.agents.ppo.replay import TrajectoryReplay
from videoinpaint.agents.ppo.training import TrainConfig, replay_of, replay_told, train
from videoinpaint.cli.train import Train
from videoinpaint.errors import InputError
from videoinpaint.testing import check_policy

ACTIONS = spaces.Box(-1.0, 1.0, (5,), np.float32)


def observation(time: int = 3, height: int = 40, width: int = 72, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (2, 3 * time, height, width), np.uint8)
    return {"frames": frames, "masks": rng.integers(0, 256, (2, time, height, width), np.uint8)}


def test_every_pixel_counts_and_features_do_not_exist() -> None:
    network = blank_network(PaperPolicy)
    assert isinstance(network, PaperPolicy)
    seen = observation()
    pictures = stacked(*(torch.from_numpy(seen[key]) for key in ("frames", "masks"))).float().requires_grad_(True)
    network.extract_features({"pictures": pictures}).sum().backward()  # type: ignore[union-attr]
    touched = (pictures.grad != 0).float().mean((0, 1))
    assert touched.mean() > 0.9, "thumbnails would see averages; here nearly every pixel has a gradient of its own"
    assert touched[3].mean() > 0.9, "the mask too"


def test_a_file_brings_its_kind_and_fits_any_size(tmp_path: Path) -> None:
    path = save_policy(tmp_path / "p.safetensors", blank_network(PaperPolicy))
    policy = make_policy(path)
    check_policy(policy)
    assert isinstance(load_policy(path).network, PaperPolicy)
    assert policy.act(observation()).shape == policy.act(observation(5, 64, 96)).shape == (2, 5)
    ours = save_policy(tmp_path / "q.safetensors", blank_network())
    assert not isinstance(load_policy(ours).network, PaperPolicy)


def test_stock_ppo_takes_it(toy_env: type) -> None:
    model = PPO(PaperPolicy, toy_env(), n_steps=6, batch_size=6, n_epochs=1)
    model.learn(6)
    other = spaces.Dict({"thumbnails": spaces.Box(0, 255, (2, 4, 30, 54), np.uint8)})
    with pytest.raises(InputError, match="frames"):
        PaperPolicy(other, ACTIONS, lambda _: 0.0)


def test_the_entropy_bonus_falls_to_its_end(tmp_path: Path, make_toys) -> None:  # type: ignore[no-untyped-def]
    settings = {"steps": 48, "num_envs": 2, "n_steps": 6, "batch_size": 6, "n_epochs": 1, "device": "cpu"}
    config = TrainConfig(tmp_path, ent_coef=0.4, final_ent_coef=0.1, progress=False, **settings)  # type: ignore[arg-type]
    seen = []
    original = torch.Tensor.backward

    from videoinpaint.agents.ppo.algorithm import ClosedLoopPPO

    weight = ClosedLoopPPO.entropy_weight

    def noted(self: ClosedLoopPPO) -> float:
        seen.append(weight(self))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClosedLoopPPO, "entropy_weight", noted)
        train(config, make_env=make_toys)
    assert torch.Tensor.backward is original
    assert seen == sorted(seen, reverse=True)
    assert 0.3 < seen[0] <= 0.4
    assert seen[-1] == pytest.approx(0.1)
    for bad in ({"final_ent_coef": -1.0}, {"policy": "cnn"}):
        with pytest.raises(InputError):
            TrainConfig(tmp_path, **bad)  # type: ignore[arg-type]


def test_the_papers_replay_fits_into_eight_gigabytes_of_thumbnails() -> None:
    config = TrainConfig(Path("x"), replay=ReplayConfig(max_bytes=8 * 2**30))
    replay = replay_of(config)
    assert replay is not None
    assert replay.max_steps == 3
    ring = TrajectoryReplay(spaces.Dict({"a": spaces.Box(0, 255, (2,), np.uint8)}), 5, replay)
    assert ring.slots == 50_000
    told = replay_told(config)
    assert told.startswith("replay: 50,000 of 50,000 trajectories of 3 steps, 155.9 kB each, 7.")
    full = replay_told(TrainConfig(Path("x"), policy="paper", replay=ReplayConfig(max_bytes=8 * 2**30)))
    assert full.startswith("replay: 3,")
    assert "2,488.4 kB each" in full
    longer = TrainConfig(Path("x"), replay=ReplayConfig(), env={"max_iterations": 5})
    assert replay_of(longer).max_steps == 5  # type: ignore[union-attr]


def test_the_line_about_memory_is_what_the_ring_takes() -> None:
    config = ReplayConfig(trajectories=7, max_steps=3)
    ring = TrajectoryReplay(picture_space(2, 8, 8), 5, config)
    assert ring.nbytes == 7 * ring.bytes_each


def test_the_preset_is_section_4_1_and_flags_win() -> None:
    paper = Train(preset="paper").config()
    assert (paper.env_id, paper.policy, paper.sync_every) == ("VideoInpaint-v0", "paper", 4)
    assert (paper.ent_coef, paper.final_ent_coef) == (0.01, 0.001)
    assert paper.replay == ReplayConfig(50_000, 8 * 2**30)
    mine = Train(preset="paper", policy="features", sync_every=1, replay=False, env_id="VideoInpaintBudget-v0").config()
    assert (mine.policy, mine.sync_every, mine.replay) == ("features", 1, None)
    assert mine.env_id == "VideoInpaintBudget-v0"
    plain = Train().config()
    assert json.dumps(plain.as_dict()) == json.dumps(TrainConfig(plain.output).as_dict())
    assert Train(replay=True, replay_trajectories=3, replay_gib=0.5).config().replay == ReplayConfig(3, 2**29)
    with pytest.raises(InputError, match="replay_gib"):
        Train(replay=True, replay_gib=-1).config()
