"""How well a repair joins its surroundings: GMS and ES in a band along the hole's boundary.

CLIP-RL (Table 5) reports a "gradient matching score" and an "edge similarity" without defining them. What is computed
here: the gradient magnitude similarity of Xue et al. (IEEE TIP 2014), and the overlap (Dice) of soft edge maps.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from videoinpaint.metrics.checks import check_holes, check_pair
from videoinpaint.motion.neighbourhoods import window_max

BAND = 3
"""Half-width of the boundary band in pixels: as far inside the hole as outside it."""

_GMS_STABILISER = 170 / 255**2  # Xue et al.'s constant, for luma in [0, 1]
_EDGE_AT = 0.1  # gradient magnitude (Prewitt, luma in [0, 1]) that counts as half an edge


def gms(a: Tensor, b: Tensor, holes: Tensor, band: int = BAND) -> Tensor:
    """Gradient magnitude similarity in the boundary band, ``(B, T)``, in (0, 1]; higher is better.

    The mean over the band of ``(2 g_a g_b + c) / (g_a^2 + g_b^2 + c)``, g the Prewitt gradient magnitude of luma.
    NaN for a frame whose hole has no boundary.

    Args:
        a: ``(B, T, 3, H, W)`` in [0, 1].
        b: as ``a``.
        holes: ``(B, T, 1, H, W)``, 1 = missing.
        band: pixels on either side of the boundary.
    """
    check_pair(a, b)
    check_holes(a, holes)
    ga, gb = gradient_magnitude(a), gradient_magnitude(b)
    similar = (2 * ga * gb + _GMS_STABILISER) / (ga.square() + gb.square() + _GMS_STABILISER)
    where = boundary_band(holes, band)
    return (similar * where).flatten(2).sum(2) / where.flatten(2).sum(2)


def edge_similarity(a: Tensor, b: Tensor, holes: Tensor, band: int = BAND) -> Tensor:
    """Edge similarity (ES) in the boundary band, ``(B, T)``, in [0, 1]; higher is better.

    The Dice overlap ``2 sum min(e_a, e_b) / sum (e_a + e_b)`` of soft edge maps ``e = g^2 / (g^2 + 0.1^2)``.
    1 where neither frame has an edge; NaN for a frame whose hole has no boundary. Arguments as in :func:`gms`.
    """
    check_pair(a, b)
    check_holes(a, holes)
    where = boundary_band(holes, band)
    ea, eb = (g / (g + _EDGE_AT**2) * where for g in (gradient_magnitude(a).square(), gradient_magnitude(b).square()))
    both, either = (2 * torch.minimum(ea, eb)).flatten(2).sum(2), (ea + eb).flatten(2).sum(2)
    overlap = torch.where(either > 1e-6, both / either.clamp_min(1e-6), torch.ones_like(either))
    return torch.where(where.flatten(2).sum(2) > 0, overlap, torch.full_like(overlap, torch.nan))


def boundary_band(holes: Tensor, band: int = BAND) -> Tensor:
    """Pixels within ``band`` (Chebyshev distance) of the hole's boundary, either side: ``(B, T, 1, H, W)`` in {0, 1}.

    The frame's own border is not a boundary.
    """
    inside = (holes > 0).float().flatten(0, 1)
    return (window_max(inside, band) - 1 + window_max(1 - inside, band)).view_as(holes)


def gradient_magnitude(frames: Tensor) -> Tensor:
    """Prewitt gradient magnitude of luma, ``(B, T, 1, H, W)``; borders replicated."""
    weights = frames.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    luma = F.pad((frames * weights).sum(2, keepdim=True).flatten(0, 1), (1, 1, 1, 1), mode="replicate")
    across = torch.tensor([[1.0, 0.0, -1.0]] * 3, dtype=frames.dtype, device=frames.device) / 3
    kernels = torch.stack([across, across.T]).unsqueeze(1)
    gx, gy = F.conv2d(luma, kernels).unbind(1)
    return (gx.square() + gy.square()).clamp_min(1e-20).sqrt().view(*frames.shape[:2], 1, *frames.shape[3:])
