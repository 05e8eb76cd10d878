"""FOCAL's choices: HDBSCAN beside two-means, how M0 guides, frames in batches, augmentations, a small ViT."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from videoinpaint.clips import make_clips, make_masks
from videoinpaint.clips.sources.augmented import Windows
from videoinpaint.detectors import make_detector
from videoinpaint.detectors.focal.augmentation import augmented, compressed, resampled
from videoinpaint.detectors.focal.clustering import hdbscan_scores
from videoinpaint.detectors.focal.detector import FocalDetector, guided_logits
from videoinpaint.detectors.focal.pretraining import train_focal
from videoinpaint.detectors.focal.vit import ViTConfig
from videoinpaint.errors import CorruptWeightsError, InputError
from videoinpaint.fitting import FitConfig
from videoinpaint.testing import check_detector
from videoinpaint.weights import read_file, save_safetensors

TINY = ViTConfig(32, 8, 16, 4, 2, 2, 4, (0, 1, 2, 3), 8, complete=False)
SLIM = (((32, 32), 1), ((32, 32, 32), 1), ((32, 32, 32, 32), 1))


def picture(seed=0, height=24, width=32):
    """Features of a picture in which the upper half of the hole is poor, and which are the poor pixels."""
    generator = torch.Generator().manual_seed(seed)
    directions = F.normalize(torch.randn(2, 8, generator=generator), dim=1)
    hole = torch.zeros(height, width)
    hole[6:18, 8:24] = 1
    poor = torch.zeros_like(hole)
    poor[6:12, 8:24] = 1
    features = directions[poor.long()] + 0.15 * torch.randn(height, width, 8, generator=generator)
    return F.normalize(features, dim=-1).movedim(-1, 0)[None], hole[None, None], poor.bool()


@pytest.mark.parametrize("clustering", ["two-means", "hdbscan"])
@pytest.mark.parametrize("guide", ["seed", "gate"])
def test_every_choice_finds_what_looks_unlike_the_known(clustering, guide):
    features, hole, poor = picture()
    flagged = guided_logits(features, hole, clustering, guide)[0, 0] > 0
    assert (flagged[poor]).float().mean() > 0.9
    assert (flagged[~poor]).float().mean() < 0.1


def test_the_two_readings_differ_where_most_of_the_picture_is_a_poor_hole():
    features, hole, poor = picture()
    large = torch.ones_like(hole)
    large[..., :6, :] = 0
    swapped = torch.where(poor[None, None], features.mean((2, 3), keepdim=True), features)
    bad = F.normalize(torch.where(large > 0, features[..., 8:9, 12:13].expand_as(features), swapped), dim=1)
    assert guided_logits(bad, large, guide="seed")[large > 0].gt(0).float().mean() > 0.9
    assert guided_logits(bad, large, guide="gate")[large > 0].gt(0).float().mean() < 0.1, "the smaller part is forged"


def test_hdbscan_flags_nothing_where_all_looks_alike_and_looks_at_a_bounded_number_of_pixels():
    features, hole, _ = picture()
    alike = F.normalize(torch.ones_like(features) + 0.01 * features, dim=1).flatten(2).mT
    assert (hdbscan_scores(alike, hole.flatten(1)) <= 0).all()
    pixels, covered = features.flatten(2).mT, hole.flatten(1)
    some = hdbscan_scores(pixels, covered, most=200) > 0
    assert (some == (hdbscan_scores(pixels, covered) > 0)).float().mean() > 0.95


def test_detectors_by_name_keep_the_rules_whatever_the_batch(monkeypatch):
    monkeypatch.setattr("videoinpaint.detectors.focal.hrnet.STAGES", SLIM)
    check_detector(FocalDetector(weights="random", extractors=("hrnet",), size=0, clustering="hdbscan"))
    assert make_detector("focal_hrnet_hdbscan", weights="random").clustering == "hdbscan"
    frames, holes = torch.rand(1, 3, 3, 64, 64), torch.zeros(1, 3, 1, 64, 64)
    holes[..., 16:48, 16:48] = 1
    masks = [
        FocalDetector(weights="random", extractors=("hrnet",), size=0, batch=batch).detect(frames, holes).masks
        for batch in (1, 3)
    ]
    assert torch.allclose(*masks, atol=1e-4)
    names = {FocalDetector(weights="random", extractors=("hrnet",), size=0, **choice).name
             for choice in ({}, {"clustering": "hdbscan"}, {"guide": "gate"})}  # fmt: skip
    assert names == {"focal_hrnet", "focal_hrnet_hdbscan", "focal_hrnet_gate"}
    for bad in ({"clustering": "k-means"}, {"guide": "none"}, {"batch": -1}):
        with pytest.raises(InputError):
            FocalDetector(weights="random", extractors=("hrnet",), **bad)


def test_augmentations_keep_the_picture_and_leave_traces():
    frames = torch.from_numpy(make_clips("studio").load("studio-mixed-000001", 2, 64, 96).frames.copy())
    frames = frames.permute(0, 3, 1, 2)[None].float() / 255
    changed = [augmented(frames, np.random.default_rng(seed)) for seed in range(12)]
    assert all(one.shape == frames.shape and 0 <= one.min() <= one.max() <= 1 for one in changed)
    assert all(float((one - frames).abs().mean()) < 0.08 for one in changed), "nothing moves"
    assert sum(not torch.equal(one, frames) for one in changed) >= 8
    assert torch.equal(changed[3], augmented(frames, np.random.default_rng(3)))
    one = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    for traced in (compressed(one, 60), resampled(one, 0.5)):
        assert traced.shape == one.shape
        assert not np.array_equal(traced, one)


def test_a_small_vit_trains_and_its_file_says_its_size(tmp_path):
    windows = Windows([make_clips("studio")], make_masks("stationary"), num_frames=1, height=32, width=64)

    def grey(corrupted, holes, rng):
        return corrupted

    config = FitConfig(tmp_path / "run", 1, progress=False, warmup=1)
    path = train_focal(windows, grey, config, tmp_path / "v.safetensors", vit=TINY, augment=True)
    part = make_detector("focal_vit", weights=str(path))
    assert part.networks[0].config == TINY
    frames, holes = torch.rand(1, 2, 3, 40, 56), torch.zeros(1, 2, 1, 40, 56)
    holes[..., 8:24, 8:24] = 1
    assert part.detect(frames, holes).masks.shape == holes.shape
    tensors, metadata = read_file(path)
    lie = save_safetensors(tmp_path / "lie.safetensors", tensors, metadata | {"heads": "3"})
    with pytest.raises(CorruptWeightsError):
        make_detector("focal_vit", weights=str(lie))
    again = train_focal(
        windows, grey, FitConfig(tmp_path / "more", 1, progress=False), tmp_path / "w.safetensors", vit=ViTConfig(),
        init=path,
    )  # fmt: skip
    assert read_file(again)[1]["image_size"] == "32", "weights to start from bring their size"


def test_hdbscan_tells_a_poor_hole_from_known_pixels_that_are_of_no_kind():
    """No cluster is authentic: what is known is so all the same."""
    generator = torch.Generator().manual_seed(0)
    kinds = torch.eye(16)[:2].repeat_interleave(60, 0) + 0.02 * torch.randn(120, 16, generator=generator)
    features = F.normalize(torch.cat([kinds, torch.randn(40, 16, generator=generator)]), dim=1)[None]
    hole = (torch.arange(160) < 120).float()[None]
    assert (hdbscan_scores(features, hole) > 0)[hole > 0].all()
