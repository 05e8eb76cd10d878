"""FOCAL behind the protocol: clustering guided by M0, weights, and the loop."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch.nn import functional as F

from videoinpaint.detectors import make_detector
from videoinpaint.detectors.focal import FocalDetector
from videoinpaint.detectors.focal import detector as room
from videoinpaint.detectors.focal.clustering import scores, smaller_cluster, two_centres
from videoinpaint.detectors.focal.hrnet import HRNetExtractor
from videoinpaint.detectors.focal.vit import ViTConfig, ViTExtractor
from videoinpaint.errors import InputError, MissingWeightsError
from videoinpaint.testing import check_detector


@pytest.fixture(scope="module")
def part() -> FocalDetector:
    return FocalDetector(weights="random", extractors=("hrnet",), size=0)


def clip(height=48, width=64, frames=3):
    generator = torch.Generator().manual_seed(0)
    holes = torch.zeros(1, frames, 1, height, width)
    holes[..., 10:30, 12:40] = 1
    return torch.rand(1, frames, 3, height, width, generator=generator), holes


def planted(poor=40, fine=60, known=300, seed=0):
    """Pixels of two kinds, ``(1, P, 16)`` of unit length; holes; which are poor."""
    generator = torch.Generator().manual_seed(seed)
    kinds = F.normalize(torch.randn(2, 16, generator=generator), dim=1)
    is_poor = torch.cat([torch.ones(poor), torch.zeros(fine + known)])
    noise = 0.08 * torch.randn(poor + fine + known, 16, generator=generator)
    features = F.normalize(kinds[is_poor.long()] + noise, dim=1)
    holes = torch.cat([torch.ones(poor + fine), torch.zeros(known)])
    return features[None], holes[None], is_poor[None].bool()


@pytest.mark.parametrize("poor", [5, 40, 95])
def test_clustering_finds_the_poor_part_of_a_hole(poor):
    features, holes, truth = planted(poor=poor, fine=100 - poor)
    found = (scores(features, two_centres(features, holes)) > 0) & (holes > 0)
    assert torch.equal(found, truth)


def test_known_pixels_stay_authentic_even_if_they_look_poor():
    features, holes, _ = planted(known=300)
    features[:, 200:] = features[:, :1]  # most of what is known looks like the poor pixels of the hole
    centres = two_centres(features, holes)
    known = F.normalize((features * (1 - holes)[..., None]).sum(1), dim=1)
    assert float((centres[:, 0] * known).sum()) > float((centres[:, 1] * known).sum())
    assert torch.allclose(centres.norm(dim=-1), torch.ones(1, 2), atol=1e-5)


def test_images_are_clustered_each_by_itself():
    one, two = planted(seed=1), planted(seed=2)
    features, holes = torch.cat([one[0], two[0]]), torch.cat([one[1], two[1]])
    together = two_centres(features, holes)
    alone = torch.cat([two_centres(f, h) for f, h, _ in (one, two)])
    assert torch.allclose(together, alone, atol=1e-6)


def test_without_guidance_it_is_k_means_and_the_smaller_cluster():
    features, _, truth = planted(poor=90, fine=0, known=210)
    labels = KMeans(2, n_init=10, random_state=0).fit_predict(features[0].numpy())
    forged = labels == np.bincount(labels).argmin()
    found = smaller_cluster(features)
    assert np.array_equal(found[0].numpy(), forged)
    assert torch.equal(found, truth)


def test_an_image_that_is_all_hole_or_all_known_stays_finite():
    features = planted()[0]
    for holes in (torch.zeros(1, 400), torch.ones(1, 400)):
        assert scores(features, two_centres(features, holes)).isfinite().all()


def test_it_keeps_the_rules_of_detectors(part):
    check_detector(part)
    assert part.name == "focal_hrnet"
    assert part.random_weights


def test_odd_sizes_and_frames_without_a_hole(part):
    frames, holes = clip(37, 51)
    holes[:, 1] = 0
    found = part.detect(frames, holes)
    assert found.masks.shape == holes.shape
    assert found.masks[:, 1].max() == 0
    assert found.masks[:, 0][holes[:, 0] > 0].min() > 0
    assert torch.equal(found.weights, found.masks.expand_as(frames))
    other = frames.clone()
    other[:, 1] = 0.5  # frames are judged one by one: nothing else may change
    assert torch.equal(part.detect(other, holes).masks, found.masks)


def test_frames_are_resized_to_the_published_size(part):
    published = FocalDetector(weights="random", extractors=("hrnet",))
    assert published.size == 1024
    small = FocalDetector(weights="random", extractors=("hrnet",), size=64)
    assert small.features(clip()[0][0]).shape == (3, 32, 16, 16)
    assert part.features(clip(60, 90)[0][0]).shape == (3, 32, 16, 24)


def test_features_of_two_extractors_are_joined_on_the_first_grid(monkeypatch):
    tiny = ViTConfig(224, width=32, depth=2, heads=2, global_blocks=(1,), channels=24, complete=False)
    monkeypatch.setitem(room.EXTRACTORS, "vit", lambda metadata: ViTExtractor(tiny))
    both = FocalDetector(weights="random", size=64)
    frames, holes = clip()
    features = both.features(frames[0])
    assert both.name == "focal"
    assert features.shape == (3, 32 + 24, 16, 16)
    assert torch.allclose(features[:, :32].norm(dim=1), torch.ones(3, 16, 16), atol=1e-4)
    assert torch.allclose(features[:, 32:].norm(dim=1), torch.ones(3, 16, 16), atol=1e-4)
    coarse = both.networks[1](F.interpolate(frames[0], size=(224, 224), mode="bilinear"))
    nearest = F.normalize(F.interpolate(coarse, size=(16, 16)), dim=1)
    assert torch.allclose(features[:, 32:], nearest, atol=1e-5)
    assert both.detect(frames, holes).masks.shape == holes.shape


def test_missing_weights_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("videoinpaint.weights.lookup.find", lambda entry: None)
    with pytest.raises(MissingWeightsError, match=r"FOCAL_HRNet_weights\.pth.*pretrain detector --arch focal-hrnet"):
        make_detector("focal_hrnet")
    with pytest.raises(MissingWeightsError, match=r"FOCAL_ViT_weights\.pth"):
        FocalDetector(extractors=("vit",))
    with pytest.raises(MissingWeightsError, match=r"nowhere\.pth"):
        make_detector("focal_hrnet", weights=str(tmp_path / "nowhere.pth"))


def test_arguments_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(InputError, match="hrnet, vit"):
        FocalDetector(weights="random", extractors=("resnet",))
    with pytest.raises(InputError, match="each once"):
        FocalDetector(weights="random", extractors=("hrnet", "hrnet"))
    one = tmp_path / "one.pth"
    one.touch()
    with pytest.raises(InputError, match="need two"):
        FocalDetector(weights=one)


def test_a_file_in_the_official_form_loads(tmp_path):
    torch.manual_seed(7)
    network = HRNetExtractor()
    file = tmp_path / "FOCAL_HRNet_weights.pth"
    torch.save({f"module.{key}": value for key, value in network.state_dict().items()}, file)
    for weights in (str(file), str(tmp_path)):
        part = make_detector("focal_hrnet", weights=weights)
        assert not part.random_weights
        assert part.size == 1024
        loaded = part.networks[0].state_dict()
        assert all(torch.equal(value, loaded[key]) for key, value in network.state_dict().items())


def test_it_works_in_the_loop(part):
    env = gym.make(
        "VideoInpaint-v0", inpainter="telea", detector=part, num_frames=3, height=48, width=64, disable_env_checker=True
    )
    env.reset(seed=0)
    observation, reward, *_ = env.step(env.action_space.sample())
    assert np.isfinite(reward)
    assert observation["masks"].any()
    env.close()


def test_masks_of_any_layout_are_judged(part, monkeypatch):
    monkeypatch.setattr(part, "score", lambda frames, holes: torch.full_like(holes, 3.0))
    masks = torch.zeros(3, 2, 1, 32, 32)
    masks[..., 8:20, 8:20] = 1
    frames, turned = torch.rand(2, 3, 3, 32, 32), masks.transpose(0, 1)
    seen, plain = part.detect(frames, turned), part.detect(frames, turned.contiguous())
    assert plain.masks.any()
    assert torch.equal(seen.masks, plain.masks)


def test_where_all_pixels_are_the_same_none_is_poorer_than_another():
    features = F.normalize(torch.ones(1, 40, 8), dim=-1)
    holes = (torch.arange(40) < 10).float()[None]
    assert scores(features, two_centres(features, holes)).abs().max() < 1e-6
