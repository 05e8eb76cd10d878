"""Holes that are annotated objects: a clip's own, or those of another clip of a source."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.asking import clip_names, load_clip
from videoinpaint.clips.masks.synthetic import checked_dilate, dilated, keep_partial
from videoinpaint.clips.studio.draws import Draws
from videoinpaint.clips.types import Clip, ClipSource
from videoinpaint.errors import InputError

Masks = NDArray[np.uint8]


class AnnotatedMasks:
    """Annotated objects as holes, frame by frame.

    Args:
        others: take the objects of another clip of this source, drawn among those that are long enough, from its first
            frame on; None: of the clip itself.
        dilate: pixels by which the hole grows, at the size of the clip.
    """

    def __init__(self, others: ClipSource | None = None, dilate: int = 0) -> None:
        self.others, self.dilate = others, checked_dilate(dilate)
        self.name = "annotated" if others is None else f"annotated:{others.name}"

    def sample(self, rng: np.random.Generator, clip: Clip) -> Masks:
        """Holes ``(T, H, W)`` for a clip.

        Raises:
            InputError: no objects are known, or no other clip is long enough.
        """
        given = clip if self.others is None else self._other(self.others, rng, clip)
        if given.objects is None or not given.objects.any():
            raise InputError(
                f"clip {given.name!r} has no objects annotated in all of its {len(clip.frames)} frames: use another "
                "part of the data set, or other masks"
            )
        return keep_partial(dilated(given.objects.copy(), self.dilate))

    def check_length(self, clips: ClipSource, num_frames: int) -> None:
        """See before any work starts that there is another clip for every clip.

        Raises:
            InputError: there is none that is long enough.
        """
        if self.others is not None:
            for name in clip_names(clips):
                _fitting(self.others, name, num_frames)

    def _other(self, others: ClipSource, rng: np.random.Generator, clip: Clip) -> Clip:
        count, height, width = clip.frames.shape[:3]
        return load_clip(others, Draws(rng).pick(_fitting(others, clip.name, count)), count, height, width)


def _fitting(others: ClipSource, name: str, num_frames: int) -> list[str]:
    """Clips other than one, with so many frames."""
    length = getattr(others, "length", None)
    fit = [one for one in clip_names(others) if one != name and (length is None or length(one) >= num_frames)]
    if not fit:
        raise InputError(f"no clip of {others.name} beside {name!r} has {num_frames} frames: ask for fewer frames")
    return fit
