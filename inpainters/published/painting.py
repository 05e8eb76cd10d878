"""The painting of a job: its windows transformed and decoded, each kind of work counted once.

How the networks differ is a handful of hooks, :class:`Hooks`; they are the methods of the adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from videoinpaint.boxes import Box, box_of, within
from videoinpaint.inpainters.published import plan
from videoinpaint.inpainters.published.cost import Meter
from videoinpaint.inpainters.published.feature_cache import Features
from videoinpaint.inpainters.published.work import Job, Pass, alike, frames_of


class Hooks(Protocol):
    """What a network does in a pass."""

    def inputs(self, work: Pass, frames: Sequence[int]) -> Tensor:
        """What the encoder takes of some frames, ``(n, len(frames), c, h, w)``."""
        ...

    def encode(self, inputs: Tensor) -> Tensor:
        """Inputs ``(N, c, h, w)`` to features ``(N, C, h/4, w/4)``."""
        ...

    def transform(self, work: Pass, features: Tensor, window: plan.Window) -> Tensor:
        """From the features of a window's frames ``(n, K, C, h/4, w/4)`` to those of its local frames."""
        ...

    def decode(self, features: Tensor, box: Box) -> Tensor:
        """Features ``(N, C, h/4, w/4)`` to what frames in [-1, 1] show in a box."""
        ...

    def pattern(self, work: Pass, window: plan.Window) -> list[Hashable]:
        """For each item: what, beside shapes and heads, decides the cost of `transform`."""
        ...


def encode(hooks: Hooks, meter: Meter, work: Pass, features: Features, frames: Sequence[int]) -> Tensor:
    """Bring the features of some frames up to date, in place; the GFLOPs of each item, ``(n,)``."""
    return features.update(hooks.encode, hooks.inputs(work, frames), frames, meter)


def paint(hooks: Hooks, meter: Meter, work: Pass, features: Features, job: Job) -> tuple[Tensor, Tensor]:
    """Paint the holes of equal episodes.

    Args:
        hooks: of the network.
        meter: counts the work.
        work: the pass over the episodes of the job.
        features: of their frames; those that the windows look at are brought up to date, in place.
        job: the windows.

    Returns:
        frames ``(n, T, 3, h, w)`` in [-1, 1] with predictions inside the holes, and the GFLOPs of each item, ``(n,)``.
    """
    predicted = torch.zeros_like(work.frames)
    spent = encode(hooks, meter, work, features, frames_of(job.windows))
    for window, share in zip(job.windows, plan.shares(job.windows)):
        local, costs = _transform(hooks, meter, work, features.made[:, window.frames], window, job.heads)
        spent += costs
        spent += _decode(hooks, meter, work, local, window, share, predicted)
    return torch.where(work.holes > 0, predicted, work.frames), spent


def _transform(
    hooks: Hooks, meter: Meter, work: Pass, features: Tensor, window: plan.Window, heads: int | None
) -> tuple[Tensor, Tensor]:
    """`Hooks.transform`, together for the items whose cost follows one pattern."""
    result = features[:, : len(window.local)].clone()
    costs = torch.zeros(len(features), dtype=torch.float64)
    for pattern, equal in alike(hooks.pattern(work, window)):
        part = work.take(equal)
        kind = ("transform", len(window.local), len(window.references), heads, work.whole, pattern)
        call = partial(hooks.transform, part, features[equal], window)
        result[equal], costs[equal] = _counted(meter, part, kind, call)
    return result, costs


def _decode(
    hooks: Hooks,
    meter: Meter,
    work: Pass,
    local: Tensor,
    window: plan.Window,
    share: dict[int, float],
    predicted: Tensor,
) -> Tensor:
    """Add the shares of a window's predictions to ``predicted``, in a box around each item's holes; the GFLOPs."""
    costs = torch.zeros(len(local), dtype=torch.float64)
    places = [window.local.index(frame) for frame in window.wanted]
    boxes = [box_of(holes) for holes in work.holes[:, window.wanted]]
    for box, equal in alike(boxes):
        assert box is not None  # a wanted frame has a hole
        features = local[equal][:, places].flatten(0, 1)
        kind = ("decode", len(places), box)
        images, costs[equal] = _counted(meter, work.take(equal), kind, partial(hooks.decode, features, box))
        for frame, image in zip(window.wanted, images.unflatten(0, (len(equal), -1)).unbind(1)):
            for item, one in zip(equal, image):
                predicted[item, frame][within(box)] += share[frame] * one
    return costs


def _counted(meter: Meter, work: Pass, kind: tuple[Hashable, ...], call: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """`Meter.run` for a kind of work whose cost also depends on the size of the frames."""
    return meter.run((*kind, *work.frames.shape[-2:]), len(work.frames), call)
