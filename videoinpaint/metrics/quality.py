"""PSNR and SSIM per frame, equal to scikit-image's, over the whole frame and inside the hole; differentiable."""

from __future__ import annotations

import torch
from torch import Tensor

from videoinpaint.errors import InputError
from videoinpaint.metrics.checks import check_holes, check_pair

PSNR_CAP = 100.0
"""PSNR of identical frames, in dB, and the most any frame gets: a mean squared error of 1e-10."""


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, ``(B, T)``, in [0, 100]; higher is better.

    Equals ``skimage.metrics.peak_signal_noise_ratio(data_range=1)`` per frame; identical frames get 100 dB.

    Args:
        a: ``(B, T, 3, H, W)`` in [0, 1].
        b: as ``a``.

    Raises:
        InputError: wrong shapes, values outside [0, 1], NaN.
    """
    check_pair(a, b)
    return decibel(frame_mse(a, b))


def frame_mse(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared error per frame ``(B, T)``, float64."""
    # Squares are summed in double precision: a single one loses the small errors of a good repair.
    return (a - b).square().flatten(2).double().mean(2)


def decibel(mse: Tensor) -> Tensor:
    """PSNR in dB as float32 from a mean squared error of values in [0, 1]; capped at 100 dB."""
    return (-10 * torch.log10(mse.clamp_min(10 ** (-PSNR_CAP / 10)))).float()


def psnr_hole(a: Tensor, b: Tensor, holes: Tensor) -> Tensor:
    """PSNR over the pixels inside the hole, ``(B, T)`` in dB, capped at 100; NaN for a frame without a hole.

    Args:
        a: ``(B, T, 3, H, W)`` in [0, 1].
        b: as ``a``.
        holes: ``(B, T, 1, H, W)``, 1 = missing.
    """
    check_pair(a, b)
    check_holes(a, holes)
    return decibel(hole_mse(a, b, holes))


def hole_mse(a: Tensor, b: Tensor, holes: Tensor) -> Tensor:
    """Mean squared error inside the hole per frame ``(B, T)``, float64; NaN for a frame without a hole."""
    inside = (holes > 0).to(a.dtype)
    total = ((a - b).square() * inside).flatten(2).double().sum(2)
    return total / (3 * inside.flatten(2).double().sum(2))


def ssim(a: Tensor, b: Tensor, win_size: int = 7) -> Tensor:
    """Structural similarity, ``(B, T)``, in [-1, 1]; higher is better.

    Equals ``skimage.metrics.structural_similarity(channel_axis=..., data_range=1)`` with its defaults (a uniform window
    of 7, sample covariance, borders of 3 pixels left out).

    Args:
        a: ``(B, T, 3, H, W)`` in [0, 1].
        b: as ``a``.
        win_size: odd side of the window in pixels.

    Raises:
        InputError: wrong shapes, values outside [0, 1], NaN, or frames smaller than the window.
    """
    check_pair(a, b)
    return ssim_map(a, b, win_size).flatten(2).mean(2).float()


def ssim65(a: Tensor, b: Tensor) -> Tensor:
    """SSIM with a window of 65 pixels, as the video-inpainting literature reports it; frames of 65x65 or more."""
    return ssim(a, b, 65)


def ssim_hole(a: Tensor, b: Tensor, holes: Tensor, win_size: int = 7) -> Tensor:
    """SSIM averaged over the windows centred in the hole, ``(B, T)``; NaN for a frame where there is none.

    Windows that leave the frame do not count, as in :func:`ssim`.
    """
    check_pair(a, b)
    check_holes(a, holes)
    margin = (win_size - 1) // 2
    similar = ssim_map(a, b, win_size)
    height, width = similar.shape[-2:]
    inside = (holes[..., margin : margin + height, margin : margin + width] > 0).double()
    return ((similar * inside).flatten(2).sum(2) / (3 * inside.flatten(2).sum(2))).float()


def ssim_map(a: Tensor, b: Tensor, win_size: int = 7, dtype: torch.dtype = torch.float64) -> Tensor:
    """SSIM of every window that lies within the frame: ``(..., H - win_size + 1, W - win_size + 1)``.

    Where the two frames agree within a window, its value is exactly 1.

    Means and variances are taken of the sum and the difference of the frames, from which those of either frame follow.
    So what a small error costs does not vanish in the rounding of large numbers: in float32 the mean of ``1 - SSIM`` is
    right to four digits at worst, in float64 to all that scikit-image gives.
    """
    if win_size < 3 or win_size % 2 == 0 or min(a.shape[-2:]) < win_size:
        raise InputError(f"SSIM needs an odd window >= 3 inside the frame, got {win_size} for {tuple(a.shape[-2:])}")
    x, y = a.to(dtype), b.to(dtype)
    both, apart = x + y - 1, x - y  # around 0, where numbers are finest
    level, gap = box_mean(both, win_size), box_mean(apart, win_size)
    square, spread = box_mean(both.square(), win_size), box_mean(apart.square(), win_size)
    samples = win_size**2
    # Half the variances, and squared means, of sum and difference: 2 vxy = v - w, vx + vy = v + w, likewise the means.
    half = samples / (samples - 1) / 2
    v, w = (square - level.square()) * half, (spread - gap.square()) * half
    m, n = (level + 1).square() / 2, gap.square() / 2
    c1, c2 = 0.01**2, 0.03**2
    return ((m - n + c1) * (v - w + c2)) / ((m + n + c1) * (v + w + c2))


def box_mean(x: Tensor, size: int) -> Tensor:
    """Mean over every ``size x size`` window inside the frame.

    Args:
        x: floating-point ``(..., H, W)``.
        size: the window's side.
    """
    for dim in (-1, -2):
        x = _window_sums(x, dim, size)
    return x / size**2


def _window_sums(x: Tensor, dim: int, size: int) -> Tensor:
    """Sums of `size` neighbours, from sums of 1, 2, 4, ... of them: its cost grows with the window's logarithm only."""
    count = x.shape[dim] - size + 1
    total, done, power = None, 0, 1
    while True:
        if size & power:
            part = x.narrow(dim, done, count)
            total = part if total is None else total + part
            done += power
        if done == size:
            assert total is not None
            return total
        x = x.narrow(dim, 0, x.shape[dim] - power) + x.narrow(dim, power, x.shape[dim] - power)
        power *= 2
