"""What sources are asked for. They can be anybody's: an error inside one is told as that source's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.types import Clip, ClipSource, MaskSource
from videoinpaint.plugins import told_as


def draw_clip(source: ClipSource, rng: np.random.Generator, num_frames: int, height: int, width: int) -> Clip:
    """`ClipSource.sample`.

    Raises:
        PluginError: it fails in a source of somebody else's.
    """
    with told_as("clip source", source, "sample"):
        return source.sample(rng, num_frames, height, width)


def load_clip(source: ClipSource, name: str, num_frames: int, height: int, width: int, start: int = 0) -> Clip:
    """`ClipSource.load`; raises as :func:`draw_clip` does."""
    with told_as("clip source", source, "load"):
        # One that knows nothing of windows within a clip is not asked for any.
        place = (start,) if start else ()
        return source.load(name, num_frames, height, width, *place)


def clip_names(source: ClipSource) -> list[str]:
    """`ClipSource.names`; raises as :func:`draw_clip` does."""
    with told_as("clip source", source, "names"):
        return source.names()


def draw_holes(source: MaskSource, rng: np.random.Generator, clip: Clip) -> NDArray[np.uint8]:
    """`MaskSource.sample`; raises as :func:`draw_clip` does."""
    with told_as("mask source", source, "sample"):
        return source.sample(rng, clip)
