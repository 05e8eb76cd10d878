"""Where a reward arose: the improvement cell by cell of an action grid, a map whose sum is the reward.

What is a mean over pixels or features (SSIM, LPIPS, the perceptual distance) is summed cell by cell. A gain in PSNR,
which is a logarithm of a mean, is shared out by what every cell did to the squared error: the logarithm's mean slope
between both errors times the cell's difference, which adds up exactly. What fewer heads save goes to the cells that
asked for fewer, by how much the setting of each cell costs. All else - the temporal term, the price of a pass with all
heads, and roundings - is spread over what was missing.

Pixels change where something was missing alone. Features see far around them: what they say of a cell where nothing was
missing was done by the cells around it, and goes to these.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.controls import HEADS, HIGH, refining
from videoinpaint.envs.rewards.reward import SSIM_WINDOW, Reward, features_of
from videoinpaint.metrics.quality import ssim_map
from videoinpaint.protocols import State
from videoinpaint.regions import summed

Terms = Mapping[str, NDArray[np.float64]]


def improvement_by_cell(
    reward: Reward,
    state: State,
    before: Tensor,
    now: Tensor,
    grid: tuple[int, int],
    features: list[Tensor] | None = None,
) -> dict[str, Tensor]:
    """What one repair is better than the one before, term by term and cell by cell, unweighted.

    Args:
        reward: whose terms they are.
        state: from `Reward.begin`: the reference and its features.
        before: the repair before, ``(B, T, 3, H, W)`` in [0, 1].
        now: the present one.
        grid: rows and columns.
        features: `reward.backbone(now)`, where it is there already.

    Returns:
        ``ssim``, ``psnr`` (in units of the reward's scale), ``perceptual`` and ``lpips``, each float64
        ``(B, rows, columns)``, positive where it is better; sums are the differences of the metrics up to rounding.
    """
    reference, batch = state["reference"], len(before)
    errors = [(one - reference).square().double().mean(2) for one in (before, now)]
    means = [error.mean((2, 3)).clamp_min(1e-10) for error in errors]  # PSNR is capped there
    apart = means[1] - means[0]
    slope = torch.where(apart.abs() > 1e-9 * means[0], (means[1] / means[0]).log() / apart, 1 / means[0])
    cells = [summed(error, grid) / error[0, 0].numel() for error in errors]
    gain = -10 / np.log(10) * slope[:, :, None, None] * (cells[1] - cells[0])
    margin = (SSIM_WINDOW - 1) // 2
    alike = [F.pad(ssim_map(one, reference, SSIM_WINDOW).double().mean((1, 2)), (margin,) * 4) for one in (before, now)]
    height, width = reference.shape[-2:]
    windows = (height - 2 * margin) * (width - 2 * margin)
    found = {
        "ssim": summed(alike[1] - alike[0], grid) / windows,
        "psnr": gain.mean(1) / reward.psnr_scale,
    }
    truth, old = features_of(state), reward.backbone(before)
    new = reward.backbone(now) if features is None else features
    lost = [reward.backbone.lpips_maps(layers, truth) for layers in (old, new)]
    found["lpips"] = torch.stack([_mean(a - b, batch, grid) for a, b in zip(*lost)]).sum(0)
    apart_by_layer = [((a - t).abs() - (b - t).abs()).mean(1, keepdim=True) for a, b, t in zip(old, new, truth)]
    found["perceptual"] = torch.stack([_mean(layer, batch, grid) for layer in apart_by_layer]).mean(0)
    return found


def saved_by_cell(
    controls: NDArray[np.float32], weights: NDArray[np.float64], saved: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Which cells saved computation, ``(B, rows, columns)``; sums are `saved` where anything was saved.

    Args:
        controls: ``(B, rows, columns, 5)``.
        weights: what a cell's heads cost, in any unit (:func:`videoinpaint.protocols.weights_of_cells`).
        saved: in all, ``(B,)``.
    """
    fewer = HIGH[HEADS] - refining(controls)[..., HEADS].astype(np.float64)
    share = fewer * weights
    total = share.sum((1, 2), keepdims=True)
    return saved[:, None, None] * share / np.where(total > 0, total, 1)


def changed(by_cell: NDArray[np.float64], missing: NDArray[np.float64]) -> NDArray[np.float64]:
    """What arose in cells where nothing was missing, given to those where something was; sums stay as they are.

    Args:
        by_cell: ``(B, rows, columns)``.
        missing: how much of each cell may have changed, likewise, in any unit.

    Returns:
        ``(B, rows, columns)``. A cell's share falls with its distance, in cells, as a Gaussian of deviation 0.7, and
        grows with what is missing there. Where nothing is missing at all, everything stays.
    """
    rows, columns = by_cell.shape[1:]
    places = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), -1).reshape(-1, 1, 2)
    near = np.exp(-np.square(places - places.swapaxes(0, 1)).sum(-1).astype(np.float64))
    values, weights = by_cell.reshape(len(by_cell), -1), missing.reshape(len(missing), -1)
    shares = near * weights[:, None]  # (B, from, to)
    total = shares.sum(2, keepdims=True)
    keeps = (weights > 0) | (total[:, :, 0] == 0)
    given = np.where(keeps, 0, values)[:, :, None] * shares / np.where(total > 0, total, 1)
    return (np.where(keeps, values, 0) + given.sum(1)).reshape(by_cell.shape)


def apportioned(terms: Terms, by_cell: Terms, missing: NDArray[np.float64]) -> NDArray[np.float64]:
    """The map ``(B, rows, columns)`` whose sum is the sum of the terms.

    Args:
        terms: weighted, each ``(B,)``.
        by_cell: what is known of where they arose, each ``(B, rows, columns)``; what it lacks of a sum is spread.
        missing: how much of each cell may have changed, in any unit: by this, and by area where nothing may have.
    """
    known = sum(by_cell.values())
    assert isinstance(known, np.ndarray)
    whole = sum(terms.values())
    rest = np.asarray(whole) - known.sum((1, 2))
    total = missing.sum((1, 2), keepdims=True)
    share = np.where(total > 0, missing, 1 / known[0].size) / np.where(total > 0, total, 1)
    return known + rest[:, None, None] * share


def _mean(values: Tensor, batch: int, grid: tuple[int, int]) -> Tensor:
    """Of maps ``(B T, 1, h, w)`` the parts of their mean over frames and pixels, ``(B, rows, columns)``."""
    maps = values[:, 0].double().unflatten(0, (batch, -1)).mean(1)
    return summed(maps, grid) / maps[0].numel()
