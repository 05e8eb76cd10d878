"""Video files in, through PyAV: read by windows."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.files.colour import to_rgb
from videoinpaint.clips.files.decoding import Index, decode, index_of
from videoinpaint.clips.files.images import UndecodableError, count_pictures
from videoinpaint.clips.files.orientation import upright
from videoinpaint.clips.files.planes import converted, has_alpha
from videoinpaint.clips.files.sequences import window
from videoinpaint.errors import InputError, InputWarning
from videoinpaint.files import user_path

_PICTURES = frozenset({".tif", ".tiff", ".webp"})


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
    What cannot be read as it was meant (a frame that cannot be decoded, lost packets, a size that changes) is replaced
    by what is near, and an `InputWarning` names it.

    Args:
        path: the file, in any format FFmpeg reads.
        strict: decode everything at once, and refuse what would be replaced.

    Raises:
        InputError: the file is missing, no video, truncated, or nothing of it can be decoded.
    """

    def __init__(self, path: str | Path, *, strict: bool = False) -> None:
        self.path = user_path(path)
        if not self.path.is_file():
            raise InputError(f"no video file at {self.path}: name an existing file, e.g. an .mp4")
        self.name = self.path.name
        _check_form(self.path)
        self.index: Index = _strict_index(self.path) if strict else index_of(self.path)
        self.fps = float(self.index.rate)
        self.height, self.width = upright(np.empty(self.index.size or self.index.stored), self.index.matrix).shape

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.index.stamps)

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
        return np.stack([self.shown(picture) for _, picture in decode(self.path, self.index, indices)])

    def frames(self, start: int = 0) -> Iterator[NDArray[np.uint8]]:
        """Every frame from `start` on, uint8 ``(H, W, 3)``, one in memory at a time."""
        return (self.shown(picture) for _, picture in decode(self.path, self.index, range(start, len(self))))

    def pictures(self, start: int = 0, *, quiet: bool = True) -> Iterator[Any]:
        """Every picture from `start` on as it is decoded, an `av.VideoFrame` in the file's own pixel format."""
        return (picture for _, picture in decode(self.path, self.index, range(start, len(self)), quiet=quiet))

    def shown(self, picture: Any) -> NDArray[np.uint8]:
        """One of these pictures as the frame that `read` gives of it."""
        height, width = self.index.size or self.index.stored
        return np.ascontiguousarray(upright(to_rgb(picture)[:height, :width], self.index.matrix))

    def alpha(self, picture: Any) -> NDArray[np.uint8] | None:
        """The opacity ``(H, W)`` of one of these pictures; None where its format has none."""
        if not has_alpha(picture.format):
            return None
        height, width = self.index.size or self.index.stored
        opacity = converted(picture, "rgba").to_ndarray()[:height, :width, 3]
        return np.ascontiguousarray(upright(opacity, self.index.matrix))

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


def _check_form(path: Path) -> None:
    """Raise InputError for a file of several pictures of which FFmpeg reads the first one, or none."""
    if path.suffix.lower() not in _PICTURES:
        return
    with suppress(UndecodableError):  # what only has such a name
        if (count := count_pictures(path)) > 1:
            raise InputError(f"{path} is a sequence of {count} pictures: save them as PNG files in a folder, name that")


def _strict_index(path: Path) -> Index:
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        try:
            index = index_of(path)
            for _ in decode(path, index, range(len(index.stamps))):
                pass
        except InputWarning as problem:
            raise InputError(f"{problem}; this is refused because reading is strict") from None
    return index
