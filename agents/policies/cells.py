"""The features of :mod:`videoinpaint.agents.policies.features` cell by cell: what every part of the frame shows.

The same numbers are taken three times: over the cell alone, over it and the cells around it (a cell in the middle of a
hole has no known pixels), and over the whole clip.
"""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.agents.policies.features import FEATURES, clip_features, shares
from videoinpaint.agents.policies.reveal import REACHES, by_reach, look
from videoinpaint.agents.policies.thumbnails import thumbnails
from videoinpaint.motion.neighbourhoods import cell_means, window_mean

CHANNELS = 3 * len(FEATURES)
BOUND = 5.0
"""Features of cells are clipped to this, after the inverse hyperbolic sine of how many deviations they are off: a cell
can be all hole, which is many deviations from a whole clip's mean."""

_LEAST = 1e-3  # share of a cell below which nothing is known about its marked pixels

Pairs = dict[str, tuple[Tensor, Tensor]]
"""By name, sums of values and how many pixels they are of, both as means over a cell: ``(B, rows, columns)``."""


def cell_features(small: Tensor, rows: int, columns: int) -> Tensor:
    """Standardised, ``(B, CHANNELS, rows, columns)`` in [-5, 5], of thumbnails ``small (B, T, 4, h, w)`` in 0..255."""
    near = _pairs(small, (rows, columns))
    wide = {name: (_around(values), _around(count)) for name, (values, count) in near.items()}
    whole = clip_features(small)[:, :, None, None].expand(-1, -1, rows, columns)
    return torch.cat([_standardised(near), _standardised(wide), whole], 1)


def seen_by_cell(frames: Tensor, masks: Tensor, rows: int, columns: int) -> dict[str, Tensor]:
    """What a policy over a grid looks at: ``cells``, the :func:`cell_features` of observations.

    Args:
        frames: ``(B, 3T, H, W)`` in 0..255 of any type.
        masks: ``(B, T, H, W)``, the same.
        rows, columns: of the grid.
    """
    return {"cells": cell_features(thumbnails(frames, masks), rows, columns)}


def cell_space(rows: int, columns: int) -> spaces.Dict:
    """The space of :func:`seen_by_cell`."""
    return spaces.Dict({"cells": spaces.Box(-BOUND, BOUND, (CHANNELS, rows, columns), np.float32)})


def measured_by_cell(small: Tensor, rows: int, columns: int, *, around: bool = False) -> dict[str, Tensor]:
    """By the names of ``FEATURES``, each ``(B, rows, columns)`` in its own unit; 0 where nothing is marked.

    Args:
        small: thumbnails ``(B, T, 4, h, w)`` in 0..255: RGB and mask.
        rows, columns: of the grid.
        around: over the cell and its neighbours, else over the cell alone.
    """
    pairs = _pairs(small, (rows, columns))
    return _measured({k: (_around(v), _around(n)) for k, (v, n) in pairs.items()} if around else pairs)


def _pairs(small: Tensor, grid: tuple[int, int]) -> Pairs:
    colours, masks = small[:, :, :3], small[:, :, 3]
    grey, holes = colours.float().mean(2) / 255, masks.float().gt(127.5).float()
    every = torch.ones_like(grey)
    found: Pairs = {"area": (holes, every), "brightness": (grey, every), "square": (grey.square(), every)}
    found |= shares(colours, masks)
    here = look(grey, holes)
    frames = [x.unflatten(0, (len(grey), -1)) for x in (here.hole, here.ring, here.ring * here.detail)]
    found["beside"] = (frames[2], frames[1])
    for shown in by_reach(grey, holes, here):
        new = shown.new.unflatten(0, (len(grey), -1))
        apart = sum(where * values for where, values in zip(shown.rims, shown.apart))
        assert isinstance(apart, Tensor)
        rims = (shown.rims[0] + shown.rims[1]).unflatten(0, (len(grey), -1))
        found |= {f"shown_{shown.reach}": (new, torch.ones_like(new)), f"share_{shown.reach}": (new, frames[0])}
        found[f"misfit_{shown.reach}"] = (apart.unflatten(0, (len(grey), -1)), rims)
    width = grey.shape[-1]
    return {
        name: (_pooled(values, grid, width), _pooled(count, grid, width)) for name, (values, count) in found.items()
    }


def _measured(pairs: Pairs) -> dict[str, Tensor]:
    means = {name: values / count.clamp_min(_LEAST) for name, (values, count) in pairs.items()}
    means["contrast"] = (means["square"] - means["brightness"].square()).clamp_min(0).sqrt()
    for reach in REACHES:
        means[f"worth_{reach}"] = means[f"share_{reach}"] * (means["beside"] - means[f"misfit_{reach}"])
    return {name: means[name] for name in FEATURES}


def _standardised(pairs: Pairs) -> Tensor:
    means = _measured(pairs)
    scaled = [((means[name] - mean) / deviation).asinh() for name, (mean, deviation) in FEATURES.items()]
    return torch.stack(scaled, 1).clamp(-BOUND, BOUND)


def _pooled(x: Tensor, grid: tuple[int, int], width: int) -> Tensor:
    """Means over frames and cells of ``(B, frames, h, w)``; differences of neighbours lack the last column."""
    if not x.shape[1]:
        return x.new_zeros(len(x), *grid)
    return cell_means(F.pad(x.mean(1, keepdim=True), (0, width - x.shape[-1])), grid).squeeze(1)


def _around(x: Tensor) -> Tensor:
    return window_mean(x.unsqueeze(1), 1).squeeze(1)
