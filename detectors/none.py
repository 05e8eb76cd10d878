"""No detector: the whole hole is flagged after every pass, as a loop without feedback would do."""

from __future__ import annotations

import torch
from torch import Tensor

from videoinpaint.protocols import Detection


class WholeHoleDetector:
    """Flags all of M0, with equal channel weights."""

    name = "none"

    def __init__(self, device: str | torch.device = "cpu", weights: str | None = None) -> None:
        """Args: both are accepted for the sake of the protocol and unused."""
        self.device = torch.device(device)

    def detect(self, repaired: Tensor, masks: Tensor) -> Detection:
        """See :class:`videoinpaint.protocols.Detector`."""
        return Detection(masks.clone(), masks.expand(-1, -1, 3, -1, -1).clone())
