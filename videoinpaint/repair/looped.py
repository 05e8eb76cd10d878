"""Repairing one window of a video in a closed loop: cut out around the holes, with the frames in its reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.agents.policies import Policy, choose
from videoinpaint.controls import action_to_controls, framewide
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.envs.observing import frames_of, observe
from videoinpaint.motion.camera import followed
from videoinpaint.protocols import Reaching, State
from videoinpaint.repair.cutouts import MARGINS, Cutout, cutout_of

BUDGET = 12_000_000
"""Pixels times frames that are kept to carry from, at 36 bytes each and three times as much while a window is begun."""

Pixels = NDArray[np.uint8]
Holes = NDArray[np.bool_]


@dataclass
class _Seen:
    """What is known of the motion of some frames of the video.

    Attributes:
        first: the first of them, counted from the beginning of the video.
        stop: the one after the last.
        cutout: what was cut out of them.
        motion: tensors ``(1, t, ...)``; None where only the cutout is known.
    """

    first: int
    stop: int
    cutout: Cutout
    motion: State | None

    def between(self, first: int, stop: int, cutout: Cutout) -> State | None:
        """What is known of frames from `first` on, before `stop`; None where that is nothing."""
        if self.motion is None or cutout != self.cutout or not self.first <= first < self.stop:
            return None
        return {name: tensor[:, first - self.first : stop - self.first] for name, tensor in self.motion.items()}

    def leads_to(self, first: int, wanted: int) -> bool:
        """Whether a window follows in the same scene: it holds frames from `first` on and repairs those from `wanted`.

        What was looked at may begin after the first frame that is held, where `BUDGET` shortened the reach.
        """
        return first < self.stop and self.first <= wanted


class LoopRepairer:
    """Repairs windows of a video with given masks.

    Args:
        loop: the inpainter and the detector.
        policy: chooses the controls.
        iterations: rounds at most.
        margins: pixels around the holes that are looked at; a later one where it finds the camera's motion between more
            frames of the window.
        grid: rows and columns over what is looked at, for each of whose cells the policy chooses; None: for the whole.
    """

    def __init__(
        self,
        loop: ClosedLoop,
        policy: Policy,
        iterations: int,
        margins: Sequence[int] = MARGINS,
        grid: tuple[int, int] | None = None,
    ) -> None:
        self.loop, self.policy, self.iterations, self.margins, self.grid = loop, policy, iterations, margins, grid
        self._seen: _Seen | None = None

    def repair(self, frames: Sequence[Pixels], holes: Sequence[Holes], first: int, wanted: range) -> Pixels:
        """See :class:`videoinpaint.repair.streaming.Repairer`."""
        part = slice(wanted.start, wanted.stop)
        own, missing = np.stack(frames[part]), np.stack(holes[part])
        if not missing.any():
            return own
        if not isinstance(self.loop.inpainter, Reaching):
            state = self.loop.begin(*_tensors(own, missing))
            return np.where(missing[..., None], self._finished(state), own)
        follows = self._seen is not None and self._seen.leads_to(first, first + wanted.start)
        earlier = self._seen.cutout if self._seen and follows else None
        cutout = self._cutout(reduce(np.logical_or, holes), earlier, own, missing)
        reach = max(0, (BUDGET // (cutout.size[0] * cutout.size[1]) - len(wanted)) // 2)
        low, high = max(0, wanted.start - reach), min(len(frames), wanted.stop + reach)
        before = self._seen.between(first + low, first + high, cutout) if self._seen else None
        around = _tensors(cutout.frames(frames[low:high]), cutout.holes(holes[low:high]))
        inner = range(wanted.start - low, wanted.stop - low)
        state, motion = self.loop.begin_within(*around, inner, before)
        self._seen = _Seen(first + low, first + high, cutout, motion)
        return cutout.pasted(self._finished(state), own, missing)

    def _cutout(self, hole: Holes, earlier: Cutout | None, frames: Pixels, holes: Holes) -> Cutout:
        """The box around everything that is missing in reach, as wide as the window's frames need it."""
        low, wide = (int(side) for side in self.loop.inpainter.min_size)
        best, most = cutout_of(hole, earlier, self.margins[0], least=(low, wide)), -1
        for margin in self.margins[1:]:
            wider = cutout_of(hole, earlier, margin, enough=margin, least=(low, wide))
            if wider == best:
                continue
            most = _followed(best, frames, holes) if most < 0 else most
            if most < len(frames) - 1 and (found := _followed(wider, frames, holes)) > most:
                best, most = wider, found
        return best

    @property
    def looked(self) -> tuple[int, int, Cutout] | None:
        """The first frame that the last window looked at, the one after the last, and what was cut out of them."""
        return None if self._seen is None else (self._seen.first, self._seen.stop, self._seen.cutout)

    def go_on(self, first: int, stop: int, cutout: Cutout) -> None:
        """Go on as after a window that looked there."""
        self._seen = _Seen(first, stop, cutout, None)

    def region(self, mask: Holes) -> Holes:
        """The hole itself."""
        return mask

    def _finished(self, state: State) -> Pixels:
        return repaired_frames(self.loop, state, self.policy, self.iterations, self.grid)


def _followed(cutout: Cutout, frames: Pixels, holes: Holes) -> int:
    """Between how many of the frames the camera's motion is found in what is cut out of them."""
    clip, missing = _tensors(cutout.frames(list(frames)), cutout.holes(list(holes)))
    return followed(clip[0].float() / 255, missing[0].float())


def _tensors(frames: Pixels, holes: Holes) -> tuple[Tensor, Tensor]:
    clip = torch.from_numpy(frames).permute(0, 3, 1, 2)[None].contiguous()
    return clip, torch.from_numpy(holes)[None, :, None]


def repaired_frames(
    loop: ClosedLoop, state: State, policy: Policy, iterations: int, grid: tuple[int, int] | None = None
) -> Pixels:
    """Frames ``(t, H, W, 3)`` of the one clip in a loop's state, after as many rounds as are needed and allowed."""
    shape = (5,) if grid is None else (*grid, 5)

    def chosen(state: State) -> NDArray[np.float32]:
        return framewide(action_to_controls(choose(policy, observe(state), shape), skips=True))

    *_, last = loop.run(state, chosen, iterations)
    return np.ascontiguousarray(frames_of(observe(last)["frames"][0]))
