"""Target inactivation and complementary attention (CIRI, Section 3.2, Eq. 1 and 3)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoinpaint.errors import InputError
from videoinpaint.inpainters.ciri.joint import JointMap, looked_up
from videoinpaint.motion.neighbourhoods import window_max

REACH = 0.08
"""How far beyond the prediction the target is looked for, as a share of the frame's width."""

EDGE = 1  # pixels by which a target's soft edge reaches beyond its mask
FAR = -20.0  # logits below this say that a pixel is too far from the prediction to be looked at
KEYS = 32  # channels in which features are compared


@dataclass(frozen=True)
class Stage:
    """One scale of a backbone's encoder, whose output is inactivated.

    Attributes:
        module: its output is the feature map ``(N, C, h, w)``.
        channels: C.
        channels_last: the output is ``(N, h, w, C)`` instead.
    """

    module: nn.Module
    channels: int
    channels_last: bool = False


@dataclass(frozen=True)
class Blend:
    """How far a curriculum still leans on the true masks (Eq. 2): 1 = on them alone, 0 = not at all.

    Attributes:
        predicted: of the branch of the predicted masks.
        attention: of the branch of the complementary attention.
        truth: M_gt ``(B, T, 1, H, W)``; only training has it.
    """

    predicted: float = 0.0
    attention: float = 0.0
    truth: Tensor | None = None

    def mix(self, weight: float, inaccurate: Tensor) -> Tensor:
        """``alpha * M_gt + (1 - alpha) * M_err`` at the size of ``inaccurate (N, 1, h, w)``."""
        if self.truth is None or weight == 0:
            return inaccurate
        return weight * resized(self.truth.flatten(0, 1), inaccurate) + (1 - weight) * inaccurate


@dataclass(frozen=True)
class Guidance:
    """Where the target is believed to be.

    Attributes:
        maps: M_iac of every stage, ``(B, T, 1, h_s, w_s)`` in [0, 1].
        joint: the maps of all stages made one, ``(B, T, 1, H, W)`` in [0, 1]: how far a pixel is repainted.
        logits: of `joint`.
    """

    maps: tuple[Tensor, ...]
    joint: Tensor
    logits: Tensor


class Inactivation(nn.Module):
    """From predicted masks and the encoder's features to inactivation maps.

    The publication compares a pixel's feature with the target's mean feature in the first frame by their cosine. A
    small encoder's features all resemble each other, so here a learned projection of them is compared, with the
    target's mean and with that of its surroundings, and the difference decides. The publication decodes whole frames;
    here the maps also decide, joined at full size, how far a pixel is repainted at all.

    Args:
        channels: of each stage's features.
        attention: use the complementary attention; without it the maps are the predictions (the ablation "T.I.").
        learned: compare learned projections; False compares the features themselves, for backbones that nobody has
            trained with inactivation.
    """

    def __init__(self, channels: Sequence[int], attention: bool = True, learned: bool = True) -> None:
        super().__init__()
        self.attention = attention
        self.keys = nn.ModuleList(nn.Conv2d(c, KEYS, 1) if learned else nn.Identity() for c in channels)
        self.sharpness = nn.Parameter(torch.full((len(channels),), 6.0))
        self.offset = nn.Parameter(torch.full((len(channels),), -1.0))
        self.share = nn.Parameter(torch.zeros(len(channels)))  # beta of Eq. 3 is its sigmoid
        self.joint = JointMap(len(channels), KEYS if attention and learned else 0)

    def forward(
        self,
        features: Sequence[Tensor],
        frames: Tensor,
        predicted: Tensor,
        first: Tensor,
        blend: Blend | None = None,
    ) -> Guidance:
        """The maps of a batch of clips.

        Args:
            features: of every stage, ``(B * T, C, h, w)``, of the frames as they are.
            frames: ``(B, T, 3, H, W)`` in [0, 1].
            predicted: M_pred ``(B, T, 1, H, W)`` in [0, 1].
            first: the target in the first frame, ``(B, 1, H, W)`` in {0, 1}.
            blend: the curriculum's state; None: the inaccurate masks alone, as in testing.
        """
        blend, (batch, length) = blend or Blend(), predicted.shape[:2]
        leading = blend.mix(blend.predicted, predicted.flatten(0, 1))
        near = surroundings(leading)
        maps, compared = [], []
        found = None
        for index, stage in enumerate(features):
            mask = resized(leading, stage)
            if self.attention:
                keys = F.normalize(self.keys[index](stage), dim=1)
                compared.append(self._compared(keys, first, length))
                similar = self._attention(index, compared[-1]) * resized(near, stage)
                beta = self.share[index].sigmoid()
                mask = beta * mask + (1 - beta) * blend.mix(blend.attention, similar)
                if self.joint.keys and index == len(features) - 1:
                    found = looked_up(keys, resized(first, stage), length)
            maps.append(_with_first(mask, first, length))
        logits = self.joint(maps, compared if self.joint.keys else [], found, leading, frames.flatten(0, 1))
        logits = logits + torch.where(near > 0, 0.0, 2 * FAR)
        joint = _with_first(logits.sigmoid(), window_max(first, EDGE), length)
        shape = (batch, length)
        return Guidance(tuple(m.unflatten(0, shape) for m in maps), *(x.unflatten(0, shape) for x in (joint, logits)))

    def _compared(self, keys: Tensor, first: Tensor, length: int) -> Tensor:
        """Keys ``(N, C, h, w)`` times the target's direction less that of its surroundings, channel by channel."""
        frames = keys.unflatten(0, (-1, length))
        target = resized(first, keys)
        beside = surroundings(target) * (1 - target)
        inner, outer = (pooled(frames[:, 0], mask) for mask in (target, beside))
        return (frames * (inner - outer)[:, None, :, None, None]).flatten(0, 1)

    def _attention(self, index: int, compared: Tensor) -> Tensor:
        """The complementary attention map ``(N, 1, h, w)`` in [0, 1]: the difference of two cosines, calibrated."""
        return (self.sharpness[index] * compared.sum(1, keepdim=True) + self.offset[index]).sigmoid()


def pooled(features: Tensor, mask: Tensor) -> Tensor:
    """Mask region pooling: the mean direction of ``features (B, C, h, w)`` under ``mask (B, 1, h, w)``, ``(B, C)``."""
    return F.normalize((features * mask).sum((2, 3)) + 1e-6, dim=1)


def surroundings(masks: Tensor) -> Tensor:
    """Masks ``(N, 1, H, W)`` above one half, dilated by ``REACH`` of the width; {0, 1}."""
    radius = max(1, round(REACH * masks.shape[-1]))
    return window_max((masks > 0.5).to(masks.dtype), radius)


def resized(masks: Tensor, like: Tensor) -> Tensor:
    """Masks ``(N, 1, H, W)`` area-averaged to the size of ``like (..., h, w)``."""
    size = (like.shape[-2], like.shape[-1])
    return masks if tuple(masks.shape[-2:]) == size else F.adaptive_avg_pool2d(masks, size)


def _with_first(maps: Tensor, first: Tensor, length: int) -> Tensor:
    """Maps ``(B * T, 1, h, w)`` whose first frame is the given mask."""
    given = resized(first, maps).unsqueeze(1)
    return torch.cat([given, maps.unflatten(0, (-1, length))[:, 1:]], dim=1).flatten(0, 1)


_HOOKED = threading.RLock()
"""Hooks act on all that runs a module: while one thread has some, no other runs the backbone, as when a coming episode
is prefetched beside a step."""


@contextmanager
def recorded(stages: Sequence[Stage]) -> Iterator[list[Tensor]]:
    """While the block runs, the stages' outputs go to the list, as ``(N, C, h, w)``, in the order of `stages`.

    Every stage must run over every frame exactly once, over all of them or over a few at a time, in their order.
    """
    outputs: dict[int, list[Tensor]] = {}

    def hook(index: int, stage: Stage) -> Any:
        def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            outputs.setdefault(index, []).append(output.movedim(-1, 1) if stage.channels_last else output)

        return stage.module.register_forward_hook(keep)

    found: list[Tensor] = []
    with _HOOKED:
        handles = [hook(index, stage) for index, stage in enumerate(stages)]
        try:
            yield found
        finally:
            for handle in handles:
                handle.remove()
    if len(outputs) != len(stages):
        raise InputError(f"{len(stages) - len(outputs)} of the backbone's {len(stages)} stages did not run")
    found.extend(torch.cat(outputs[index]) for index in range(len(stages)))


@contextmanager
def inactivated(stages: Sequence[Stage], maps: Sequence[Tensor]) -> Iterator[None]:
    """While the block runs, Eq. 1: ``F_out = (1 - M_iac) * F_in`` at every stage.

    Args:
        stages: of the backbone.
        maps: one for each, ``(N, 1, h, w)`` for the N frames that the block encodes, all of them or a few at a time, in
            their order.
    """

    def hook(stage: Stage, mask: Tensor) -> Any:
        done = 0

        def scale(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
            nonlocal done
            kept = 1 - mask[done : done + len(output)]
            done = (done + len(output)) % len(mask)
            return cast(Tensor, output * (kept.movedim(1, -1) if stage.channels_last else kept))

        return stage.module.register_forward_hook(scale)

    with _HOOKED:
        handles = [hook(stage, mask) for stage, mask in zip(stages, maps, strict=True)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
