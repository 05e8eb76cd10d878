"""Frames written into the pictures of the video that they repair: what they do not change stays, bit for bit."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.stream import Disposition
from av.video.frame import PictureType
from numpy.typing import NDArray

from videoinpaint.clips.files.borrowed import HALF_TURN, shape_pixels
from videoinpaint.clips.files.colour import from_rgb, paste, to_rgb
from videoinpaint.clips.files.companions import Companions
from videoinpaint.clips.files.decoding import opened, size_note
from videoinpaint.clips.files.description import describe
from videoinpaint.clips.files.orientation import as_stored
from videoinpaint.clips.files.planes import converted, fitted, format_for, padded, planar
from videoinpaint.clips.files.reading import VideoReader
from videoinpaint.errors import InputError, warn

_LATE = 60  # seconds; a clock that begins later is that of a broadcast, which a player would wait for


class Repainting:
    """A second pass over a video, in step with the frames that repair it; one picture in memory at a time.

    Args:
        source: the video.
        timed: keep the video's time stamps, and with them its sound, subtitles and chapters.
        audio: keep its sound.
    """

    def __init__(self, source: VideoReader, timed: bool, audio: bool) -> None:
        self.source, self._timed, self._audio = source, timed, audio
        self._pictures = source.pictures()
        self._companions: Companions | None = None
        self._centred = False
        self._position = 0
        self.aspect: Fraction | None = None
        self._size = (0, 0)
        self._form, self._base, self._begin = "", Fraction(1), Fraction(0)
        self._end: int | None = None  # of an .mp4

    def prepare(self, output: Any, stream: Any, final: Path) -> None:
        """Say of the output and its stream what the source says of them; join everything else that the source holds."""
        path, index = self.source.path, self.source.index
        first = next(self.source.pictures())
        self._form = format_for(stream.codec.name, planar(first))
        with opened(path) as (container, old):
            self.aspect = _told_aspect(output, stream, old)
            if self.aspect and index.matrix:
                warn(f"{final} cannot hold both the turn and the shape of pixels of {path}: its pixels are square")
            matrix = HALF_TURN if self.aspect and not index.matrix else index.matrix
            self._centred = describe(stream, self._form, container, old, first, matrix, path, final)
            if len(container.streams.video) > 1:  # which of them is meant by this one is not left to guesses
                stream.disposition |= Disposition.default
            number, begin = old.index, container.start_time or 0
            if self._timed and index.seekable and "mp4" in container.format.name and old.duration:
                self._end = (old.start_time or 0) + old.duration
        self._size = (stream.width, stream.height)
        context = stream.codec_context
        base = index.time_base if self._timed else 1 / context.framerate
        context.time_base = stream.time_base = self._base = base
        if self._timed:
            context.flags |= Flags.frame_duration
        if self._timed and index.seekable and begin > _LATE * av.time_base:
            warn(f"the clock of {path} begins at {begin // av.time_base} s: {final} begins at 0")
            self._begin = Fraction(begin, av.time_base)
        self._companions = Companions(
            path, number, output, final, self._audio, self._timed, self._begin, index.clock
        )  # fmt: skip
        if (stream.height, stream.width) != index.stored:
            key = next((key for key in output.metadata if key.lower() == "comment"), "comment")
            note = size_note(index.stored[0], index.stored[1])
            output.metadata[key] = f"{output.metadata.get(key, '')} {note}".strip()

    def painted(self, frame: NDArray[np.uint8], stream: Any) -> Any:
        """The next picture as the stream takes it, with the colours of a frame ``(H, W, 3)`` where the two differ."""
        index = self.source.index
        if self._position == len(index.stamps):
            raise InputError(f"{self.source.path} has {self._position} frames, but more were given to write")
        picture = next(self._pictures)
        timed = self._timed and index.seekable
        lasts = self._lasts(picture) if timed else 1
        differs = self.source.shown(picture) != frame
        # Plane by plane: `any` over an axis of three takes five times as long.
        picture = self._repainted(picture, frame, differs[..., 0] | differs[..., 1] | differs[..., 2])
        picture = padded(converted(picture, self._form), stream.width, stream.height)
        # The encoder chooses its key frames. But the last picture is decoded last, too: .mp4 keeps in that order how
        # long each is shown.
        picture.pict_type = PictureType.P if 0 < self._position == len(index.stamps) - 2 else PictureType.NONE
        picture.pts = int(index.stamps[self._position]) - int(self._begin / self._base) if timed else self._position
        picture.time_base = self._base
        # Of the picture as it was decoded: a conversion loses it, and its unit is another one where frames are counted.
        picture.duration = lasts
        self._position += 1
        return picture

    def _lasts(self, picture: Any) -> int:
        """How long the next picture is shown.

        Files of the kind .mp4 keep it in the order of decoding: libav takes one picture's time for another's.
        """
        rest = self.source.index.stamps[self._position :]
        if self._end is None:
            return int(picture.duration)
        return int(rest[1] - rest[0]) if len(rest) > 1 else max(int(picture.duration), self._end - int(rest[0]))

    def _repainted(self, picture: Any, frame: NDArray[np.uint8], changed: NDArray[np.bool_]) -> Any:
        size, matrix = (picture.height, picture.width), self.source.index.matrix
        frame, changed = _widened(as_stored(frame, matrix), size), _widened(as_stored(changed, matrix), size)
        grey_or_yuv = self._form.startswith(("yuv", "gray"))
        if picture.format.has_palette:
            picture = av.VideoFrame.from_ndarray(to_rgb(picture), "rgb24")
        picture = planar(picture)
        if picture.format.is_rgb and grey_or_yuv:
            return from_rgb(frame)
        if grey_or_yuv:
            picture = fitted(picture, self._form)
        picture.make_writable()
        paste(picture, frame, changed, self._centred)
        return picture

    def finish(self, written: Path) -> None:
        """Write what could not be written before the rest."""
        if self.aspect and not self.source.index.matrix:
            shape_pixels(written, self.aspect, *self._size)

    def copy_until(self, seconds: float) -> None:
        """Write what the source holds beside its picture, up to this time."""
        if self._companions is not None:
            self._companions.copy_until(seconds)

    def close(self) -> None:
        """Let go of the source."""
        if self._companions is not None:
            self._companions.close()


def _told_aspect(output: Any, stream: Any, old: Any) -> Fraction | None:
    """The shape of pixels where it has to be written into the finished file: if neither codec nor muxer tells it."""
    shaped = old.sample_aspect_ratio not in (None, 0, 1)
    silent = output.format.name == "matroska" and stream.codec.name in ("ffv1", "libsvtav1")
    return Fraction(old.sample_aspect_ratio) if shaped and silent else None


def _widened(array: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """The array with its last row and column repeated until it has this size."""
    missing = [(0, size[0] - array.shape[0]), (0, size[1] - array.shape[1])]
    return np.pad(array, [*missing, *[(0, 0)] * (array.ndim - 2)], mode="edge")
