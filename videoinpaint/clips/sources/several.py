"""Several clip sources as one, such as synthetic scenes and real video for one training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from videoinpaint.clips.asking import clip_names, draw_clip, load_clip
from videoinpaint.clips.studio.draws import Draws
from videoinpaint.clips.types import Clip, ClipSource
from videoinpaint.clips.validate import check_length
from videoinpaint.errors import InputError, UnknownNameError


class SeveralClips:
    """A clip source that draws a source first, all with equal chance; name one twice to draw it twice as often.

    Args:
        sources: what to draw from.

    Raises:
        InputError: there is none.
    """

    def __init__(self, sources: Sequence[ClipSource]) -> None:
        if not sources:
            raise InputError("several clip sources need at least one: studio,FOLDER")
        self.sources = list(sources)
        self.name = ",".join(source.name for source in sources)

    def names(self) -> list[str]:
        """The names of all sources, in their order, none twice."""
        return list(dict.fromkeys(name for source in self.sources for name in clip_names(source)))

    def check_length(self, num_frames: int) -> None:
        """Each source's own check.

        Raises:
            InputError: a clip of one of them is too short.
        """
        for source in self.sources:
            check_length(source, num_frames)

    def sample(self, rng: np.random.Generator, num_frames: int, height: int, width: int) -> Clip:
        """A random clip of a random source."""
        return draw_clip(Draws(rng).pick(self.sources), rng, num_frames, height, width)

    def load(self, name: str, num_frames: int, height: int, width: int, start: int = 0) -> Clip:
        """The window of clip `name` that begins at frame `start`, from the first source that knows it.

        Raises:
            UnknownNameError: none does.
        """
        for source in self.sources:
            try:
                return load_clip(source, name, num_frames, height, width, start)
            except UnknownNameError:
                continue
        raise UnknownNameError(f"no clip {name!r} in any of {self.name}")
