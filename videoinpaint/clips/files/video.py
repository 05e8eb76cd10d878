"""Video files in and out: read by windows, written under a temporary name that is renamed at the end."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.files.encoding import Encoder
from videoinpaint.clips.files.reading import VideoInfo, VideoReader
from videoinpaint.clips.files.sequences import ImageFolder
from videoinpaint.errors import InputError
from videoinpaint.files import Draft, behind_link, user_path, writing

__all__ = ["VIDEO_SUFFIXES", "VideoInfo", "VideoReader", "VideoWriter", "probe", "read_video", "write_video"]

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ogv", ".gif"})


def probe(path: str | Path) -> VideoInfo:
    """Length, rate and size of a video file.

    Raises:
        InputError: see `VideoReader`.
    """
    return VideoReader(path).info


def read_video(
    path: str | Path, start: int = 0, count: int | None = None, stride: int = 1
) -> tuple[NDArray[np.uint8], float]:
    """Frames uint8 ``(T, H, W, 3)`` RGB and the frames a second of a video file or of a folder of frames.

    Args:
        path: the file or folder; a folder counts as `ImageFolder.fps` frames a second.
        start: first frame.
        count: number of frames; all that remain when None.
        stride: step between frames.

    Raises:
        InputError: unreadable, truncated, or the window leaves the clip.
    """
    path = user_path(path)
    sequence = ImageFolder(path) if path.is_dir() else VideoReader(path)
    if count is None:
        count = max(1, -(-(len(sequence) - start) // stride))
    return sequence.read(start, count, stride), sequence.fps


class VideoWriter:
    """Writes a video frame by frame; the file appears under its name when the writer is closed, or not at all.

    H.264 in yuv420p, BT.709, which plays everywhere. That format stores even sizes only: a frame of odd height or
    width is stored with its last row or column repeated, and the true size beside it, so that `VideoReader` gives back
    the size that was written; a player shows the repeated row or column.
    With ``lossless=True``, which is codec ``"ffv1"``, every bit is kept (.mkv).

    With a `source`, the frames repair that video. What they do not change is copied from its own pictures, in its own
    pixel format where the codec has it, so that `lossless` keeps these samples bit for bit and other codecs get exactly
    them; colours that do change are written by its matrix and range. What else its file holds (time stamps, sound,
    subtitles, chapters, tags, pixel aspect, rotation, field order) is kept, and an `InputWarning` names what cannot be.

    >>> with VideoWriter("out.mp4", fps=24) as writer:  # doctest: +SKIP
    ...     writer.write(frames)

    Args:
        path: .mp4, .mov, .m4v or .mkv; lossless .mkv only. Through a link it is written where that leads.
        fps: frames a second, 0.01 to 1000; with a source None keeps its time stamps.
        lossless: keep every bit.
        quality: the constant rate factor, lower is better: 0..51 (by default 16 for H.264, 18 for HEVC), 0..63 for AV1
            (22).
        codec: "h264", "hevc", "av1" or "ffv1".
        source: the video that the frames repair.
        audio: keep the source's sound.

    Raises:
        InputError: unusable name, folder, rate or quality; nothing is written.
    """

    def __init__(
        self, path: str | Path, fps: float | None, *, lossless: bool = False, quality: int | None = None,
        codec: str = "h264", source: VideoReader | None = None, audio: bool = True,
    ) -> None:  # fmt: skip
        self.path = user_path(path)
        self._draft = Draft(behind_link(self.path))
        codec = "ffv1" if lossless else codec
        self._encoder = Encoder(self._draft.path, self.path, fps, codec, quality, source, audio)
        self.closed = False

    def write(self, frames: NDArray[np.uint8]) -> None:
        """Append one frame ``(H, W, 3)`` or several ``(T, H, W, 3)``, uint8 RGB, all of the first one's size.

        Raises:
            InputError: wrong dtype, shape or size, the disk refuses, or the writer is closed; the file is given up.
        """
        try:
            if self.closed:
                raise InputError(f"the writer of {self.path} is closed: open a new one")
            frames = np.asarray(frames)
            with writing(self.path):
                for frame in frames if frames.ndim == 4 else frames[None]:
                    self._encoder.add(frame)
        except BaseException:
            self.discard()
            raise

    def close(self) -> None:
        """Finish the file and put it in its place.

        Raises:
            InputError: no frame was written, or the disk refuses.
        """
        if self.closed:
            return
        try:
            with writing(self.path):
                self._encoder.finish()
                self._draft.keep()
            self.closed = True
        finally:
            self.discard()

    def discard(self) -> None:
        """Give up what was written so far; a finished file stays."""
        if not self.closed:
            self.closed = True
            try:
                with suppress(OSError):  # a full disk refuses the rest of the file, too
                    self._encoder.abandon()
            finally:
                self._draft.discard()

    def __enter__(self) -> VideoWriter:
        try:
            self._encoder.begin()
        except BaseException:
            self.discard()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def write_video(
    path: str | Path,
    frames: NDArray[np.uint8] | Iterable[NDArray[np.uint8]],
    fps: float,
    *,
    lossless: bool = False,
    quality: int | None = None,
) -> None:
    """Write frames ``(T, H, W, 3)``, or an iterable of frames or windows, to a video file (see `VideoWriter`).

    Raises:
        InputError: see `VideoWriter`; then nothing is left behind.
    """
    with VideoWriter(path, fps, lossless=lossless, quality=quality) as writer:
        for part in frames:
            writer.write(part)
