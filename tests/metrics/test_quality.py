"""PSNR and SSIM against scikit-image, for any shape and content; their hole variants; bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from videoinpaint.errors import InputError
from videoinpaint.metrics import edge_similarity, gms, lpips, psnr, psnr_hole, ssim, ssim65, ssim_hole, warp_error


def clip_pair(seed: int, shape: tuple[int, ...], kind: str = "noise") -> tuple[torch.Tensor, torch.Tensor]:
    """Two clips of float32 in [0, 1] that differ."""
    rng = np.random.default_rng(seed)
    a = {"noise": rng.random(shape), "flat": np.full(shape, rng.random()), "steps": rng.random(shape) > 0.5}[kind]
    b = np.clip(a + rng.normal(0, rng.choice([1e-3, 0.05, 0.5]), shape), 0, 1)
    return torch.tensor(a, dtype=torch.float32), torch.tensor(b, dtype=torch.float32)


pairs = st.builds(
    lambda seed, b, t, h, w, kind: clip_pair(seed, (b, t, 3, h, w), kind),
    st.integers(0, 10**6), st.integers(1, 2), st.integers(1, 3), st.integers(7, 24), st.integers(7, 24),
    st.sampled_from(["noise", "flat", "steps"]),
)  # fmt: skip


def per_frame(function, a, b, **kwargs) -> np.ndarray:
    a, b = a.double().numpy(), b.double().numpy()
    return np.array([[function(x, y, **kwargs) for x, y in zip(xs, ys)] for xs, ys in zip(a, b)])


@settings(max_examples=40, deadline=None)
@given(pairs)
def test_psnr_equals_scikit_image(pair):
    np.testing.assert_allclose(psnr(*pair), per_frame(peak_signal_noise_ratio, *pair, data_range=1), atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(pairs)
def test_ssim_equals_scikit_image(pair):
    expected = per_frame(structural_similarity, *pair, data_range=1, channel_axis=0)
    np.testing.assert_allclose(ssim(*pair), expected, atol=1e-5)


def test_ssim65_equals_scikit_image_with_that_window():
    a, b = clip_pair(3, (1, 2, 3, 66, 70))
    expected = per_frame(structural_similarity, a, b, data_range=1, channel_axis=0, win_size=65)
    np.testing.assert_allclose(ssim65(a, b), expected, atol=1e-5)


def test_identical_frames_reach_the_ends_of_the_ranges():
    a, _ = clip_pair(0, (2, 2, 3, 16, 16))
    assert psnr(a, a).eq(100).all()
    assert ssim(a, a).eq(1).all()


def test_gradients_flow_through_psnr_and_ssim():
    a, b = clip_pair(1, (1, 1, 3, 12, 12))
    for metric in (psnr, ssim):
        leaf = b.clone().requires_grad_()
        metric(a, leaf).sum().backward()
        assert leaf.grad.isfinite().all()
        assert leaf.grad.abs().sum() > 0


def half_hole(clip: torch.Tensor) -> torch.Tensor:
    holes = torch.zeros_like(clip[:, :, :1])
    holes[..., : clip.shape[-1] // 2] = 1
    return holes


def test_hole_metrics_see_only_the_hole():
    a, b = clip_pair(5, (1, 2, 3, 24, 40))
    holes = half_hole(a)
    elsewhere = torch.where(holes > 0, b, torch.rand_like(b))
    assert torch.equal(psnr_hole(a, b, holes), psnr_hole(a, elsewhere, holes))
    inside = per_frame(peak_signal_noise_ratio, a[..., :20], b[..., :20], data_range=1)
    np.testing.assert_allclose(psnr_hole(a, b, holes), inside, atol=1e-5)
    shifted = torch.where(holes.roll(4, -1) + holes > 0, b, a)  # the same within reach of every window in the hole
    np.testing.assert_allclose(ssim_hole(a, b, holes), ssim_hole(a, shifted, holes), atol=1e-6)
    assert ssim_hole(a, b, torch.ones_like(holes)) == pytest.approx(ssim(a, b))


def test_a_frame_without_a_hole_has_no_hole_metric():
    a, b = clip_pair(6, (1, 1, 3, 24, 24))
    none = torch.zeros(1, 1, 1, 24, 24)
    for metric in (psnr_hole, ssim_hole, gms, edge_similarity):
        assert metric(a, b, none).isnan().all()


@pytest.mark.parametrize("metric", [psnr, ssim, lpips, warp_error])
@pytest.mark.parametrize("broken", ["range", "negative", "nan", "integer", "shape", "channels", "rank"])
def test_bad_input_is_one_clear_error(metric, broken):
    a, b = clip_pair(0, (1, 2, 3, 40, 40))
    b = {
        "range": b * 255,
        "negative": b * 2 - 1,
        "nan": torch.where(b > 0.5, torch.nan, b),
        "integer": (b * 255).byte(),
        "shape": b[..., :-1],
        "channels": b[:, :, :1],
        "rank": b[0],
    }[broken]
    with pytest.raises(InputError):
        metric(a, b)


def test_holes_of_another_shape_are_refused():
    a, b = clip_pair(0, (1, 2, 3, 16, 16))
    with pytest.raises(InputError, match="holes"):
        psnr_hole(a, b, torch.ones(1, 2, 3, 16, 16))
    with pytest.raises(InputError, match="window"):
        ssim65(a, b)


def test_ssim_in_the_hole_is_that_of_the_windows_around_its_pixels():
    rng = np.random.default_rng(4)
    a, b = rng.random((2, 24, 30, 3))
    b[:, 15:] = a[:, 15:] + 0.05 * (b[:, 15:] - a[:, 15:])  # far more alike on the right
    holes = np.zeros((24, 30), bool)
    holes[9:21, 12:19] = True
    _, similar = structural_similarity(a, b, channel_axis=2, data_range=1, full=True)
    frames = (torch.from_numpy(one).permute(2, 0, 1)[None, None] for one in (a, b))
    found = ssim_hole(*frames, torch.from_numpy(holes).float()[None, None, None])
    assert found.item() == pytest.approx(similar[holes].mean(), abs=1e-6)
