"""E_warp, GMS and ES behave as their definitions say, on clips whose motion and edges are known."""

from __future__ import annotations

import pytest
import torch

from videoinpaint.errors import InputError
from videoinpaint.metrics import edge_similarity, gms, warp_error
from videoinpaint.metrics.boundary import boundary_band
from videoinpaint.metrics.temporal import reference_motion


def moving_clip(shift: int = 2, length: int = 3) -> torch.Tensor:
    """A smooth texture that moves right by `shift` pixels a frame, (1, length, 3, 64, 80)."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 12, 16, generator=generator)
    wide = torch.nn.functional.interpolate(coarse, (64, 96), mode="bicubic", align_corners=False).clamp(0, 1)
    return torch.stack([wide[..., 12 - shift * t : 92 - shift * t] for t in range(length)], 1)


def centre_hole(clip: torch.Tensor) -> torch.Tensor:
    holes = torch.zeros_like(clip[:, :, :1])
    holes[..., 20:44, 24:56] = 1
    return holes


def test_motion_of_the_reference_is_found():
    flow, visible = reference_motion(moving_clip(2))
    assert flow.shape == (1, 2, 2, 64, 80)
    assert flow[..., 0, 8:-8, 8:-8].median().item() == pytest.approx(2, abs=0.2)
    assert visible[..., 8:-8, 8:-8].mean() > 0.9
    assert visible[..., -1].mean() < 0.1  # the last column leaves the frame


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_warping_errors_of_frames_of_any_precision(dtype):
    clip = moving_clip().to(dtype)
    repaired, holes = (clip * 0.9 + 0.05).to(dtype), centre_hole(clip)
    expected = warp_error(repaired.float(), clip.float(), holes.float())
    assert torch.equal(warp_error(repaired, clip, holes), expected)


def test_warping_error_follows_the_motion_and_punishes_flicker():
    clip = moving_clip()
    flicker = (clip + torch.tensor([0.0, 0.1, 0.0]).view(1, 3, 1, 1, 1)).clamp(0, 1)
    frozen = clip[:, :1].expand_as(clip)
    smooth = warp_error(clip, clip)
    assert smooth.shape == (1, 2)
    assert (smooth < 1e-4).all()
    assert (warp_error(flicker, clip) > 10 * smooth).all()
    assert (warp_error(frozen, clip) > 10 * smooth).all()  # standing still is wrong where the world moves
    assert warp_error(flicker, clip)[0, 0].item() == pytest.approx(0.01, rel=0.15)  # 0.1 squared


def test_warping_error_inside_the_hole_ignores_the_rest():
    clip = moving_clip()
    holes = centre_hole(clip)
    damaged = torch.where(holes > 0, clip, torch.rand_like(clip))
    far = torch.zeros_like(holes)
    far[..., 28:36, 34:46] = 1  # within the hole by more than the motion
    torch.testing.assert_close(warp_error(damaged, clip, far), warp_error(clip, clip, far))
    assert warp_error(damaged, clip).mean() > 0.01
    with pytest.raises(InputError, match="two frames"):
        warp_error(clip[:, :1], clip[:, :1])


def test_the_band_lies_on_both_sides_of_the_boundary():
    holes = torch.zeros(1, 1, 1, 32, 32)
    holes[..., :, 16:] = 1
    band = boundary_band(holes, 3)
    assert band[..., 13:19].eq(1).all()
    assert band.sum() == 6 * 32


@pytest.mark.parametrize("metric", [gms, edge_similarity])
def test_seams_lower_gms_and_edge_similarity(metric):
    clip = 0.3 + 0.4 * moving_clip()
    holes = centre_hole(clip)
    perfect, faint, strong = (metric(torch.where(holes > 0, clip + step, clip), clip, holes) for step in (0, 0.1, 0.3))
    assert perfect == pytest.approx(torch.ones(1, 3))
    assert (strong < faint).all()
    assert (faint < 0.99).all()
    assert (strong < 0.9).all()
    assert (strong >= 0).all()


@pytest.mark.parametrize("metric", [gms, edge_similarity])
def test_boundary_metrics_ignore_the_middle_of_the_hole(metric):
    clip = moving_clip()
    damaged = clip.clone()
    damaged[..., 26:38, 30:50] = 0.5
    torch.testing.assert_close(metric(damaged, clip, centre_hole(clip)), torch.ones(1, 3))


def test_boundary_scores_are_those_of_their_formulas():
    """Between edges of a known gradient: 0.1 counts as half an edge, and Xue's constant is 170 for luma in 0..255."""
    holes = torch.zeros(1, 1, 1, 24, 32)
    holes[..., 8:16, 10:22] = 1
    right = (torch.arange(32) >= 16).float().expand(1, 1, 3, 24, 32)
    weak, strong = 0.1**2 / (0.1**2 + 0.1**2), 0.3**2 / (0.3**2 + 0.1**2)
    found = edge_similarity(0.1 * right, 0.3 * right, holes)
    torch.testing.assert_close(found, torch.full((1, 1), 2 * weak / (weak + strong)))
    ramp = (0.025 * torch.arange(32)).expand(1, 1, 3, 24, 32)  # a gradient of 0.05: over two pixels
    constant = 170 / 255**2
    found = gms(ramp, torch.zeros_like(ramp), holes)
    torch.testing.assert_close(found, torch.full((1, 1), constant / (0.05**2 + constant)))


def test_pixels_count_where_the_earlier_frame_of_a_pair_has_its_hole():
    reference = moving_clip(shift=0, length=2)
    repaired, holes = reference.clone(), torch.zeros(1, 2, 1, 64, 80)
    repaired[:, 0, :, 20:30, 20:30] = 1 - repaired[:, 0, :, 20:30, 20:30]
    holes[:, 0, :, 20:30, 20:30] = 1
    holes[:, 1, :, 40:50, 50:60] = 1
    assert warp_error(repaired, reference, holes).item() > 1e-3
    assert warp_error(repaired, reference, holes.flip(1)).item() < 1e-6
