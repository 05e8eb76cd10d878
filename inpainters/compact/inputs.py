"""What one pass of the compact network sees, at a size that it can work on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

TOKEN = 8  # pixels a token spans in each direction


@dataclass(frozen=True)
class Inputs:
    """What one pass sees; frames ``(B, T, 3, H, W)`` in [0, 1], the rest ``(B, T, 1, H, W)`` in [0, 1].

    Attributes:
        previous: the repair so far, Yhat_{n-1}.
        masks: what is to be repaired now, M_{n-1}.
        holes: what was missing at the start, M0.
        propagated: content carried in along the motion, a smooth fill where nothing arrived.
        confidence: trust in the carried content.
        hidden: what the encoder must not see of `previous`; None: `masks`. One-shot inpainting hides nothing: it
            inactivates features instead.
    """

    previous: Tensor
    masks: Tensor
    holes: Tensor
    propagated: Tensor
    confidence: Tensor
    hidden: Tensor | None = None

    def pad(self, multiple: int) -> Inputs:
        """All tensors grown at the right and bottom to a multiple; frames repeat their border, masks are zero there."""
        height, width = self.previous.shape[-2:]
        grow = (0, -width % multiple, 0, -height % multiple)
        if not any(grow):
            return self
        frames = (edged(self.previous, grow), edged(self.propagated, grow))
        masks = (F.pad(self.masks, grow), F.pad(self.holes, grow), F.pad(self.confidence, grow, value=1.0))
        hidden = None if self.hidden is None else F.pad(self.hidden, grow)
        return Inputs(frames[0], masks[0], masks[1], frames[1], masks[2], hidden)


def edged(x: Tensor, grow: tuple[int, int, int, int]) -> Tensor:
    """Frames ``(B, T, C, H, W)`` with their border repeated."""
    return F.pad(x.flatten(0, 1), grow, mode="replicate").unflatten(0, x.shape[:2]) if any(grow) else x


def token_holes(masks: Tensor) -> Tensor:
    """The share of every token's pixels to be repaired, ``(B, T, 1, H / 8, W / 8)``."""
    return F.avg_pool2d(masks.flatten(0, 1), TOKEN).unflatten(0, masks.shape[:2])
