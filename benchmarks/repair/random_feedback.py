"""Feedback that knows how much is poor but not where: the control experiment for a detector."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.detectors import make_detector
from videoinpaint.protocols import Detection, Detector

_CELL = 12  # pixels: detectors flag coherent patches, so their stand-in does too


class RandomDetector:
    """Flags the same values as another detector, moved to random places inside the hole.

    Each frame's values inside the hole are sorted and dealt out again along a smooth random field, so that a frame has
    the same flagged area at every threshold, in patches, and the feedback carries no information about the repair.
    The field follows from what is flagged: the same input always gives the same output, alone or in a batch.
    By name: ``"videoinpaint.benchmarks.repair.random_feedback:RandomDetector"``.

    Args:
        device: where it computes.
        weights: of the other detector.
        base: the other detector.
    """

    name = "random"

    def __init__(
        self,
        device: str | torch.device = "cpu",
        weights: str | None = None,
        base: str | Detector = "compact",
    ) -> None:
        self.base = make_detector(base, device=device, weights=weights)

    @torch.no_grad()
    def detect(self, repaired: Tensor, masks: Tensor) -> Detection:
        """See :class:`videoinpaint.protocols.Detector`."""
        found = self.base.detect(repaired, masks).masks
        moved = torch.stack([_shuffled(one, hole) for one, hole in zip(found, masks)])
        return Detection(moved, moved.expand(-1, -1, 3, -1, -1).clone())


def _shuffled(found: Tensor, hole: Tensor) -> Tensor:
    """``found (T, 1, H, W)`` with each frame's values inside the hole dealt out along a smooth random field."""
    content = found.mul(255).byte().cpu().numpy().tobytes()
    generator = torch.Generator().manual_seed(zlib.crc32(content))
    length, _, height, width = found.shape
    coarse = torch.randn(1, 1, max(length // 2, 1) + 1, height // _CELL + 2, width // _CELL + 2, generator=generator)
    field = F.interpolate(coarse, size=(length, height, width), mode="trilinear", align_corners=True)[0, 0]
    result = torch.zeros_like(found)
    for time, noise in enumerate(field.to(found.device)):
        inside = hole[time, 0] > 0
        values = found[time, 0][inside].sort().values
        places = noise[inside].argsort()
        dealt = torch.empty_like(values)
        dealt[places] = values
        result[time, 0][inside] = dealt
    return result
