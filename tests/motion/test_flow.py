"""Flow, filling and warping, on motions whose truth is known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from videoinpaint.motion.flow import (
    complete_flows,
    consistency,
    dis_flow,
    nearest_fill,
    neighbour_flows,
    smooth_fill,
    warp,
)


def texture(height=64, width=96, seed=0):
    noise = torch.rand(1, 3, height // 8, width // 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, size=(height, width), mode="bicubic").clamp(0, 1)


def test_flow_finds_a_translation():
    a = texture()
    b = torch.roll(a, (2, 3), (2, 3))
    flow = dis_flow(a, b)[0, :, 12:-12, 12:-12]
    assert flow[0].median().item() == pytest.approx(3, abs=0.5)
    assert flow[1].median().item() == pytest.approx(2, abs=0.5)


def test_warp_undoes_a_translation():
    a = texture()
    b = torch.roll(a, (2, 3), (2, 3))
    flow = torch.zeros(1, 2, 64, 96)
    flow[:, 0], flow[:, 1] = 3, 2
    assert torch.allclose(warp(b, flow)[..., 4:-4, 4:-4], a[..., 4:-4, 4:-4], atol=1e-5)


def test_consistency_separates_agreement_from_contradiction():
    forward = torch.full((1, 2, 20, 20), 2.0)
    assert consistency(forward, -forward).max() < 1e-3
    assert consistency(forward, forward)[..., 5:15, 5:15].min() > 1


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**16), st.floats(0.05, 0.95))
def test_smooth_fill_keeps_known_pixels_and_stays_within_their_range(height, width, seed, share):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(2, 3, height, width, generator=generator)
    known = (torch.rand(2, 1, height, width, generator=generator) < share).float()
    known[..., 0, 0] = 1
    filled = smooth_fill(x, known)
    assert torch.equal(torch.where(known > 0, x, filled), filled)
    low = torch.where(known > 0, x, torch.inf).amin((2, 3), keepdim=True)
    high = torch.where(known > 0, x, -torch.inf).amax((2, 3), keepdim=True)
    assert (filled >= low - 1e-5).all()
    assert (filled <= high + 1e-5).all()


def test_smooth_fill_ignores_what_the_hole_holds():
    x = texture()
    known = torch.ones(1, 1, 64, 96)
    known[..., 20:40, 30:60] = 0
    other = torch.where(known > 0, x, torch.rand_like(x))
    assert torch.equal(smooth_fill(x, known), smooth_fill(other * known + x * (1 - known), known))


def test_nearest_fill_takes_what_is_nearest_and_nothing_where_nothing_is_known():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.random((3, 2, 24, 30), dtype=np.float32))
    known = torch.from_numpy(rng.random((3, 1, 24, 30)) < 0.1).float()
    known[2] = 0
    filled = nearest_fill(x, known)
    assert torch.equal(filled * known, x * known)
    assert not filled[2].any()
    for i in range(2):
        distance, nearest = distance_transform_edt(known[i, 0].numpy() == 0, return_indices=True)
        only = torch.from_numpy(nearest)
        taken = (filled[i] - x[i][:, only[0], only[1]]).abs().amax(0) > 0
        assert taken.float().mean() < 0.2  # where two are as near, either is right; else it is the nearest
        for y, column in zip(*np.nonzero(taken.numpy())):
            places = np.argwhere(known[i, 0].numpy() > 0)
            near = np.hypot(*(places - (y, column)).T) <= distance[y, column] + 1e-3
            assert any(torch.equal(filled[i, :, y, column], x[i, :, v, u]) for v, u in places[near])


def test_smooth_fill_of_a_ramp_is_nearly_that_ramp_without_steps():
    ramp, known = torch.linspace(0, 1, 40).expand(1, 1, 30, 40).clone(), torch.ones(1, 1, 30, 40)
    known[..., 8:22, 10:28] = 0
    filled = smooth_fill(ramp * known, known)
    assert (filled - ramp).abs().max() < 0.03  # 0.08 without relaxation
    assert filled[..., 8:22, 9:28].diff(n=2).abs().max() < 0.005  # 0.02 without it


def test_completed_flow_in_a_hole_follows_the_motion_around_it():
    frames = torch.stack([torch.roll(texture()[0], 2 * t, 2) for t in range(3)])[None]
    holes = torch.zeros(1, 3, 1, 64, 96)
    holes[..., 24:40, 40:60] = 1
    filled = smooth_fill(frames.flatten(0, 1), 1 - holes.flatten(0, 1)).view_as(frames)
    forward, backward = complete_flows(filled, holes)
    assert forward.shape == backward.shape == (1, 2, 2, 64, 96)
    assert forward[0, 0, 0, 24:40, 40:60].mean().item() == pytest.approx(2, abs=0.7)
    assert backward[0, 0, 0, 24:40, 40:60].mean().item() == pytest.approx(-2, abs=0.7)


def test_frames_too_small_for_flow_stand_still():
    forward, _ = neighbour_flows(torch.rand(1, 2, 3, 8, 8))
    assert torch.equal(forward, torch.zeros(1, 1, 2, 8, 8))


def test_consistency_is_the_residual_relative_to_the_motion():
    """Sundaram et al.: |f + b|^2 against 0.01 (|f|^2 + |b|^2) + 0.5."""
    forward, backward = torch.zeros(2, 1, 2, 8, 12)
    forward[:, 0], backward[:, 0] = 5, -3
    torch.testing.assert_close(consistency(forward, backward), torch.full((1, 1, 8, 12), 4 / (0.01 * 34 + 0.5)))
