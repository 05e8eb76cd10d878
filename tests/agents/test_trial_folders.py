"""Folders of trials: what is damaged, what lies beside them, and what is never overwritten."""

import os
import subprocess
import sys

import pytest
import torch

from videoinpaint.agents.trials import build_trials, load_trials
from videoinpaint.cli import main
from videoinpaint.drafts import draft_name
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.weights import read_file, save_safetensors

SMALL = {"action_grid": (2, 3), "num_frames": 2, "height": 32, "width": 48}


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_trial_is_named_with_its_remedy_and_played_again(tmp_path, damage):
    build_trials(tmp_path, "VideoInpaintRegions-v0", SMALL, episodes=2)
    path = sorted(tmp_path.iterdir())[1]
    whole = path.read_bytes()
    if damage is None:
        tensors, metadata = read_file(path)
        save_safetensors(path, tensors | {"returns": tensors["returns"][1:]}, metadata)
    else:
        path.write_bytes(damage)
    with pytest.raises(CorruptWeightsError, match=rf"{path.name} is a damaged trial: run .*trials build"):
        load_trials(tmp_path)
    assert build_trials(tmp_path, "VideoInpaintRegions-v0", SMALL, episodes=2) == 1
    assert path.read_bytes() == whole


def test_trials_of_another_kind_are_never_played_over(tmp_path):
    path = tmp_path / "1000000000.safetensors"
    save_safetensors(path, {"returns": torch.zeros(1)}, {"format": "videoinpaint-trial-1"})
    before = path.read_bytes()
    with pytest.raises(InputError, match="no trial of this kind and version: delete it, or name another folder"):
        build_trials(tmp_path, "VideoInpaintRegions-v0", SMALL, episodes=1)
    assert path.read_bytes() == before


def test_what_lies_beside_trials_is_none_of_them(tmp_path):
    """A policy that was fitted into their folder, and what a killed process was writing, which the next one removes."""
    build_trials(tmp_path, "VideoInpaintRegions-v0", SMALL, episodes=2)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    own = draft_name(tmp_path / "1000000001.safetensors")
    draft = tmp_path / own.replace(f".{os.getpid()}.", f".{ended.pid}.")
    draft.touch()
    fit = ["trials", "fit", str(tmp_path), "--output", str(tmp_path / "fitted.safetensors"), "--epochs", "1"]
    assert [main(fit), main(fit)] == [0, 0]
    assert len(load_trials(tmp_path)) == 2
    assert build_trials(tmp_path, "VideoInpaintRegions-v0", SMALL, episodes=2) == 0
    assert sorted(path.stem for path in tmp_path.glob("1*.safetensors")) == ["1000000000", "1000000001"]
    assert not draft.exists()


def test_a_policy_is_not_written_in_place_of_a_folder(tmp_path, capsys):
    build_trials(tmp_path / "trials", "VideoInpaintRegions-v0", SMALL, episodes=2)
    taken = tmp_path / "mine.safetensors"
    taken.mkdir()
    (taken / "thesis.txt").touch()
    assert main(["trials", "fit", str(tmp_path / "trials"), "--output", str(taken), "--epochs", "1"]) == 2
    assert "mine.safetensors: it is a folder; name a file" in capsys.readouterr().err
    assert (taken / "thesis.txt").exists()
