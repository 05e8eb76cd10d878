"""Hand-made features: what a clip plainly shows, in a few numbers.

A policy learns from these within a few thousand steps. A convolutional network can find all of them, given far more
episodes than a training on a CPU can afford.
"""

from __future__ import annotations

import torch
from torch import Tensor

from videoinpaint.agents.policies.reveal import revealed
from videoinpaint.composition import GREY

FEATURES = {
    "area": (0.09, 0.05),
    "untouched": (0.35, 0.35),
    "hole_motion": (0.08, 0.07),
    "motion": (0.035, 0.023),
    "drift": (0.11, 0.055),
    "flicker": (0.025, 0.022),
    "texture": (0.046, 0.012),
    "inner_texture": (0.03, 0.015),
    "brightness": (0.40, 0.10),
    "contrast": (0.19, 0.05),
    "beside": (0.061, 0.017),
    "shown_1": (0.0067, 0.011),
    "misfit_1": (0.027, 0.017),
    "worth_1": (0.0014, 0.0025),
    "shown_2": (0.0094, 0.0115),
    "misfit_2": (0.041, 0.024),
    "worth_2": (0.0009, 0.0025),
    "shown_4": (0.0124, 0.012),
    "misfit_4": (0.06, 0.037),
    "worth_4": (-0.0005, 0.0048),
    "shown_7": (0.0112, 0.0116),
    "misfit_7": (0.078, 0.05),
    "worth_7": (-0.0024, 0.0078),
    "shown_12": (0.0089, 0.009),
    "misfit_12": (0.099, 0.06),
    "worth_12": (-0.0033, 0.0067),
}
"""Name -> mean and deviation over studio and real clips, by which :func:`clip_features` standardises it.

area: share of the clip that is flagged; untouched: share of that which still shows the grey of a fresh hole;
hole_motion: how much the flagged region changes from frame to frame, relative to itself; motion and drift: change of
known pixels to the next frame, and from the first frame to the last; flicker: change of flagged pixels to the next
frame; texture and inner_texture: difference of horizontal neighbours among known and among flagged pixels; brightness
and contrast: mean and deviation of all pixels; the rest: see :func:`videoinpaint.agents.policies.reveal.revealed`.
"""

BOUND = 3.0
"""Standardised features are clipped to so many deviations."""

_NEAR = 5  # how far from the loop's grey, of 255, averaging may have moved a hole that was not touched


def clip_features(thumbnails: Tensor) -> Tensor:
    """Standardised, ``(B, len(FEATURES))`` in [-3, 3], of ``thumbnails (B, T, 4, h, w)`` in 0..255: RGB and mask."""
    colours, masks = thumbnails[:, :, :3], thumbnails[:, :, 3]
    found = measured(colours, masks) | revealed(colours.float().mean(2) / 255, masks.float().gt(127.5).float())
    scaled = [(found[name] - mean) / deviation for name, (mean, deviation) in FEATURES.items()]
    return torch.stack(scaled, dim=1).clamp(-BOUND, BOUND)


def measured(colours: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """The plain ones, from area to contrast, by name, each ``(B,)`` in its own unit, of pictures of any size.

    Args:
        colours: ``(B, T, 3, h, w)`` in 0..255.
        masks: ``(B, T, h, w)`` in 0..255.
    """
    grey = colours.float().mean(2) / 255
    found = {"area": masks.float().div(255).gt(0.5).float().mean((1, 2, 3))}
    found |= {name: marked_mean(*pair) for name, pair in shares(colours, masks).items()}
    return found | {"brightness": grey.mean((1, 2, 3)), "contrast": grey.flatten(1).std(1, correction=0)}


def shares(colours: Tensor, masks: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Those of the plain ones that are means over marked pixels: values, and how much each pixel counts.

    Arguments are those of :func:`measured`. Both are ``(B, frames, h, w)``; differences of neighbours lack a frame or a
    column.
    """
    colours, masks = colours.float(), masks.float() / 255
    grey = colours.mean(2) / 255
    flagged = masks.gt(0.5).float()
    known = 1 - flagged
    step, side = grey.diff(dim=1).abs(), grey.diff(dim=3).abs()
    untouched = (colours - 255 * GREY).abs().amax(2).le(_NEAR).float()
    first, last = slice(0, 1), slice(-1, None)
    return {
        "untouched": _where(untouched, flagged),
        "hole_motion": (masks.diff(dim=1).abs(), masks),
        "motion": _where(step, known[:, 1:] * known[:, :-1]),
        "drift": _where((grey[:, last] - grey[:, first]).abs(), known[:, last] * known[:, first]),
        "flicker": _where(step, flagged[:, 1:] * flagged[:, :-1]),
        "texture": _where(side, known[..., 1:] * known[..., :-1]),
        "inner_texture": _where(side, flagged[..., 1:] * flagged[..., :-1]),
    }


def _where(values: Tensor, marked: Tensor) -> tuple[Tensor, Tensor]:
    return values * marked, marked


def marked_mean(marked: Tensor, count: Tensor) -> Tensor:
    """The mean ``(B,)`` of values times how much each counts; 0 where none does (a single frame has no motion)."""
    return marked.flatten(1).sum(1) / count.flatten(1).sum(1).clamp_min(1)
