"""Flow with re-detection: it follows, it notices that a target has left, and it beats its parts."""

from __future__ import annotations

import pytest
import torch

from videoinpaint.errors import MissingWeightsError
from videoinpaint.inpainters.propagators.flow import AppearancePropagator, FlowPropagator, FlowSettings
from videoinpaint.inpainters.propagators.matching import Matcher, Matches, Matching
from videoinpaint.metrics import j_and_f


def _masks(settings, frames, first):
    with torch.no_grad():
        return FlowPropagator(settings=settings).start(frames, first).masks()


@pytest.mark.parametrize("backbone", ["alex", "colour"])
def test_it_follows_a_moving_target(scene, backbone):
    frames, masks = scene(length=6)
    found = _masks(FlowSettings(backbone=backbone), frames, masks[0])
    assert j_and_f(found[None, 1:], masks[None, 1:]).mean() > 0.9
    assert j_and_f(masks[None, :1].expand(1, 5, 1, 48, 72), masks[None, 1:]).mean() < 0.5


@pytest.mark.parametrize("backbone", ["alex", "colour"])
def test_a_target_that_leaves_leaves_nothing_behind(scene, backbone):
    frames, masks = scene(length=9, left=40, speed=6)
    assert not masks[6].any()
    found = _masks(FlowSettings(backbone=backbone), frames, masks[0]) > 0.5
    assert found[3].any()
    assert not found[7:].any()


def test_a_target_that_comes_back_is_found_again(scene):
    frames, masks = scene(length=5, left=40, speed=8)
    frames, masks = torch.cat([frames, frames.flip(0)]), torch.cat([masks, masks.flip(0)])
    assert not masks[4].any()
    found = _masks(FlowSettings(), frames, masks[0])
    assert j_and_f(found[None, -1:], masks[None, -1:]).mean() > 0.7


def test_a_still_clip_keeps_its_mask(scene):
    frames, masks = scene(length=4, speed=0)
    found = _masks(FlowSettings(), frames, masks[0])
    assert j_and_f(found[None, 1:], masks[None, 1:]).min() > 0.9


def test_a_target_of_one_pixel_and_frames_too_small_for_flow(scene):
    frames, masks = scene(length=3)
    speck = torch.zeros_like(masks[0])
    speck[0, 20, 20] = 1
    assert torch.isfinite(_masks(FlowSettings(), frames, speck)).all()
    assert _masks(FlowSettings(), frames[..., 12:24, 8:22], masks[0, :, 12:24, 8:22]).shape == (3, 1, 12, 14)


def test_a_target_far_smaller_than_a_cell_is_lost_without_an_error():
    """It covers less of its cell than a label that counts."""
    frames = torch.rand(1, 3, 432, 768, generator=torch.Generator().manual_seed(0)).repeat(3, 1, 1, 1)
    speck = torch.zeros(1, 432, 768)
    speck[:, 200:202, 300:302] = 1
    for kind in (FlowPropagator, AppearancePropagator):
        with torch.no_grad():
            found = kind().start(frames, speck).masks()
        assert found.isfinite().all()
        assert torch.equal(found[0], speck)


def test_a_finer_grid_follows_what_is_thin():
    generator = torch.Generator().manual_seed(1)
    scenery = torch.nn.functional.interpolate(torch.rand(1, 3, 15, 27, generator=generator), (120, 216), mode="bicubic")
    frames, masks = scenery.clamp(0, 0.7).expand(5, -1, -1, -1).clone(), torch.zeros(5, 1, 120, 216)
    for t in range(5):
        masks[t, 0, 30:90, 61 + 4 * t : 64 + 4 * t] = 1
    frames = torch.where(masks > 0, torch.tensor([0.9, 0.1, 0.1]).view(1, 3, 1, 1), frames)
    with torch.no_grad():
        coarse, fine = (
            float(j_and_f(kind().start(frames, masks[0]).masks()[None, 1:], masks[None, 1:]).mean())
            for kind in (FlowPropagator, AppearancePropagator)
        )
    assert fine > coarse + 0.02
    assert fine > 0.9


def test_tiles_find_what_is_found_all_at_once(scene):
    frames, masks = scene(length=4)
    at_once, tiled = (
        _masks(FlowSettings(matching=Matching(reach=0.1, tile=tile)), frames, masks[0]) for tile in (0, 4)
    )
    assert torch.allclose(at_once, tiled, atol=1e-3)


def test_missing_backbone_weights_name_the_way_to_get_them(scene, monkeypatch, tmp_path):
    frames, masks = scene(length=2)
    monkeypatch.setenv("VIDEOINPAINT_CACHE", str(tmp_path))
    monkeypatch.setattr("videoinpaint.weights.lookup._in_package", lambda *_: None)
    monkeypatch.setattr("videoinpaint.inpainters.propagators.matching.get_backbone", _fresh_backbone)
    with pytest.raises(MissingWeightsError, match=r"'alexnet' are not on this machine: .*reinstall"):
        _masks(FlowSettings(), frames, masks[0])


def _fresh_backbone(net, device):
    from videoinpaint.metrics.backbone import Backbone

    return Backbone(net).to(device)


def test_votes_come_from_the_places_that_were_asked():
    labels = torch.tensor([[0.0, 1, 0], [1, 0, 0.5]])
    matches = Matches(torch.tensor([2]), torch.tensor([[1, 5]]), torch.tensor([[0.75, 0.25]]))
    assert torch.allclose(matches.vote(labels), torch.tensor([0, 0, 0.75 + 0.125]))


def test_matches_lie_within_reach(scene):
    frames, masks = scene(length=2)
    matcher = Matcher(frames, Matching(reach=0.1), "colour")
    label = torch.nn.functional.interpolate(masks[:1], matcher.grid, mode="area").flatten()
    matcher.remember(0, label)
    matches = matcher.match(1, label, [0])
    width = matcher.grid[1]
    rows, columns = matches.answering // width, matches.answering % width
    far = ((rows - matches.asking[:, None] // width) ** 2 + (columns - matches.asking[:, None] % width) ** 2).sqrt()
    assert far[matches.weights > 1e-6].max() <= matcher.radius
    assert torch.allclose(matches.weights.sum(1), torch.ones(len(matches.asking)))
