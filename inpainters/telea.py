"""Telea's fast marching inpainting, frame by frame: the floor every video method is compared with."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.protocols import Refinement, State


class TeleaInpainter:
    """OpenCV's ``INPAINT_TELEA`` with radius 3 on uint8 frames; no control changes it."""

    name = "telea"
    controls: frozenset[str] = frozenset()
    min_size = (8, 8)

    def begin(self, frames: Tensor, masks: Tensor) -> State:
        """Fill every frame once; see :class:`videoinpaint.protocols.Inpainter`."""
        return {"filled": telea(frames, masks)}

    def refine(self, state: State, repaired: Tensor, masks: Tensor, controls: NDArray) -> Refinement:
        """The filled frames again; see :class:`videoinpaint.protocols.Inpainter`."""
        return Refinement(state["filled"], torch.zeros(len(repaired), dtype=torch.float64))


def telea(frames: Tensor, masks: Tensor) -> Tensor:
    """Telea's fill of ``frames (B, T, 3, H, W)`` in [0, 1] inside ``masks (B, T, 1, H, W)``."""
    images = frames.flatten(0, 1).permute(0, 2, 3, 1).mul(255).round().byte().cpu().numpy()
    holes = masks.flatten(0, 2).gt(0).byte().cpu().numpy()
    filled = np.stack([cv2.inpaint(i, h, 3.0, cv2.INPAINT_TELEA) for i, h in zip(images, holes)])
    result = torch.from_numpy(filled).permute(0, 3, 1, 2).to(frames).div(255).view_as(frames)
    return torch.where(masks > 0, result, frames)
