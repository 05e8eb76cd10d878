"""Repairing a stream of frames window by window, in memory that the window bounds, not the video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from videoinpaint.agents.policies import Policy, check_actions, make_policy, reset_policy
from videoinpaint.controls import action_to_controls
from videoinpaint.detectors import make_detector
from videoinpaint.envs.loop import ClosedLoop, observe, resolve_device
from videoinpaint.errors import InputError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.protocols import Detector, Inpainter, State, stream_of

WINDOW, OVERLAP = 10, 3
"""Frames repaired together, and how many of them the next window repairs again to cross-fade; an inpainter that has an
attribute ``stream`` asks for other numbers."""

POLICY, ITERATIONS = "default", 1
"""The default controls, once: with all heads a second and third pass of the compact network change the error inside the
hole by less than 0.01 dB and cost as much as the first (docs/models/inpainter-compact.md)."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Parts:
    """What repairs videos, made and checked.

    Attributes:
        loop: the inpainter and the detector.
        policy: chooses the controls; it begins anew.
        iterations: rounds for each window.
        windows: frames of a window, and those that neighbouring windows share.
    """

    loop: ClosedLoop
    policy: Policy
    iterations: int
    windows: tuple[int, int]

    @staticmethod
    def made(
        inpainter: str | Inpainter = "compact",
        detector: str | Detector = "compact",
        policy: str | Path | Policy = POLICY,
        iterations: int = ITERATIONS,
        device: str = "auto",
        window: int | None = None,
        overlap: int | None = None,
        weights: str | None = None,
    ) -> Parts:
        """The parts that these names stand for; see :func:`inpaint`."""
        place = resolve_device(device)
        made = make_inpainter(inpainter, device=place, weights=weights), make_detector(detector, device=place)
        usual = stream_of(made[0], (WINDOW, OVERLAP))
        window = usual[0] if window is None else window
        overlap = min(usual[1], window - 1) if overlap is None else overlap
        _check_settings(iterations, window, overlap)
        actor = make_policy(policy, device=place)
        reset_policy(actor)
        return Parts(ClosedLoop(*made, place), actor, iterations, (window, overlap))

    def repairer(self) -> Repairer:
        """What repairs one window with given masks."""
        return LoopRepairer(self.loop, self.policy, self.iterations)


class Repairer(Protocol):
    """Repairs one window of a video."""

    def repair(self, frames: Pixels, masks: NDArray[Any]) -> Pixels:
        """Frames ``(t, H, W, 3)`` repaired, whose masks are ``(t, H, W)``."""
        ...

    def region(self, mask: NDArray[Any]) -> NDArray[np.bool_]:
        """Where the repair of a frame with this mask ``(H, W)`` may differ from it."""
        ...


@dataclass(frozen=True)
class LoopRepairer:
    """Repairs one window in a closed loop."""

    loop: ClosedLoop
    policy: Policy
    iterations: int

    def repair(self, frames: Pixels, holes: NDArray[np.bool_]) -> Pixels:
        """Frames ``(t, H, W, 3)`` with the holes ``(t, H, W)`` filled and everything else as it was."""
        if not holes.any():
            return frames
        clip = torch.from_numpy(frames).permute(0, 3, 1, 2)[None].contiguous()
        state = self.loop.begin(clip, torch.from_numpy(holes)[None, :, None])
        return np.where(holes[..., None], repaired_frames(self.loop, state, self.policy, self.iterations), frames)

    def region(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The hole itself."""
        return mask


def repaired_frames(loop: ClosedLoop, state: State, policy: Policy, iterations: int) -> Pixels:
    """Frames ``(t, H, W, 3)`` of the one clip in a loop's state, after as many rounds as are needed and allowed."""

    def choose(state: State) -> NDArray[np.float32]:
        return action_to_controls(check_actions(policy.act(observe(state)), 1))

    *_, last = loop.run(state, choose, iterations)
    frames = observe(last)["frames"][0]
    return np.ascontiguousarray(frames.reshape(-1, 3, *frames.shape[1:]).transpose(0, 2, 3, 1))


class Stream:
    """Windows over a stream. It holds at most a window of frames, of holes and of earlier repairs.

    Every window is full, if the video is that long: the last one reaches back as far as that needs, because an
    inpainter finds little to go by in a window of one or two frames.
    """

    def __init__(self, repairer: Repairer, window: int, overlap: int) -> None:
        self.repairer, self.window, self.overlap = repairer, window, overlap
        self._frames: list[Pixels] = []
        self._holes: list[NDArray[Any]] = []
        self._repairs: list[Pixels] = []  # of the first frames of the window: those an earlier window repaired
        self._yielded = 0  # how many of the window's frames are out already

    def run(self, pairs: Iterable[tuple[Pixels, NDArray[Any]]]) -> Iterator[Pixels]:
        """Repaired frames, in order, of frames with their masks."""
        # A full window is repaired when the frame after it comes, because the last one keeps nothing back; the next is
        # due when only the frames held back are left of it.
        for frame, hole in pairs:
            if len(self._frames) == self.window:
                if self._yielded == 0:
                    yield from self._advance(self.overlap)
                self._slide()
            self._frames.append(frame)
            self._holes.append(hole)
        yield from self._advance(0)

    def _slide(self) -> None:
        """Drop the oldest frame: it is out."""
        for held in (self._frames, self._holes, self._repairs):
            del held[0]
        self._yielded -= 1

    def _advance(self, keep: int) -> Iterator[Pixels]:
        """Repair the window and yield all but its last `keep` frames."""
        result = self._faded(self.repairer.repair(np.stack(self._frames), np.stack(self._holes)))
        self._repairs = result
        stop = len(result) - keep
        yield from result[self._yielded : stop]
        self._yielded = stop

    def _faded(self, fresh: Pixels) -> list[Pixels]:
        """The new repairs, cross-faded with the earlier ones over the frames that are not out yet."""
        start, stop = self._yielded, len(self._repairs)
        result = [*self._repairs[:start], *fresh[start:]]
        for i in range(start, stop):
            share = (i - start + 1) / (stop - start + 1)
            mixed = (1 - share) * self._repairs[i].astype(np.float32) + share * fresh[i].astype(np.float32)
            region = self.repairer.region(self._holes[i])
            result[i] = np.where(region[..., None], np.rint(mixed).astype(np.uint8), self._frames[i])
        return result


def _check_settings(iterations: int, window: int, overlap: int) -> None:
    if iterations < 1:
        raise InputError(f"iterations must be at least 1, got {iterations}")
    if window < 2 or not 0 <= overlap < window:
        raise InputError(f"window must be at least 2 and overlap from 0 to window - 1, got {window} and {overlap}")
