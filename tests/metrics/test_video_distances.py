"""VFID in the quality table: only where I3D's weights are present."""

import pytest
import torch

from videoinpaint.metrics import measures
from videoinpaint.metrics.measures import Reference, VideoDistances


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_a_reference_takes_frames_of_any_precision(dtype):
    frames = torch.rand(1, 3, 3, 40, 48, generator=torch.Generator().manual_seed(0)).to(dtype)
    holes = torch.zeros(1, 3, 1, 40, 48)
    holes[..., 10:30, 10:30] = 1
    repaired = (frames * 0.5).to(dtype)
    expected = Reference(frames.float(), holes).measure(repaired.float())
    assert Reference(frames, holes.to(dtype)).measure(repaired) == pytest.approx(expected, nan_ok=True, abs=0)


def test_nothing_is_measured_without_weights(monkeypatch):
    monkeypatch.setattr("videoinpaint.weights.lookup.find", lambda entry: None)
    videos = VideoDistances()
    videos.add_truth(torch.rand(1, 2, 3, 8, 8))
    videos.add("telea", torch.rand(1, 2, 3, 8, 8))
    assert videos.distances() == {}


def test_methods_are_compared_over_all_clips(monkeypatch):
    monkeypatch.setattr(measures, "vfid_available", lambda: True)
    monkeypatch.setattr(measures, "vfid_features", lambda frames: frames.mean((1, 3, 4)).double().numpy())
    videos = VideoDistances()
    for value in (0.2, 0.4):
        clip = torch.full((1, 2, 3, 8, 8), value)
        videos.add_truth(clip)
        videos.add("same", clip)
        videos.add("brighter", clip + 0.2)
    found = videos.distances()
    assert found["same"] == pytest.approx(0, abs=1e-12)
    assert found["brighter"] == pytest.approx(3 * 0.2**2, rel=1e-5)
