"""What a clip, a clip source and a mask source are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Clip:
    """A short window of video.

    Attributes:
        frames: uint8 ``(T, H, W, 3)``, RGB.
        name: the clip's name within its source.
        objects: uint8 ``(T, H, W)`` in {0, 1}, the true masks of moving objects, where the source knows them.
        start: the clip's frame at which the window begins, so that a mask of the whole clip can be laid over it.
        observed: uint8 ``(T, H, W, 3)``, what the camera saw where that differs from `frames`: `objects` stand before
            the background, and `frames` is the background that a repair should bring back (one-shot inpainting).
    """

    frames: NDArray[np.uint8]
    name: str
    objects: NDArray[np.uint8] | None = None
    start: int = 0
    observed: NDArray[np.uint8] | None = None


@runtime_checkable
class ClipSource(Protocol):
    """Yields clips of any asked size, at random or by name."""

    name: str

    def sample(self, rng: np.random.Generator, num_frames: int, height: int, width: int) -> Clip:
        """A random clip; it depends on nothing but the generator's state and the arguments."""
        ...

    def names(self) -> list[str]:
        """Names that `load` accepts, in a fixed order."""
        ...

    def load(self, name: str, num_frames: int, height: int, width: int, start: int = 0) -> Clip:
        """The window of clip `name` that begins at frame `start`."""
        ...


@runtime_checkable
class MaskSource(Protocol):
    """Yields holes for clips."""

    name: str

    def sample(self, rng: np.random.Generator, clip: Clip) -> NDArray[np.uint8]:
        """A mask uint8 ``(T, H, W)`` for the clip, 1 = missing; no frame is ever all-empty or all-full."""
        ...
