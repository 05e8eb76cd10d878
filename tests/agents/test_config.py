"""Training configurations from mappings and text, and under stable names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from videoinpaint.agents.ppo.config import ReplayConfig, TrainConfig
from videoinpaint.errors import InputError
from videoinpaint.naming import stable_name


class Lazy(Mapping):
    """A mapping that is no dict, as OmegaConf's `DictConfig` is."""

    def __init__(self, content: dict) -> None:
        self._content = content

    def __getitem__(self, key):
        value = self._content[key]
        return Lazy(value) if isinstance(value, dict) else value

    def __iter__(self):
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)


TEXT = {
    "output": "runs/a", "steps": "20_000", "learning_rate": "3e-4", "anneal": "True", "target_kl": "none",
    "num_envs": "8", "clone": "null",
    "env": {"height": "64", "psnr_scale": "40.5", "clips": "studio:easy", "detector": "none"},
    "replay": {"trajectories": "10", "ratio": "0.5"},
}  # fmt: skip
MEANT = TrainConfig(
    output=Path("runs/a"),
    steps=20_000,
    learning_rate=3e-4,
    anneal=True,
    target_kl=None,
    env={"height": 64, "psnr_scale": 40.5, "clips": "studio:easy", "detector": "none"},
    replay=ReplayConfig(trajectories=10, ratio=0.5),
)


@pytest.mark.parametrize("wrap", [dict, Lazy])
def test_text_and_foreign_mappings_are_read(wrap: type) -> None:
    found = TrainConfig.from_mapping(wrap(TEXT))
    assert found == MEANT
    assert type(found.env) is dict
    assert type(found.steps) is int


def test_omegaconf_is_read() -> None:
    omegaconf = pytest.importorskip("omegaconf")
    assert TrainConfig.from_mapping(omegaconf.OmegaConf.create(TEXT)) == MEANT


def test_numbers_of_numpy_are_python_s_own() -> None:
    """What trains asks for a float, and numpy's of four bytes is none."""
    config = TrainConfig("out", steps=np.int64(20), learning_rate=np.float32(0.25), anneal=np.bool_(False))
    assert config == TrainConfig("out", steps=20, learning_rate=0.25, anneal=False)
    assert {type(value) for value in (config.steps, config.learning_rate, config.anneal)} == {int, float, bool}


def test_what_was_written_is_read_back() -> None:
    assert TrainConfig.from_mapping(MEANT.as_dict()) == MEANT
    assert TrainConfig.from_mapping({"output": "a", "replay": "true"}).replay == ReplayConfig()
    assert TrainConfig.from_mapping({"output": "a", "replay": False}).replay is None


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"learning_rat": 1}, "learning_rate"),
        ({"replay": {"trajectory": 1}}, "trajectories"),
        ({"steps": "many"}, r"steps must be of type int, got 'many'"),
        ({"steps": 1.5}, "whole number"),
        ({"anneal": "perhaps"}, "anneal"),
        ({"gamma": "2"}, "gamma"),
        ({"env": "studio"}, "env must be a mapping"),
        ({"seed": True}, "seed"),
        ({"device": None}, "device"),
        ({"precision": "float16"}, "precision"),
    ],
)
def test_what_cannot_be_meant_is_named(wrong: dict, told: str) -> None:
    with pytest.raises(InputError, match=told):
        TrainConfig.from_mapping({"output": "a"} | wrong)


def test_a_configuration_needs_a_folder() -> None:
    with pytest.raises(InputError, match="lacks output"):
        TrainConfig.from_mapping({"steps": 3})
    with pytest.raises(InputError, match="mapping"):
        TrainConfig.from_mapping(["output"])  # type: ignore[arg-type]


class Part:
    def __init__(self, name: str | None = None) -> None:
        if name is not None:
            self.name = name


def test_objects_have_the_same_name_in_every_process() -> None:
    mine = f"{__name__}:Part"
    assert stable_name(Part()) == stable_name(Part) == stable_name(partial(Part, "x")) == mine
    assert stable_name(Part("telea")) == "telea"
    configs = [TrainConfig(Path("a"), {"inpainter": Part(), "height": np.int64(4)}, clone=Part()) for _ in range(2)]
    assert configs[0].as_dict() == configs[1].as_dict()
    assert configs[0].as_dict()["clone"] == mine
    assert configs[0].as_dict()["env"] == {"inpainter": mine, "height": 4}
