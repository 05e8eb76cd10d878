"""Several annotated frames for any propagator: each is followed both ways in time, up to its neighbours."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from videoinpaint.errors import InputError
from videoinpaint.inpainters.propagators.common import CheckedTracker
from videoinpaint.protocols import MaskPropagator, Tracker


class AnnotatedTracker:
    """One clip of which the target is known in some frames.

    From each of these the propagator follows the target to the next one, and back to the one before. Between two of
    them the two predictions are mixed by distance: where they disagree, that of the nearer one wins.

    Args:
        propagator: follows a target from the first of the frames it is given.
        frames: ``(T, 3, H, W)`` in [0, 1].
        known: the annotated frames' masks ``(1, H, W)`` in {0, 1}, by number; a mask that is empty says that the target
            is absent there.

    Raises:
        InputError: no mask shows the target; a number is no frame's; see `MaskPropagator.start`.
    """

    def __init__(self, propagator: MaskPropagator, frames: Tensor, known: Mapping[int, Tensor]) -> None:
        if not any(mask.any() for mask in known.values()):
            raise InputError("no mask shows the target: mark it in a frame that shows it")
        for number in known:
            if not 0 <= number < len(frames):
                raise InputError(f"there is no frame {number} to be marked: frames count from 0 to {len(frames) - 1}")
        self._known, self._length = dict(sorted(known.items())), len(frames)
        numbers = list(self._known)
        stops = zip(numbers, [0, *numbers], [*numbers[1:], len(frames) - 1])
        runs = [(at, stop) for at, *both in stops for stop in both if stop != at]
        self._runs = [_Run(propagator, frames, at, stop, self._known) for at, stop in runs]

    def masks(self) -> Tensor:
        """``(T, 1, H, W)`` in [0, 1], the given ones as they are; see :class:`videoinpaint.protocols.Tracker`."""
        given = torch.stack(list(self._known.values()))
        mixed = given.new_zeros(self._length, *given.shape[1:])
        for run in self._runs:
            if run.tracker is not None:
                mixed = mixed.index_add(0, run.order, run.share * run.tracker.masks()[1:].to(mixed))
        return mixed.index_copy(0, torch.tensor(list(self._known), device=mixed.device), given).clamp(0, 1)

    def parameters(self) -> list[nn.Parameter]:
        """Those of all runs, each once."""
        found = [p for run in self._runs if run.tracker is not None for p in run.tracker.parameters()]
        return list(dict.fromkeys(found))


class _Run:
    """The target followed from one annotated frame to another, or to an end of the clip.

    Attributes:
        order: the frames after the annotated one, in the order in which they are followed.
        share: how much this run counts in each of them, ``(len(order), 1, 1, 1)``.
        tracker: None where the target is absent from the annotated frame.
    """

    def __init__(
        self, propagator: MaskPropagator, frames: Tensor, at: int, stop: int, known: Mapping[int, Tensor]
    ) -> None:
        step = 1 if stop > at else -1
        order = torch.arange(at, stop + step, step, device=frames.device)
        self.order = order[1:]
        alone = stop not in known
        # Of two that are equally near the earlier one wins; else, where they disagree, neither would be above one half.
        away = torch.arange(1, len(order), device=frames.device) - step * 0.01
        fading = 1 - away / (len(order) - 1)
        self.share = (torch.ones_like(fading) if alone else fading).view(-1, 1, 1, 1)
        shows = known[at].any()
        self.tracker: Tracker | None = CheckedTracker(propagator, frames[order], known[at]) if shows else None


def follow_from(propagator: MaskPropagator, frames: Tensor, known: Mapping[int, Tensor]) -> Tracker:
    """A tracker of a target that is known in some frames; the propagator's own where that is the first frame alone.

    Args:
        propagator: any.
        frames: ``(T, 3, H, W)`` in [0, 1].
        known: see :class:`AnnotatedTracker`.

    Raises:
        InputError: see :class:`AnnotatedTracker`.
    """
    if set(known) == {0}:
        return CheckedTracker(propagator, frames, known[0])
    return AnnotatedTracker(propagator, frames, known)
