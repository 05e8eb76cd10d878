"""Repairing a stream of frames window by window, in memory that the window bounds, not the video."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from videoinpaint.agents.policies import Policy, acts_by_cell, make_policy, reset_policy
from videoinpaint.checks import check_grid, whole_number
from videoinpaint.clips.validate import MIN_SIZE
from videoinpaint.detectors import make_detector
from videoinpaint.device import resolve_device
from videoinpaint.envs.loop import ClosedLoop
from videoinpaint.errors import InputError
from videoinpaint.inpainters import make_inpainter
from videoinpaint.motion.cuts import is_cut, shows_enough
from videoinpaint.naming import stable_name
from videoinpaint.protocols import Detector, Inpainter, Reaching, check_regional, precision_of, regional_of, stream_of
from videoinpaint.repair.defaults import INPAINTER, ITERATIONS, POLICY
from videoinpaint.repair.looped import LoopRepairer
from videoinpaint.version import __version__

WINDOW, OVERLAP, REACH = 24, 3, 60
"""Frames repaired together, how many of them the next window repairs again to cross-fade, and how many before and after
them content is carried from. An inpainter that has an attribute ``stream`` asks for other windows, and only one that is
`Reaching` looks beyond them."""

SHORT, LARGE = 10, 500_000
"""Frames repaired together where a frame has more than so many pixels."""

HELD = 800_000_000
"""Bytes of frames and masks that are held at once; they bound the reach."""

MOST = 10**9
"""Frames or passes that may be asked for: as many as anybody means by "all"."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Windows:
    """How a video is divided in time.

    Attributes:
        length: frames repaired together.
        overlap: how many of them the next window repairs again to cross-fade.
        reach: frames before and after a window from which content is carried into it.
        bounded: fewer of all where frames are so large that they would take much memory.
    """

    length: int
    overlap: int
    reach: int = 0
    bounded: bool = False

    def within(self, height: int, width: int) -> Windows:
        """The windows for frames of this size."""
        pixels = height * width
        length = SHORT if self.bounded and pixels > LARGE and self.length > SHORT else self.length
        room = max(0, (HELD // (4 * pixels) - length) // 2)
        return replace(self, length=length, overlap=min(self.overlap, length - 1), reach=min(self.reach, room))


@dataclass(frozen=True)
class Parts:
    """What repairs videos, made and checked.

    Attributes:
        loop: the inpainter and the detector.
        policy: chooses the controls; it begins anew.
        iterations: rounds for each window.
        windows: over the video.
        grid: rows and columns for each of whose cells the policy chooses; None where it chooses for all alike.
    """

    loop: ClosedLoop
    policy: Policy
    iterations: int
    windows: Windows
    grid: tuple[int, int] | None = None

    @staticmethod
    def made(
        inpainter: str | Inpainter = INPAINTER,
        detector: str | Detector = "compact",
        policy: str | Path | Policy = POLICY,
        iterations: int = ITERATIONS,
        device: str = "auto",
        window: int | None = None,
        overlap: int | None = None,
        weights: str | None = None,
        reach: int | None = None,
        action_grid: tuple[int, int] | None = None,
    ) -> Parts:
        """The parts that these names stand for; see :func:`inpaint`."""
        place = resolve_device(device)
        made = make_inpainter(inpainter, device=place, weights=weights), make_detector(detector, device=place)
        usual = stream_of(made[0], (WINDOW, OVERLAP))
        length = usual[0] if window is None else whole_number(window, "window", 2, MOST)
        overlap = min(usual[1], length - 1) if overlap is None else whole_number(overlap, "overlap", 0, length - 1)
        reach = REACH if reach is None else whole_number(reach, "reach", 0, MOST)
        iterations = whole_number(iterations, "iterations", 1, MOST)
        windows = Windows(length, overlap, reach if isinstance(made[0], Reaching) else 0, bounded=window is None)
        actor = make_policy(policy, device=place)
        reset_policy(actor)
        grid = _grid(action_grid, actor, stable_name(policy), made[0])
        # Nobody asks what the detector would say after the last pass.
        judge = made[1] if iterations > 1 else make_detector("none", device=place)
        return Parts(ClosedLoop(made[0], judge, place), actor, iterations, windows, grid)

    def settings(self) -> dict[str, Any]:
        """What a repair depends on beside video and masks, in plain values."""
        return {
            "version": __version__,
            "inpainter": self.loop.inpainter.name,
            "detector": self.loop.detector.name,
            "iterations": self.iterations,
            "precision": precision_of(self.loop.inpainter),
            "windows": asdict(self.windows),
            "action_grid": self.grid,
        }

    def repairer(self) -> LoopRepairer:
        """What repairs one window with given masks."""
        return LoopRepairer(self.loop, self.policy, self.iterations, grid=self.grid)


class Repairer(Protocol):
    """Repairs one window of a video."""

    def repair(self, frames: Sequence[Pixels], masks: Sequence[NDArray[Any]], first: int, wanted: range) -> Pixels:
        """Repaired frames ``(len(wanted), H, W, 3)``.

        Args:
            frames: ``(H, W, 3)`` each, neighbours of one scene.
            masks: theirs, ``(H, W)`` each.
            first: which frame of the video the first one is.
            wanted: which of them to repair; from the others content may be carried.
        """
        ...

    def region(self, mask: NDArray[Any]) -> NDArray[np.bool_]:
        """Where the repair of a frame with this mask ``(H, W)`` may differ from it."""
        ...


class Stream:
    """Windows over a stream of frames, scene by scene.

    It holds a window of frames and holes with as many in reach before and after it, and of earlier repairs those that
    the next window repairs again. A frame that is lost belongs to the scene before.

    Every window is full, if the scene is that long: the last one reaches back as far as that needs, because an
    inpainter finds little to go by in a window of one or two frames.

    Args:
        repairer: repairs a window.
        windows: how long they are.
        on_cut: called with the number of the first frame of every scene but the first.
    """

    def __init__(self, repairer: Repairer, windows: Windows, on_cut: Callable[[int], None] | None = None) -> None:
        self.repairer, self.windows, self._on_cut = repairer, windows, on_cut or (lambda _: None)

    def run(self, pairs: Iterable[tuple[Pixels, NDArray[Any]]]) -> Iterator[Pixels]:
        """Repaired frames, in order, of frames with their masks."""
        scene = None
        for frame, mask in pairs:
            if scene is None:
                scene = _Scene(self.repairer, self.windows.within(*frame.shape[:2]), 0)
            elif scene.ends_before(frame, mask):
                yield from scene.rest()
                scene = _Scene(self.repairer, scene.windows, scene.stop)
                self._on_cut(scene.stop)
            yield from scene.add(frame, mask)
        if scene is not None:
            yield from scene.rest()


class _Scene:
    """The windows over one scene.

    Args:
        repairer: see `Stream`.
        windows: see `Stream`.
        first: which frame of the video the scene begins with.
    """

    def __init__(self, repairer: Repairer, windows: Windows, first: int) -> None:
        self.repairer, self.windows = repairer, windows
        self._frames: list[Pixels] = []
        self._masks: list[NDArray[Any]] = []
        self._shown: tuple[Pixels, NDArray[Any]] | None = None  # the last one that shows enough to know a cut by
        self._repairs: list[Pixels] = []  # those that are held back, of the frames from `_out` on
        self._first = first  # of the frames that are held
        self._begin = self._out = 0  # the next window's first frame and the first not yielded, counted from `_first`

    @property
    def stop(self) -> int:
        """The frame of the video after the last one added."""
        return self._first + len(self._frames)

    def ends_before(self, frame: Pixels, mask: NDArray[Any]) -> bool:
        """Whether this frame belongs to another scene; one of which too little is known to tell belongs to this one."""
        if self._shown is None:
            return False
        before, hole_before, hole = self._shown[0], self._shown[1] > 0.5, mask > 0.5
        return shows_enough(hole, hole_before) and is_cut(before, frame, hole_before, hole)

    def add(self, frame: Pixels, mask: NDArray[Any]) -> Iterator[Pixels]:
        """One more frame; yields what can be repaired without any further one."""
        # A window is repaired when the frame after its reach comes, because the last one keeps nothing back.
        if len(self._frames) == self._begin + self.windows.length + self.windows.reach:
            yield from self._advance(self.windows.overlap)
            self._begin += self.windows.length - self.windows.overlap
            self._let_go()
        self._frames.append(frame)
        self._masks.append(mask)
        if shows_enough(mask > 0.5, None if self._shown is None else self._shown[1] > 0.5):
            self._shown = frame, mask

    def rest(self) -> Iterator[Pixels]:
        """The frames that are not out yet, when the scene is over."""
        count, length = len(self._frames), self.windows.length
        while self._begin + length < count:
            yield from self._advance(self.windows.overlap)
            self._begin += length - self.windows.overlap
        self._begin = max(0, count - length)
        yield from self._advance(0)

    def _advance(self, keep: int) -> Iterator[Pixels]:
        """Repair the window and yield all but its last `keep` frames."""
        stop = min(self._begin + self.windows.length, len(self._frames))
        wanted = range(self._begin, stop)
        fresh = self.repairer.repair(self._frames, self._masks, self._first, wanted)
        ready = self._faded(fresh[self._out - self._begin :])
        yield from ready[: len(ready) - keep]
        self._repairs, self._out = ready[len(ready) - keep :], stop - keep

    def _let_go(self) -> None:
        """Drop the frames that no later window reaches; the last one may begin a whole window before its end."""
        count = max(0, self._begin - max(self.windows.reach, self.windows.length))
        del self._frames[:count], self._masks[:count]
        self._first, self._begin, self._out = self._first + count, self._begin - count, self._out - count

    def _faded(self, fresh: Pixels) -> list[Pixels]:
        """New repairs of the frames that are not out yet, cross-faded with the earlier repairs of the first of them."""
        result, count = list(fresh), len(self._repairs)
        for i, earlier in enumerate(self._repairs):
            share = (i + 1) / (count + 1)
            mixed = (1 - share) * earlier.astype(np.float32) + share * fresh[i].astype(np.float32)
            region = self.repairer.region(self._masks[self._out + i])
            result[i] = np.where(region[..., None], np.rint(mixed).astype(np.uint8), self._frames[self._out + i])
        return result


def _grid(asked: Any, policy: Policy, name: str, inpainter: Inpainter) -> tuple[int, int] | None:
    """The grid over which a policy chooses: the one asked for, else the one it was trained over, where that can be.

    Raises:
        InputError: a grid of other than two whole numbers from 1 to the least side of a frame, or which the inpainter
            or the policy cannot follow.
    """
    if asked is None:
        trained = getattr(policy, "trained_grid", None)
        if trained is None or not regional_of(inpainter):
            return None
        return check_grid(trained, MIN_SIZE, MIN_SIZE, f"the action_grid that {name} was trained over")
    grid = check_grid(asked, MIN_SIZE, MIN_SIZE)
    check_regional(inpainter, grid, "use compact, compact2, ciri, propainter or e2fgvi, or leave action_grid out")
    if not acts_by_cell(policy):
        raise InputError(
            f"action_grid={grid} is not possible with the policy {name!r}, which chooses for whole frames: use "
            "heuristic, random or a policy that was trained over a grid, or leave action_grid out"
        )
    return grid
