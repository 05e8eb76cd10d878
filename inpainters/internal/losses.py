"""The three losses of internal training: reconstruction (Eq. 2), ambiguity (Eq. 3, 8, 9), stabilisation (Eq. 4, 5)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.metrics.backbone import Backbone, unit_length
from videoinpaint.motion.neighbourhoods import window_max

LAYER = 3
"""VGG16's third block ends at relu3_3, of the depth of the paper's relu3_4 in VGG19."""

NAMES = ("reconstruction", "ambiguity", "stabilisation")
"""Of the three losses, in the order of their weights."""

PAIRS = 2**24
"""Distances between features that are held at once."""


def total(terms: Mapping[str, Any], weights: Sequence[float]) -> Any:
    """Eq. 7: the weighed sum of those losses that were taken, by name; weights in the order of :data:`NAMES`."""
    return sum(weight * terms[name] for name, weight in zip(NAMES, weights) if name in terms)


def reconstruction(outputs: Sequence[Tensor], frames: Tensor, holes: Tensor, weight: Tensor | None = None) -> Tensor:
    """Eq. 2: mean absolute error of known pixels, summed over the network's stages (intermediate supervision).

    Args:
        outputs: ``(N, 3, H, W)`` each.
        frames: the truth, in the outputs' range.
        holes: M_i ``(N, 1, H, W)``: where there is no truth.
        weight: ``(N, 1, H, W)`` relative importance of pixels; None for the paper's, all alike.
    """
    known = 1 - holes if weight is None else (1 - holes) * weight
    total = (known.sum() * frames.shape[1]).clamp_min(1)
    return torch.stack([((output - frames).abs() * known).sum() / total for output in outputs]).sum()


def ambiguity(output: Tensor, other: Tensor, other_holes: Tensor, backbone: Backbone) -> Tensor:
    """Eq. 3, 8 and 9: cosine distance of each feature of the output to the nearest feature of another frame.

    What the other frame hides is zero in both (the paper: "the loss at the blocked region is always set to 0"). Eq. 3
    and the text take the nearest target of every source point; Eq. 9 prints the indices the other way round.

    Args:
        output: ``(N, 3, h, w)`` in [0, 1].
        other: X_t in [0, 1].
        other_holes: M_t.
        backbone: whose features are compared, frozen.
    """
    seen = 1 - other_holes
    small = [max(side, backbone.min_size) for side in output.shape[-2:]]
    if small != list(output.shape[-2:]):  # smaller than the backbone accepts: enlarge all three alike
        output, other, seen = (F.interpolate(x, size=small) for x in (output, other, seen))
    ours, theirs = (unit_length(backbone(x * seen, LAYER)[-1]).flatten(2) for x in (output, other))
    return torch.stack([_nearest(a, b) for a, b in zip(ours.transpose(1, 2), theirs.detach().transpose(1, 2))]).mean()


def _nearest(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean cosine distance of each row of ``ours (P, C)`` to the nearest of ``theirs (Q, C)``, all of unit length.

    Which one is nearest is searched without gradients and in parts: all pairs of a 960x540 frame are 4 GiB.
    """
    with torch.no_grad():
        rows = max(1, PAIRS // len(theirs))
        nearest = torch.cat([(part @ theirs.T).argmax(1) for part in ours.split(rows)])
    return (1 - (ours * theirs[nearest]).sum(1)).mean()


@dataclass(frozen=True)
class Change:
    """g of Eq. 4 (Appendix A.3), for a batch.

    Attributes:
        matrix: ``(N, 2, 3)`` affine map in `affine_grid`'s normalised coordinates.
        gain: linear intensity change, ``(N, 1, 1, 1)``.
        blur: side of the Gaussian kernel: 0 (none), 3 or 5.
    """

    matrix: Tensor
    gain: Tensor
    blur: int

    def frames(self, x: Tensor) -> Tensor:
        """Pictures ``(N, 3, H, W)`` in [0, 1] moved, blurred and brightened (or darkened)."""
        x = self._warped(x)
        if self.blur:
            kernel = _gaussian(self.blur).to(x).expand(x.shape[1], 1, -1, -1)
            x = F.conv2d(F.pad(x, (self.blur // 2,) * 4, mode="replicate"), kernel, groups=x.shape[1])
        return (x * self.gain).clamp(0, 1)

    def masks(self, x: Tensor) -> Tensor:
        """Masks ``(N, 1, H, W)`` in {0, 1} moved; whatever a moved or blurred pixel of the hole touches is hole."""
        return window_max((self._warped(x) > 0).to(x.dtype), self.blur // 2)

    def soft_masks(self, x: Tensor) -> Tensor:
        """Masks ``(N, 1, H, W)`` moved, with the shares of pixels at their rims, in [0, 1]."""
        return self._warped(x)

    def to(self, like: Tensor) -> Change:
        """The same change with the type and on the device of ``like``."""
        return Change(self.matrix.to(like), self.gain.to(like), self.blur)

    def _warped(self, x: Tensor) -> Tensor:
        grid = F.affine_grid(self.matrix, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def draw_change(rng: np.random.Generator, count: int, height: int, width: int) -> Change:
    """A random g: 3 pixels, 2 degrees, scale 0.95 to 1.05, shear 1 degree, gain 0.95 to 1.05, no blur, 3x3 or 5x5."""
    rows = []
    for _ in range(count):
        dx, dy = rng.uniform(-3, 3, 2)
        turn, shear_x, shear_y = np.deg2rad([rng.uniform(-2, 2), *rng.uniform(-1, 1, 2)])
        scale = rng.uniform(0.95, 1.05)
        turned = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        linear = scale * turned @ np.array([[1, math.tan(shear_x)], [math.tan(shear_y), 1]])
        # affine_grid counts from -1 to 1 along both sides: angles need the sides' ratio, pixels their half.
        linear *= np.array([[1, height / width], [width / height, 1]])
        rows.append(np.column_stack([linear, [2 * dx / width, 2 * dy / height]]))
    gain = rng.uniform(0.95, 1.05, (count, 1, 1, 1))
    matrix = torch.from_numpy(np.stack(rows)).float()
    return Change(matrix, torch.from_numpy(gain).float(), int(rng.choice([0, 3, 5])))


def stabilisation(
    outputs: Sequence[Tensor], changed: Sequence[Tensor], frames: Tensor, changed_frames: Tensor, unknown: Tensor
) -> Tensor:
    """Eq. 4 and 5: the output changes as the input does, outside ``unknown`` (M_i and g(M_i) together).

    Args:
        outputs: of the network's stages, ``(N, 3, H, W)`` each.
        changed: likewise, for the changed input.
        frames, changed_frames: X_i and g(X_i) in the outputs' range.
        unknown: ``(N, 1, H, W)`` in {0, 1}.
    """
    known = 1 - unknown
    total = (known.sum() * frames.shape[1]).clamp_min(1)
    step = changed_frames - frames
    return torch.stack([((c - o - step).abs() * known).sum() / total for o, c in zip(outputs, changed)]).sum()


def _gaussian(side: int) -> Tensor:
    """A normalised Gaussian kernel ``(side, side)`` with OpenCV's width for that side."""
    sigma = 0.3 * ((side - 1) * 0.5 - 1) + 0.8
    line = torch.exp(-0.5 * ((torch.arange(side) - side // 2) / sigma) ** 2)
    kernel = line[:, None] * line[None]
    return kernel / kernel.sum()
