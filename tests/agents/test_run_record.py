"""The record of a run names everything that its numbers depend on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import gymnasium
import pytest
import torch

from videoinpaint.agents.evaluation.run_record import run_record
from videoinpaint.agents.policies.export import blank_network, load_policy, save_policy
from videoinpaint.envs.ids import effective_kwargs
from videoinpaint.errors import UnknownNameError

IDS = sorted(name for name in gymnasium.registry if name.startswith("VideoInpaint") and "Test" not in name)


@pytest.mark.parametrize("env_id", IDS)
def test_effective_arguments_are_defaults_then_the_ids_then_ones_own(env_id: str) -> None:
    spec = gymnasium.spec(env_id)
    found = effective_kwargs(env_id)
    assert {name: found[name] for name in spec.kwargs} == json.loads(json.dumps(spec.kwargs))
    assert {"clips", "num_frames", "height", "inpainter", "reward", "device"} <= set(found)
    assert effective_kwargs(env_id, {"height": 48}) == found | {"height": 48}
    # "boundary" lets telea follow a grid of controls.
    own = {"inpainter": "telea", "detector": "none"} | ({"fusion": "boundary"} if found["action_grid"] else {})
    small = gymnasium.make(env_id, num_frames=2, height=32, width=40, device="cpu", **own)
    settings = small.unwrapped._core.settings
    assert all(getattr(settings, name) == found[name] for name in ("max_iterations", "reward", "reward_weights"))


def test_weights_that_were_read_are_hashed(tmp_path: Path) -> None:
    path = save_policy(tmp_path / "mine.safetensors", blank_network())
    load_policy(path)
    told = run_record("VideoInpaint-v1", {"device": "cpu", "precision": "bfloat16"}, random_weights=["fuseformer"])
    entry = next(weight for weight in told["weights"] if weight["file"].endswith("mine.safetensors"))
    assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert told["precision"] == {"asked": "bfloat16", "used": "bfloat16"}
    assert told["machine"]["threads"] == torch.get_num_threads()
    assert told["software"]["torch"] == torch.__version__.split("+")[0]
    assert (told["device"], told["random_weights"]) == ("cpu", ["fuseformer"])
    assert told["commit"] is None or len(told["commit"].removesuffix("-dirty")) == 40
    json.dumps(told)


def test_unknown_ids_are_named() -> None:
    with pytest.raises(UnknownNameError, match="Nope-v0"):
        run_record("Nope-v0")
