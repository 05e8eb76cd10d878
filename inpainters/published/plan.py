"""Which frames a published network sees together: the sliding windows of its inference script.

All six networks go through a video alike: a window every 5 frames, made of its *local* frames (5 before the centre to 5
after) and of *reference* frames (every 10th of the video that is not local). A frame that several windows predict is
the running average ``0.5 * old + 0.5 * new``, window after window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STEP, REACH, EVERY = 5, 5, 10
WHOLE = 80  # videos up to this length refer to all their 10th frames, longer ones to those near the window
NEAR = 4  # so many on either side
CONTEXT = 2  # unflagged frames on either side that a later pass looks at


@dataclass(frozen=True)
class Window:
    """Frames that are computed together.

    Attributes:
        local: consecutive frames.
        references: other frames, seen by the transformer alone.
        wanted: those of ``local`` whose prediction is used.
    """

    local: tuple[int, ...]
    references: tuple[int, ...]
    wanted: tuple[int, ...]

    @property
    def frames(self) -> tuple[int, ...]:
        """Local frames, then references: the order in which the networks take them."""
        return self.local + self.references


def published_windows(length: int) -> list[Window]:
    """All windows over ``length`` frames in the published order; everything local is wanted."""
    return [_window(centre, length) for centre in range(0, length, STEP)]


def _window(centre: int, length: int) -> Window:
    local = tuple(range(max(0, centre - REACH), min(length, centre + REACH + 1)))
    first, last = 0, length
    if length > WHOLE:  # ProPainter's rule; it keeps what a window needs within reach
        first, last = max(0, centre - EVERY * NEAR), min(length, centre + EVERY * NEAR)
    references = tuple(frame for frame in range(first, last, EVERY) if frame not in local)
    return Window(local, references, local)


def touched(windows: Sequence[Window], flagged: Sequence[bool]) -> list[Window]:
    """The windows that predict a flagged frame, wanting nothing but flagged frames."""
    wanted = [tuple(frame for frame in window.local if flagged[frame]) for window in windows]
    return [Window(w.local, w.references, frames) for w, frames in zip(windows, wanted) if frames]


def cover(windows: Sequence[Window], flagged: Sequence[bool]) -> list[Window]:
    """Few windows that predict every flagged frame once: each reaches as far ahead as it can, and no further than
    ``CONTEXT`` frames beyond those it predicts."""
    chosen: list[Window] = []
    done: set[int] = set()
    for frame in (index for index, flag in enumerate(flagged) if flag):
        if frame in done:
            continue
        best = max((w for w in windows if frame in w.local), key=lambda w: (w.local[-1], -len(w.local)))
        wanted = tuple(f for f in best.local if flagged[f] and f not in done)
        done.update(wanted)
        local = tuple(f for f in best.local if wanted[0] - CONTEXT <= f <= wanted[-1] + CONTEXT)
        chosen.append(Window(local, best.references, wanted))
    return chosen


def shares(windows: Sequence[Window]) -> list[dict[int, float]]:
    """How much each window counts in the running average of each frame it predicts; a frame's shares add up to 1."""
    result: list[dict[int, float]] = [{} for _ in windows]
    rest: dict[int, float] = {}
    for index in range(len(windows) - 1, -1, -1):
        for frame in windows[index].wanted:
            first = not any(frame in earlier.wanted for earlier in windows[:index])
            left = rest.get(frame, 1.0)
            result[index][frame] = left if first else left / 2
            rest[frame] = left / 2
    return result
