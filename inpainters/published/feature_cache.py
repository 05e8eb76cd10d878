"""Features of frames, kept from pass to pass: what has not changed is not encoded again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from videoinpaint.boxes import Box, box_of
from videoinpaint.inpainters.published.cost import Meter
from videoinpaint.inpainters.published.layers.regions import encode_again
from videoinpaint.inpainters.published.work import alike

UNSEEN = 9.0  # no input of a network holds this


@dataclass(frozen=True)
class Features:
    """What the encoder has seen, and made of it.

    Attributes:
        seen: its input ``(B, T, c, h, w)``; ``UNSEEN`` where it has seen nothing yet.
        made: its output ``(B, T, C, h/4, w/4)``.
    """

    seen: Tensor
    made: Tensor

    @classmethod
    def nothing(cls, like: Tensor, channels: int) -> Features:
        """Nothing seen of inputs ``(B, T, c, h, w)``."""
        height, width = (length // 4 for length in like.shape[-2:])
        return cls(torch.full_like(like, UNSEEN), like.new_zeros(*like.shape[:2], channels, height, width))

    def take(self, items: list[int]) -> Features:
        """Copies of those of some episodes."""
        return Features(self.seen[items], self.made[items])

    def update(
        self, encoder: Callable[[Tensor], Tensor], inputs: Tensor, frames: Sequence[int], meter: Meter
    ) -> Tensor:
        """Bring some frames up to date, in place: only a box around what has changed is encoded.

        Args:
            encoder: ``(N, c, h, w)`` to ``(N, C, h/4, w/4)``.
            inputs: of these frames now, ``(B, len(frames), c, h, w)``.
            frames: their places in the clip.
            meter: counts the work.

        Returns:
            the GFLOPs of each episode, ``(B,)``.
        """
        chosen = list(frames)
        changed = (inputs != self.seen[:, chosen]).any(2, keepdim=True)
        costs = torch.zeros(len(inputs), dtype=torch.float64)
        for (places, box), items in alike([_what_changed(item) for item in changed]):
            if box is None:
                continue
            rows, where = list(places), [chosen[place] for place in places]
            fresh = inputs[items][:, rows].flatten(0, 1)
            before = self.made[items][:, where].flatten(0, 1)
            # A box is encoded with what lies around it, which is less at the edge of a smaller frame.
            kind = ("encode", len(rows), box, *inputs.shape[-2:])
            made, cost = meter.run(kind, len(items), partial(encode_again, encoder, before, fresh, box))
            for item, own, new in zip(items, fresh.unflatten(0, (len(items), -1)), made.unflatten(0, (len(items), -1))):
                self.seen[item, where], self.made[item, where] = own, new
                costs[item] = cost
        return costs


def _what_changed(changed: Tensor) -> tuple[tuple[int, ...], Box | None]:
    """Which frames of ``changed (K, 1, h, w)`` have changed anywhere, and the box around all of it."""
    places = changed.flatten(1).any(1).nonzero().flatten().tolist()
    return tuple(places), box_of(changed)
