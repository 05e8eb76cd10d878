"""Internal learning (IIVI, Section 4.2) as a mask propagator: a small network learns the target from its one frame."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from videoinpaint.inpainters.internal.masks import MaskLearner, MaskTraining, followed
from videoinpaint.inpainters.propagators.common import check_target


class InternalPropagator:
    """Trains a network on the first frame of every clip; `MaskLearner` has the details."""

    name = "internal"
    draws_globally = True

    def __init__(
        self, device: str | torch.device = "cpu", steps: int | None = None, training: MaskTraining | None = None
    ) -> None:
        """Args:
        device: where it trains.
        steps: of training, instead of those of ``training``.
        training: see :class:`~videoinpaint.inpainters.internal.masks.MaskTraining`.
        """
        self.device = torch.device(device)
        chosen = training or MaskTraining()
        self.training = chosen if steps is None else replace(chosen, steps=steps)

    def start(self, frames: Tensor, first: Tensor) -> InternalTracker:
        """Train; see :class:`videoinpaint.protocols.MaskPropagator`."""
        target = check_target(frames, first)
        shown = frames.detach().float().to(self.device)
        learner = MaskLearner(self.training, shown[0], target.float().to(self.device))
        learner.train()
        return InternalTracker(learner, shown)


class InternalTracker:
    """A trained network and the clip; regions that do not continue the target are left out.

    Args:
        learner: trained.
        frames: ``(T, 3, H, W)``, on the learner's device.
    """

    def __init__(self, learner: MaskLearner, frames: Tensor) -> None:
        self._learner, self._frames = learner, frames
        self._learner.network.eval()

    def masks(self) -> Tensor:
        """``(T, 1, H, W)`` in [0, 1]; see :class:`videoinpaint.protocols.Tracker`."""
        parts = self._frames[1:].split(4)
        made = [self._probabilities(part) for part in parts if len(part)]
        masks = torch.cat([self._learner.mask[None], *made])
        with torch.no_grad():
            found = (masks > 0.5).to(masks.dtype)
            keep = 1 - (found - followed(found))
        return masks * keep

    def _probabilities(self, frames: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return self._learner.logits(frames).sigmoid()
        # A clip's activations at once would not fit where frames are large: keep those of four frames at a time.
        return checkpoint(lambda x: self._learner.logits(x).sigmoid(), frames, use_reentrant=False)

    def parameters(self) -> list[nn.Parameter]:
        """The network's."""
        return list(self._learner.network.parameters())
