"""PSNR and SSIM per frame, equal to scikit-image's, over the whole frame and inside the hole; differentiable."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from videoinpaint.errors import InputError
from videoinpaint.metrics.checks import check_holes, check_pair

PSNR_CAP = 100.0
"""PSNR of identical frames, in dB, and the most any frame gets: a mean squared error of 1e-10."""


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, ``(B, T)``, in (0, 100]; higher is better.

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


def ssim_map(a: Tensor, b: Tensor, win_size: int = 7) -> Tensor:
    """SSIM of every window that lies within the frame: float64 ``(..., H - win_size + 1, W - win_size + 1)``.

    Where the two frames agree within a window, its value is exactly 1.
    """
    if win_size < 3 or win_size % 2 == 0 or min(a.shape[-2:]) < win_size:
        raise InputError(f"SSIM needs an odd window >= 3 inside the frame, got {win_size} for {tuple(a.shape[-2:])}")
    x, y = a.double(), b.double()
    samples = win_size**2
    ux, uy, uxx, uyy, uxy = (box_mean(z, win_size) for z in (x, y, x * x, y * y, x * y))
    unbiased = samples / (samples - 1)
    vx, vy, vxy = (unbiased * (m - p) for m, p in ((uxx, ux * ux), (uyy, uy * uy), (uxy, ux * uy)))
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * ux * uy + c1) * (2 * vxy + c2)) / ((ux * ux + uy * uy + c1) * (vx + vy + c2))


def box_mean(x: Tensor, size: int) -> Tensor:
    """Mean over every ``size x size`` window inside the frame, by running sums: its cost does not grow with the window.

    Args:
        x: float64 ``(..., H, W)`` (single precision would cancel).
        size: the window's side.
    """
    for dim, pad in ((-1, (1, 0)), (-2, (0, 0, 1, 0))):
        sums = F.pad(x.cumsum(dim), pad)
        count = sums.shape[dim] - size
        x = sums.narrow(dim, size, count) - sums.narrow(dim, 0, count)
    return x / size**2
