"""What one pass works on, and which episodes of a batch do the same work."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from videoinpaint.inpainters.published import plan
from videoinpaint.protocols import State

FEATURE, TOKEN = 4, 12
"""Pixels a side of a feature, and between neighbouring tokens of the networks that cut them from features."""

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Job:
    """Episodes of a batch whose pass consists of the same work.

    Attributes:
        items: their places in the batch.
        windows: what is computed.
        heads: how many heads run; None: each window of attention runs its own number.
        whole: see `Pass`.
    """

    items: tuple[int, ...]
    windows: tuple[plan.Window, ...]
    heads: int | None
    whole: bool


@dataclass(frozen=True)
class Pass:
    """What one pass over equal episodes works on, at the network's size.

    Attributes:
        state: of these episodes.
        frames: ``(n, T, 3, h, w)`` in [-1, 1].
        holes: ``(n, T, 1, h, w)`` in {0, 1}, dilated.
        fusion: ``(n,)``, or a map at the features' size, ``(n, 1, h/4, w/4)``.
        whole: the whole hole of the episode is painted, as the published network does.
        heads: the control at every token, ``(n, rows, cols)``, where it varies over the frame.
    """

    state: State
    frames: Tensor
    holes: Tensor
    fusion: Tensor
    whole: bool
    heads: Tensor | None = None

    def take(self, items: list[int]) -> Pass:
        """The same for some of its episodes."""
        state = {name: tensor[items] for name, tensor in self.state.items()}
        heads = None if self.heads is None else self.heads[items]
        return Pass(state, self.frames[items], self.holes[items], self.fusion[items], self.whole, heads)


def jobs_of(holes: Tensor, whole: Sequence[bool], heads: Sequence[int | None]) -> list[Job]:
    """A batch sorted by equal work; an episode without a hole is in no job.

    Args:
        holes: dilated, ``(B, T, 1, h, w)`` in {0, 1}.
        whole: of each episode, whether it computes the published windows, or as few as predict its flagged frames.
        heads: of each episode, see `Job`.
    """
    windows = plan.published_windows(holes.shape[1])
    chosen = [
        tuple((plan.touched if all_of_them else plan.cover)(windows, flags))
        for flags, all_of_them in zip(flagged_frames(holes), whole)
    ]
    return [Job(tuple(items), *kind) for kind, items in alike(list(zip(chosen, heads, whole))) if kind[0]]


def flagged_frames(holes: Tensor) -> list[list[bool]]:
    """Of each episode of ``holes (B, T, 1, h, w)``, which frames have a hole."""
    return holes.flatten(2).amax(2).gt(0).tolist()


def frames_of(windows: Sequence[plan.Window]) -> tuple[int, ...]:
    """All frames that some windows look at, in order."""
    return tuple(sorted({frame for window in windows for frame in window.frames}))


def alike(keys: Sequence[Key]) -> list[tuple[Key, list[int]]]:
    """Each different key, and where it stands."""
    places: dict[Key, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    return list(places.items())
