"""Cutie's path with random weights (official ones are not in the package), and what is said where parts are missing."""

from __future__ import annotations

import builtins

import pytest
import torch

from videoinpaint.errors import CorruptWeightsError, InputError, MissingPackageError, MissingWeightsError
from videoinpaint.inpainters.propagators import make_propagator


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "cutie":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match=r"rf-cutie: pip install 'videoinpaint\[cutie\]'"):
        make_propagator("cutie", weights="random")


@pytest.fixture(scope="module")
def cutie():
    pytest.importorskip("cutie")
    return make_propagator("cutie", weights="random")


def test_missing_and_foreign_weights(cutie, monkeypatch, tmp_path):
    monkeypatch.setenv("VIDEOINPAINT_CACHE", str(tmp_path))
    with pytest.raises(MissingWeightsError, match="weights fetch cutie"):
        make_propagator("cutie")
    foreign = tmp_path / "weights" / "cutie-base-mega.pth"
    foreign.parent.mkdir()
    torch.save({"pix_feat_proj.weight": torch.zeros(1)}, foreign)
    with pytest.raises(CorruptWeightsError, match="md5"):
        make_propagator("cutie")
    with pytest.raises(CorruptWeightsError, match=r"lack|shape"):
        make_propagator("cutie", weights=str(foreign))


def test_saved_weights_are_loaded_exactly(cutie, scene, tmp_path):
    frames, masks = scene(length=2)
    own = tmp_path / "own.pth"
    torch.save(cutie.network.state_dict(), own)
    other = make_propagator("cutie", weights=str(own), seed=5)
    with torch.no_grad():
        assert torch.equal(other.start(frames, masks[0]).masks(), cutie.start(frames, masks[0]).masks())


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_masks_are_probabilities_and_carry_gradients_through_memory(cutie, scene):
    frames, masks = scene(length=7)  # longer than the five frames between memories
    tracker = cutie.start(frames, masks[0])
    found = tracker.masks()
    assert found.shape == masks.shape
    assert torch.equal(found[0], masks[0])
    assert found.min() >= 0
    assert found.max() <= 1
    found[1:].mean().backward()
    reached = [p for p in tracker.parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert len(reached) > 100
    assert all(p.grad is None for p in cutie.network.pixel_encoder.parameters())
    cutie.network.zero_grad(set_to_none=True)
    with torch.no_grad():
        assert torch.equal(tracker.masks(), found), "asked twice, it says the same"


def test_one_frame_and_large_frames(cutie, scene):
    frames, masks = scene(length=2)
    assert torch.equal(cutie.start(frames[:1], masks[0]).masks(), masks[:1])
    cutie.longest, kept = 40, cutie.longest
    try:
        with torch.no_grad():
            assert cutie.start(frames, masks[0]).masks().shape == masks.shape
    finally:
        cutie.longest = kept


def test_odd_input(cutie, scene):
    frames, masks = scene(length=2)
    with pytest.raises(InputError, match="absent"):
        cutie.start(frames, masks[0] * 0)
