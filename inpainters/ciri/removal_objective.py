"""What residue removal minimises (CIRI, Eq. 8 to 10), as a function of the masks that a tracker predicts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.errors import InputError
from videoinpaint.inpainters.ciri.contextual import contextual_similarity, conv3_2
from videoinpaint.inpainters.ciri.crops import SEARCH, bounding_boxes, crop, search_boxes, target_box
from videoinpaint.inpainters.ciri.removal_config import RemovalConfig
from videoinpaint.inpainters.ciri.residue import ResidueDetector, template_of
from videoinpaint.metrics.backbone import get_backbone
from videoinpaint.protocols import Tracker

RepairMasks = Callable[[Tensor, Tensor], Tensor]
"""The frozen inpainter: masks ``(n, 1, H, W)`` in [0, 1] of the frames ``(n,)``, the clip's first among them, to a
repair ``(n, 3, H, W)``, differentiable in the masks."""

SPAN = 32
"""Frames that are repaired together: gradients go through a repair of all of them, which bounds the memory."""


class Objective:
    """Eq. 10 of one clip, as a function of the tracker's parameters.

    Where to look is decided once, from the masks before tuning: what is summed stays comparable.

    Attributes:
        spans: the frames after the first, in runs that are repaired together with it.
    """

    def __init__(
        self,
        tracker: Tracker,
        frames: Tensor,
        first: Tensor,
        repair: RepairMasks,
        detector: ResidueDetector,
        config: RemovalConfig,
    ) -> None:
        self.tracker, self.frames, self.repair, self.detector = tracker, frames, repair, detector
        self.config = config
        with torch.no_grad():
            masks = tracker.masks()
        if masks.shape != (len(frames), 1, *frames.shape[-2:]):
            raise InputError(f"the tracker's masks have shape {tuple(masks.shape)}, the frames {tuple(frames.shape)}")
        self.boxes = search_boxes(masks, first)
        self.template = template_of(frames[0], first)
        self.spans = spans_of(len(frames))
        self._backbone = get_backbone("vgg16", str(frames.device)) if config.contextual_weight else None
        target = crop((frames[0] * first)[None], target_box(first)[None], config.contextual_size)
        self._target = self._features(target)

    def repaired(self, masks: Tensor, span: NDArray[np.int64]) -> Tensor:
        """The frames of one of the spans, ``(n, 3, H, W)``, repaired after the masks of all frames."""
        together = torch.from_numpy(np.concatenate([[0], span]))
        return self.repair(masks[together], together)[1:]

    def terms(self, masks: Tensor, repaired: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """L_res and L_cx of the frames ``chosen (n,)``, each a sum over these frames.

        Args:
            masks: of all frames.
            repaired: of those that are chosen, ``(n, 3, H, W)``.
            chosen: indices; at least one.
        """
        boxes = self.boxes[chosen]
        maps = self.detector(self.template, crop(repaired, boxes, SEARCH)).sigmoid()
        maps = maps * _within(boxes, maps.shape[-1], *repaired.shape[-2:])
        if self.config.published_sums:
            residue = F.interpolate(maps, size=(SEARCH, SEARCH), mode="bilinear").sum()
        else:
            residue = maps.mean((1, 2, 3)).sum() * 4  # the box is a quarter of the search crop
        if not self.config.contextual_weight:
            return residue, residue.new_zeros(())
        # Twice the box of the search is halved again: the box of the predicted region itself.
        regions = _region_boxes(masks[chosen], boxes)
        predicted = crop(self.frames[chosen] * masks[chosen], regions, self.config.contextual_size)
        likeness = contextual_similarity(
            self._target.expand(len(chosen), -1, -1), self._features(predicted), self.config.bandwidth
        )
        return residue, -likeness.clamp_min(1e-8).log().sum()

    def total(self, residue: Tensor, contextual: Tensor, number: int) -> Tensor:
        """Eq. 10 from sums over `number` frames.

        Raises:
            InputError: it is not finite.
        """
        share = 1.0 if self.config.published_sums else 1.0 / number
        total = (self.config.residue_weight * residue + self.config.contextual_weight * contextual) * share
        if not torch.isfinite(total):
            raise InputError(f"the loss of residue removal is {float(total.detach())}: use a smaller learning rate")
        return total

    @torch.no_grad()
    def measured(self) -> tuple[float, float]:
        """The whole loss and its residue part over all frames but the first.

        Raises:
            InputError: the loss is not finite.
        """
        masks = self.tracker.masks()
        number, parts = len(self.frames) - 1, []
        for span in self.spans:
            repaired, size = self.repaired(masks, span).split(self.config.chunk), self.config.chunk
            chosen = torch.from_numpy(span).split(size)
            parts += [self.terms(masks, *part) for part in zip(repaired, chosen)]
        residue = torch.stack([part[0] for part in parts]).sum()
        total = self.total(residue, torch.stack([part[1] for part in parts]).sum(), number)
        return float(total), float(residue) / (1 if self.config.published_sums else number)

    def _features(self, pictures: Tensor) -> Tensor:
        """Phi: relu3_2 of ``(N, 3, s, s)`` as points ``(N, s / 4 * s / 4, 256)``."""
        if self._backbone is None:
            return pictures.new_zeros(len(pictures), 1, 1)
        return conv3_2(pictures, self._backbone)


def _region_boxes(masks: Tensor, fallback: Tensor) -> Tensor:
    """Rectangles of the predicted regions; where there is none, the middle half of the search box."""
    boxes, present = bounding_boxes(masks)
    quarter = (fallback[:, 2:] - fallback[:, :2]) / 4
    middle = torch.cat([fallback[:, :2] + quarter, fallback[:, 2:] - quarter], 1)
    return torch.where(present[:, None], boxes, middle)


def _within(boxes: Tensor, size: int, height: int, width: int) -> Tensor:
    """Which pixels of crops lie within the frame, ``(N, 1, size, size)``; what is beyond counts for nothing."""
    steps = (torch.arange(size, device=boxes.device) + 0.5) / size
    y, x = (boxes[:, i : i + 1] + steps * (boxes[:, i + 2 : i + 3] - boxes[:, i : i + 1]) for i in (0, 1))
    return (((x >= 0) & (x <= width))[:, None, None, :] & ((y >= 0) & (y <= height))[:, None, :, None]).float()


def spans_of(length: int) -> list[NDArray[np.int64]]:
    """The frames after the first of a clip of ``length``, in runs of about equal length: with it, at most ``SPAN``."""
    return np.array_split(np.arange(1, length), -(-(length - 1) // (SPAN - 1)))
