"""Fusion at the boundary of the hole: around any inpainter, inside the hole alone, causal, and none of it at w = 1."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch

import videoinpaint  # noqa: F401 - registers the environments
from videoinpaint.controls import Controls
from videoinpaint.detectors import make_detector
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.errors import InputError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.inpainters.boundary_fusion import BoundaryFusion, blended, depth_inside, fused
from videoinpaint.metrics.boundary import edge_similarity, gms
from videoinpaint.protocols import weights_of_cells
from videoinpaint.testing import check_inpainter

ALL = {"max_iterations": 1, "detector": "none", "num_frames": 4, "height": 48, "width": 88, "precision": "float32"}


def moving(length=4, height=48, width=88):
    generator = torch.Generator().manual_seed(0)
    scene = torch.rand(1, 3, 12, 30, generator=generator)
    scene = torch.nn.functional.interpolate(scene, size=(height, 2 * width), mode="bicubic").clamp(0, 1)
    frames = torch.stack([scene[..., 6 * t : 6 * t + width] for t in range(length)], 1)
    holes = torch.zeros(1, length, 1, height, width)
    holes[..., 12:36, 30:60] = 1
    return frames, holes


def repaired(inpainter, fusion, frames, holes):
    loop = ClosedLoop(inpainter, make_detector("none"))
    state = loop.begin(frames, holes)
    return loop.refine(state, Controls(fusion=fusion).to_array()[None])[0]["repaired"]


def test_cells_cost_around_a_part_what_they_cost_in_it():
    _, holes = moving(height=120, width=216)
    inner = make_inpainter("compact", weights="random")
    expected = weights_of_cells(inner, holes, (4, 6))
    assert torch.equal(weights_of_cells(BoundaryFusion(inner), holes, (4, 6)), expected)
    assert torch.equal(weights_of_cells(make_inpainter("ciri", weights="random"), holes, (4, 6)), expected)
    # A part without heads that follow a map says nothing: what is missing counts.
    missing = weights_of_cells(make_inpainter("telea"), holes, (4, 6))
    assert missing.shape == (1, 4, 6)
    assert (missing[0] > 0).nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert (expected > 0).sum() > 4


@pytest.mark.parametrize("name", ["telea", "compact"])
def test_the_rules_of_inpainters_hold_around_any(name):
    part = BoundaryFusion(make_inpainter(name, precision="float32") if name == "compact" else make_inpainter(name))
    check_inpainter(part, num_frames=3)
    assert "fusion" in part.controls


def test_depth_grows_from_the_edge_to_the_end_of_the_band():
    _, holes = moving()
    depth = depth_inside(holes, band=4 / 88)[0, 0, 0]
    assert depth[24, 30:40].tolist() == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1]
    assert depth[holes[0, 0, 0] == 0].max() == 0
    border = torch.zeros(1, 1, 1, 48, 88)
    border[..., :20] = 1  # the frame's border is no edge
    assert depth_inside(border, band=4 / 88)[0, 0, 0, 24, 0] == 1


def test_the_edge_is_the_mean_that_the_control_asks_for_and_the_middle_is_the_repair():
    frames, holes = moving()
    bare = repaired(make_inpainter("telea"), 0.5, frames, holes)
    original = make_inpainter("propagation")
    carried = repaired(original, 0.5, frames, holes)
    half = repaired(fused(make_inpainter("telea"), "boundary"), 0.5, frames, holes)
    edge = depth_inside(holes).eq(0) & holes.gt(0)
    inner = depth_inside(holes).eq(1) & holes.gt(0)
    assert torch.allclose(half[edge.expand_as(half)], (bare + carried)[edge.expand_as(half)] / 2, atol=1e-5)
    assert torch.equal(half[inner.expand_as(half)], bare[inner.expand_as(half)])
    assert torch.equal(half * (1 - holes), frames * (1 - holes)), "known pixels never change"


def test_both_meanings_are_causal_and_the_metrics_of_the_boundary_see_it():
    frames, holes = moving()
    for inpainter in (fused(make_inpainter("telea"), "boundary"), make_inpainter("compact", precision="float32")):
        low, high = (repaired(inpainter, weight, frames, holes) for weight in (0.5, 0.8))
        assert (low - high).abs().max() > 0.01
        assert all(float((metric(low, frames, holes) - metric(high, frames, holes)).abs().max()) > 1e-4
                   for metric in (gms, edge_similarity))  # fmt: skip
    bare = repaired(make_inpainter("telea"), 0.5, frames, holes)
    none = [repaired(fused(make_inpainter("telea"), "none"), weight, frames, holes) for weight in (0.5, 0.8)]
    assert torch.equal(none[0], bare)
    assert torch.equal(none[0], none[1])
    mixed = repaired(fused(make_inpainter("telea"), "boundary"), 0.5, frames, holes)
    assert float(gms(mixed, frames, holes).mean()) > float(gms(bare, frames, holes).mean())


def test_the_networks_own_fusion_stands_still():
    frames, holes = moving()
    part = make_inpainter("compact", precision="float32")
    none = [repaired(fused(part, "none"), weight, frames, holes) for weight in (0.5, 0.8)]
    assert torch.equal(none[0], none[1])
    assert torch.equal(none[0], repaired(part, 0.65, frames, holes))


def test_environments_take_it_by_an_argument_that_travels_with_states():
    made = {
        kind: gymnasium.make("VideoInpaint-v1", inpainter="telea", fusion=kind, **ALL)
        for kind in ("network", "boundary")
    }
    assert made["network"].unwrapped.honoured_controls == set()
    assert made["boundary"].unwrapped.honoured_controls == {"fusion"}
    made["boundary"].reset(seed=3)
    low, high = (made["boundary"].unwrapped.get_state() for _ in range(2))
    results = []
    for state, weight in ((low, -1.0), (high, 1.0)):
        made["boundary"].unwrapped.set_state(state)
        results.append(made["boundary"].step(np.array([0, weight, 0, 0, 0], np.float32)))
    assert results[0][4]["quality"] != results[1][4]["quality"]
    assert results[0][4]["heads_run"] == 0
    made["network"].reset(seed=3)
    with pytest.raises(InputError, match="inpainter"):
        made["network"].unwrapped.set_state(low)


@pytest.mark.parametrize(
    ("kwargs", "message"), [({"fusion": "edge"}, "edge"), ({"fusion": "boundary", "inpainter": "ciri"}, "ciri")]
)
def test_what_cannot_be_is_refused(kwargs, message):
    with pytest.raises(InputError, match=message):
        gymnasium.make("VideoInpaint-v1", **kwargs, **ALL)
    with pytest.raises((InputError, TypeError)):
        gymnasium.make("VideoInpaintOneShot-v1", fusion="boundary")


@pytest.mark.parametrize(("weight", "shares"), [(0.8, [0.8, 0.9, 1.0]), (0.5, [0.5, 0.75, 1.0]), (1.0, [1.0] * 3)])
def test_the_proposal_weighs_as_told_at_the_edge_and_is_alone_behind_the_band(weight, shares):
    depth = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 1, 3)
    painted = torch.ones(1, 1, 3, 1, 3)
    found = blended(painted, torch.zeros_like(painted), depth, torch.full((1, 1, 1, 1, 1), weight))
    torch.testing.assert_close(found, torch.tensor(shares).expand_as(found))
