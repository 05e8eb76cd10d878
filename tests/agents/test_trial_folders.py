"""Folders of trials: what is damaged, what lies beside them, and what is never overwritten."""

import os
import shutil
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


def build(folder, episodes=2):
    return build_trials(folder, "VideoInpaintRegions-v0", SMALL, episodes=episodes)


@pytest.fixture(scope="module")
def _built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trials")
    build(folder)
    return folder


@pytest.fixture
def trials(_built, tmp_path):
    """A folder of two trials."""
    return shutil.copytree(_built, tmp_path / "trials")


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_trial_is_named_with_its_remedy(trials, damage):
    path = sorted(trials.iterdir())[1]
    if damage is None:
        tensors, metadata = read_file(path)
        save_safetensors(path, tensors | {"returns": tensors["returns"][1:]}, metadata)
    else:
        path.write_bytes(damage)
    with pytest.raises(CorruptWeightsError, match=rf"{path.name} is a damaged trial: run .*trials build"):
        load_trials(trials)


def test_a_damaged_trial_is_played_again_and_it_alone(trials):
    one, other = sorted(trials.iterdir())
    whole, untouched = other.read_bytes(), one.stat().st_ino
    other.write_bytes(b"nonsense")
    assert build(trials) == 1
    assert other.read_bytes() == whole
    assert one.stat().st_ino == untouched  # what is written anew is another file


def test_trials_of_another_kind_are_never_played_over(tmp_path):
    path = tmp_path / "1000000000.safetensors"
    save_safetensors(path, {"returns": torch.zeros(1)}, {"format": "videoinpaint-trial-1"})
    before = path.read_bytes()
    with pytest.raises(InputError, match="no trial of this kind and version: delete it, or name another folder"):
        build(tmp_path, episodes=1)
    assert path.read_bytes() == before


def test_what_lies_beside_trials_is_none_of_them(trials):
    """A policy that was fitted into their folder, and what a killed process was writing, which the next one removes."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    own = draft_name(trials / "1000000001.safetensors")
    draft = trials / own.replace(f".{os.getpid()}.", f".{ended.pid}.")
    draft.touch()
    fit = ["trials", "fit", str(trials), "--output", str(trials / "fitted.safetensors"), "--epochs", "1"]
    assert [main(fit), main(fit)] == [0, 0]
    assert len(load_trials(trials)) == 2
    assert build(trials) == 0
    assert sorted(path.stem for path in trials.glob("1*.safetensors")) == ["1000000000", "1000000001"]
    assert not draft.exists()


def test_a_policy_is_not_written_in_place_of_a_folder(trials, tmp_path, capsys):
    taken = tmp_path / "mine.safetensors"
    taken.mkdir()
    (taken / "thesis.txt").touch()
    assert main(["trials", "fit", str(trials), "--output", str(taken), "--epochs", "1"]) == 2
    assert "mine.safetensors: it is a folder; name a file" in capsys.readouterr().err
    assert (taken / "thesis.txt").exists()
