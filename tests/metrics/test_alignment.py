"""The alignment module: identity at first, trained, resumable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from videoinpaint.clips import make_clips, make_masks
from videoinpaint.clips.sources.augmented import Windows
from videoinpaint.errors import InputError, UnknownNameError
from videoinpaint.fitting import FitConfig
from videoinpaint.metrics.alignment import ENCODERS, Aligner, grid_flow, load_aligner
from videoinpaint.metrics.alignment_pretraining import pairs, random_weights, train_aligner
from videoinpaint.metrics.backbone import get_backbone
from videoinpaint.motion.flow import warp
from videoinpaint.weights import load_safetensors


def test_an_untrained_aligner_is_the_warp():
    features, flow = torch.rand(2, 192, 6, 9), torch.randn(2, 2, 6, 9)
    aligned = Aligner("alex")(features, flow, torch.rand(2, 3, 48, 72))
    torch.testing.assert_close(aligned, warp(features, flow), atol=1e-5, rtol=0)
    still = Aligner("alex")(features, torch.zeros_like(flow), torch.zeros(2, 3, 48, 72))
    torch.testing.assert_close(still, features, atol=1e-5, rtol=0)


@pytest.mark.parametrize("net", ["alex", pytest.param("vgg16", marks=pytest.mark.vgg16)])
def test_the_grid_lies_where_the_encoder_looks(net):
    """A flow that holds each pixel's own coordinates reads, at the grid, as the cells' centres: found by gradients."""
    encoder, backbone = ENCODERS[net], get_backbone(net)
    frames = torch.rand(1, 3, 64, 72, requires_grad=True)
    features = backbone(frames, encoder.layer + 1)[-1]
    assert features.shape[1] == encoder.channels
    row, column = features.shape[-2] // 2, features.shape[-1] // 2
    features[..., row, column].sum().backward()
    energy = frames.grad[0].abs().sum(0)
    seen = torch.nonzero(energy)
    centre = (seen.amin(0) + seen.amax(0)).float() / 2
    ys, xs = torch.meshgrid(torch.arange(64.0), torch.arange(72.0), indexing="ij")
    at = grid_flow(torch.stack([xs, ys])[None], encoder, tuple(features.shape[-2:]))[0, :, row, column] * encoder.stride
    assert (at.flip(0) - centre).abs().max() <= encoder.stride / 2


@pytest.mark.parametrize("net", ["alex", pytest.param("vgg16", marks=pytest.mark.vgg16)])
def test_motion_by_whole_cells_is_undone_by_the_warp(net):
    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1).float()[None] / 255
    photo = torch.nn.functional.interpolate(photo, size=(192, 192), mode="area")[0]
    step = 2 * ENCODERS[net].stride
    clip = torch.stack([photo[:, 40:120, 20 + step * t : 148 + step * t] for t in range(2)])[None]
    source, target, flow = pairs(clip, get_backbone(net), ENCODERS[net])
    inner = (..., slice(2, -2), slice(2, -4))
    still, warped = ((guess - target)[inner].abs().mean() for guess in (source, warp(source, flow)))
    assert warped < 0.2 * still


def windows() -> Windows:
    return Windows([make_clips("studio:easy")], make_masks("square"), 2, 32, 40, 1)


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path: Path):
    def config(folder: str, **changes) -> FitConfig:
        return FitConfig(tmp_path / folder, **{"iterations": 4, "save_seconds": 0, "progress": False, **changes})

    whole = train_aligner(windows(), config("whole"), tmp_path / "whole.safetensors")

    class Interrupted(Windows):
        calls = 0

        def draw(self, rng):
            Interrupted.calls += 1
            if Interrupted.calls > 2:
                raise KeyboardInterrupt
            return super().draw(rng)

    source = windows()
    stopped = Interrupted(source.clips, source.masks, 2, 32, 40, 1)
    with pytest.raises(KeyboardInterrupt):
        train_aligner(stopped, config("parts"), tmp_path / "parts.safetensors")
    assert not (tmp_path / "parts.safetensors").exists()
    parts = train_aligner(windows(), config("parts"), tmp_path / "parts.safetensors")
    (a, metadata), (b, _) = (load_safetensors("aligner-alex", path) for path in (whole, parts))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert metadata["backbone"] == "alex"
    assert load_aligner("alex", str(parts)).net == "alex"


def test_random_weights_stay_inside_the_holes():
    holes = torch.zeros(1, 2, 1, 16, 16)
    holes[..., 4:8, 4:8] = 1
    weights = random_weights(holes, np.random.default_rng(0))
    assert weights.shape == (1, 2, 3, 16, 16)
    assert (weights >= 0).all()
    assert (weights * (1 - holes)).eq(0).all()
    assert weights.amax() > 0


def test_bad_requests_are_named(tmp_path: Path):
    with pytest.raises(UnknownNameError, match="alex"):
        Aligner("squeeze")
    single = Windows([make_clips("studio:easy")], make_masks("square"), 1, 32, 40, 1)
    with pytest.raises(InputError, match="num_frames"):
        train_aligner(single, FitConfig(tmp_path), tmp_path / "a.safetensors")


def test_a_cell_moves_as_its_pixels_do_on_average():
    flow = torch.full((1, 2, 48, 64), 4.0)
    flow += 3 * (-1.0) ** (torch.arange(48).view(-1, 1) + torch.arange(64))
    found = grid_flow(flow, ENCODERS["alex"], (5, 7))
    torch.testing.assert_close(found, torch.full((1, 2, 5, 7), 4 / 8), atol=0.01, rtol=0)
