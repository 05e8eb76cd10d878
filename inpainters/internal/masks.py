"""A mask given on one frame, propagated to the others (Section 4.2): the network with input and output exchanged.

The given frame's object is cut out, moved and pasted into the frame again; the network learns to find the copy. What it
says about the object itself is not judged (Eq. 6): there the copy may lie over it or beside it. Applied to the
other frames, it finds the object there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videoinpaint.errors import InputError
from videoinpaint.fitting import along_cosine
from videoinpaint.inpainters.internal.clip import draw_shift, moved
from videoinpaint.inpainters.internal.losses import draw_change
from videoinpaint.inpainters.internal.networks import MULTIPLE, BaseNetwork
from videoinpaint.inpainters.internal.trainer import signed
from videoinpaint.motion.neighbourhoods import window_max
from videoinpaint.weights import build_seeded

REACH = 0.04
"""How far an object may move from frame to frame, as a share of the frame's diagonal."""


@dataclass(frozen=True)
class MaskTraining:
    """How a mask is learnt. The publication: width 1, learning rate 2e-4, 6,000 steps, neither
    variation nor ``both``.

    Attributes:
        width: factor on the base network's inner channels.
        steps: of Adam.
        learning_rate: at the start; it falls to a fiftieth along a cosine.
        alpha: weight of background in the cross-entropy (Section 4.2: 0.8, as what is wrongly taken for the object can
            be painted again, and what is missed stays).
        vary: turn, scale, shear, brighten and blur the pasted copy, within the ranges of Appendix A.3.
        both: ask for the object itself as well as for its copy. The publication leaves it unjudged (Eq. 6), which lets
            a network that is trained briefly learn what has been pasted rather than what the object looks like.
        seed: of everything random.
    """

    width: float = 0.25
    steps: int = 400
    learning_rate: float = 2e-3
    alpha: float = 0.8
    vary: bool = True
    both: bool = True
    seed: int = 0


class MaskLearner:
    """A base network that learns one object from one frame.

    Args:
        config: see :class:`MaskTraining`.
        frame: ``(3, H, W)`` in [0, 1].
        mask: ``(1, H, W)``, above one half is object: neither nothing nor everything.
    """

    def __init__(self, config: MaskTraining, frame: Tensor, mask: Tensor) -> None:
        self.config, self.frame, self.mask = config, frame[None], (mask > 0.5).to(frame.dtype)
        self.network = build_seeded(lambda: BaseNetwork(3, 1, config.width), config.seed).to(frame.device)
        self.steps = 0
        self._optimiser = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)

    def train(self) -> None:
        """Train to the end.

        Raises:
            InputError: the loss is not finite.
        """
        while self.steps < self.config.steps:
            for group in self._optimiser.param_groups:
                group["lr"] = self.config.learning_rate * along_cosine(self.steps, self.config.steps)
            pasted, target = self.example(np.random.default_rng([self.config.seed, self.steps]))
            with torch.enable_grad():
                judged = torch.ones_like(target) if self.config.both else 1 - self.mask[None]
                loss = weighted_cross_entropy(self.logits(pasted), target, judged, self.config.alpha)
                if not torch.isfinite(loss):
                    raise InputError(f"the mask loss is not finite at step {self.steps}: lower the learning rate")
                self._optimiser.zero_grad(set_to_none=True)
                loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self._optimiser.step()
            self.steps += 1

    def example(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """X' ``(1, 3, H, W)``, the frame with a moved copy of its object, and what is to be found, ``(1, 1, H, W)``."""
        copy, shape = self.frame, self.mask[None]
        height, width = self.frame.shape[-2:]
        if self.config.vary:
            change = draw_change(rng, 1, height, width).to(self.frame)
            # The copy's own outline: a blurred rim would show the network where it was cut.
            copy, shape = change.frames(copy), (change.soft_masks(shape) > 0.5).to(copy.dtype)
        shift = draw_shift(rng, height, width)
        copy, shape = moved(copy, shift), moved(shape, shift)
        pasted = torch.where(shape > 0, copy, self.frame)
        return pasted, torch.maximum(shape, self.mask[None]) if self.config.both else shape

    @torch.no_grad()
    def probabilities(self, frames: Tensor) -> Tensor:
        """How likely each pixel of ``frames (T, 3, H, W)`` shows the object, ``(T, 1, H, W)`` in [0, 1]."""
        return torch.cat([self.logits(part).sigmoid() for part in frames.split(4)])

    def logits(self, frames: Tensor) -> Tensor:
        """Their logits, ``(T, 1, H, W)``; differentiable."""
        height, width = frames.shape[-2:]
        grown = F.pad(signed(frames), (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        made = self.network(grown)[..., :height, :width]
        # The output block ends in tanh (Appendix A.1); its inverse, doubled, is the logit of (1 + tanh) / 2.
        return 2 * torch.atanh(made.clamp(-1 + 1e-6, 1 - 1e-6))


def weighted_cross_entropy(logits: Tensor, target: Tensor, judged: Tensor, alpha: float = 0.8) -> Tensor:
    """Eq. 6: binary cross-entropy with weight ``alpha`` on background, mean over the pixels that are judged.

    Args:
        logits: ``(N, 1, H, W)``.
        target: M' in {0, 1}.
        judged: ``(N, 1, H, W)`` in {0, 1}, 1 - M_0.
        alpha: the background's weight.
    """
    weight = torch.where(target > 0, 1.0, alpha) * judged
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (entropy * weight).sum() / judged.sum().clamp_min(1)


def followed(masks: Tensor) -> Tensor:
    """Masks ``(T, 1, H, W)`` in {0, 1} without the regions that do not continue the object, frame by frame.

    The first mask is trusted. Of each other one those regions are kept that touch, or nearly touch, the mask of the
    frame before; where none does the mask is empty, and the search goes on from the last one that was not.
    """
    radius = max(1, round(REACH * math.hypot(*masks.shape[-2:])))
    result, before = masks.clone(), masks[0]
    for index in range(1, len(masks)):
        near = window_max(before[None], radius)[0]
        result[index] = _touching(masks[index], near)
        before = result[index] if result[index].any() else before
    return result


def _touching(mask: Tensor, near: Tensor) -> Tensor:
    """The connected regions of ``mask (1, H, W)`` that have a pixel in ``near``."""
    count, labels = cv2.connectedComponents(mask[0].byte().cpu().numpy(), connectivity=8)
    touched = np.unique(labels[(near[0] > 0).cpu().numpy()])
    keep = np.isin(np.arange(count), touched[touched > 0])
    return torch.from_numpy(keep[labels])[None].to(mask)
