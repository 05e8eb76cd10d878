"""Video files in and out, through PyAV: read by windows, written under a temporary name that is renamed at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.files.decoding import decode, index_of
from videoinpaint.clips.files.encoding import Encoder
from videoinpaint.clips.files.sequences import ImageFolder, window
from videoinpaint.errors import InputError
from videoinpaint.files import Draft

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ogv", ".gif"})


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds: number of frames, frames a second, and the size of a frame in pixels."""

    frames: int
    fps: float
    height: int
    width: int


class VideoReader:
    """A video file as a sequence of frames that are decoded when they are asked for.

    Opening reads the packets' time stamps but decodes nothing except the first frame; a window is decoded from the key
    frame before it. No file stays open between calls. Sound and pixel aspect are ignored, a stored rotation is applied.

    Args:
        path: the file, in any format FFmpeg reads.

    Raises:
        InputError: the file is missing, no video, truncated, or its first frame cannot be decoded.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self.name = self.path.name
        if not self.path.is_file():
            raise InputError(f"no video file at {self.path}: name an existing file, e.g. an .mp4")
        self._index = index_of(self.path)
        self.fps = self._index.fps
        self.height, self.width = self.read(0, 1).shape[1:3]

    def __len__(self) -> int:
        """The number of frames."""
        return len(self._index.stamps)

    @property
    def info(self) -> VideoInfo:
        """Length, rate and size."""
        return VideoInfo(len(self), self.fps, self.height, self.width)

    def read(self, start: int, count: int, stride: int = 1) -> NDArray[np.uint8]:
        """Frames ``start, start + stride, ...`` as uint8 ``(count, H, W, 3)`` RGB.

        Raises:
            InputError: the window leaves the clip, or a frame in it cannot be decoded.
        """
        indices = window(self, start, count, stride)
        return np.stack([frame for _, frame in decode(self.path, self._index, indices)])

    def frames(self, start: int = 0) -> Iterator[NDArray[np.uint8]]:
        """Every frame from `start` on, uint8 ``(H, W, 3)``, one in memory at a time."""
        return (frame for _, frame in decode(self.path, self._index, range(start, len(self))))

    def windows(self, length: int, overlap: int = 0) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """``(start, frames)`` of neighbouring windows in one pass over the file; only one window is in memory.

        Args:
            length: frames a window; the last one may be shorter.
            overlap: frames that a window shares with the one before it.

        Raises:
            InputError: not ``0 <= overlap < length``.
        """
        if not 0 <= overlap < length:
            raise InputError(f"windows need 0 <= overlap < length, got length {length}, overlap {overlap}")
        return self._windows(length, overlap)

    def _windows(self, length: int, overlap: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        start, held = 0, list[NDArray[np.uint8]]()
        for frame in self.frames():
            held.append(frame)
            if len(held) == length:
                yield start, np.stack(held)
                start, held = start + length - overlap, held[length - overlap :]
        if len(held) > overlap or start == 0:
            yield start, np.stack(held)


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
    path = Path(path).expanduser()
    sequence = ImageFolder(path) if path.is_dir() else VideoReader(path)
    if count is None:
        count = max(1, -(-(len(sequence) - start) // stride))
    return sequence.read(start, count, stride), sequence.fps


class VideoWriter:
    """Writes a video frame by frame; the file appears under its name when the writer is closed, or not at all.

    H.264 in yuv420p, BT.709, which plays everywhere. That format stores even sizes only: a frame of odd height or
    width is stored with its last row or column repeated, and the true size beside it, so that `VideoReader` gives back
    the size that was written; a player shows the repeated row or column. Sound is not written.
    With ``lossless=True`` every bit is kept (FFV1 in .mkv).

    >>> with VideoWriter("out.mp4", fps=24) as writer:  # doctest: +SKIP
    ...     writer.write(frames)

    Args:
        path: .mp4, .mov, .m4v or .mkv; lossless .mkv only.
        fps: frames a second, above 0.
        lossless: keep every bit.
        quality: x264's constant rate factor, 0..51, lower is better.

    Raises:
        InputError: unusable name, folder, rate or quality; nothing is written.
    """

    def __init__(self, path: str | Path, fps: float, *, lossless: bool = False, quality: int = 16) -> None:
        self.path = Path(path).expanduser()
        self._draft = Draft(self.path)
        self._encoder = Encoder(self._draft.path, self.path, fps, lossless, quality)
        self.closed = False

    def write(self, frames: NDArray[np.uint8]) -> None:
        """Append one frame ``(H, W, 3)`` or several ``(T, H, W, 3)``, uint8 RGB, all of the first one's size.

        Raises:
            InputError: wrong dtype, shape or size, or the writer is closed; the file is given up.
        """
        try:
            if self.closed:
                raise InputError(f"the writer of {self.path} is closed: open a new one")
            frames = np.asarray(frames)
            for frame in frames if frames.ndim == 4 else frames[None]:
                self._encoder.add(frame)
        except BaseException:
            self.discard()
            raise

    def close(self) -> None:
        """Finish the file and put it in its place.

        Raises:
            InputError: no frame was written.
        """
        if self.closed:
            return
        try:
            self._encoder.finish()
            self._draft.keep()
            self.closed = True
        finally:
            self.discard()

    def discard(self) -> None:
        """Give up what was written so far; a finished file stays."""
        if not self.closed:
            self.closed = True
            self._encoder.abandon()
            self._draft.discard()

    def __enter__(self) -> VideoWriter:
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
    quality: int = 16,
) -> None:
    """Write frames ``(T, H, W, 3)``, or an iterable of frames or windows, to a video file (see `VideoWriter`).

    Raises:
        InputError: see `VideoWriter`; then nothing is left behind.
    """
    with VideoWriter(path, fps, lossless=lossless, quality=quality) as writer:
        for part in frames:
            writer.write(part)
