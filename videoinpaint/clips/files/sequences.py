"""Long pictures sequences read window by window: memory is bounded by the window, not by the clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.files.images import list_images, read_image, size_of
from videoinpaint.errors import InputError
from videoinpaint.files import user_path


class FrameSequence(Protocol):
    """Frames that are decoded when they are asked for."""

    name: str

    def __len__(self) -> int:
        """The number of frames."""
        ...

    def read(self, start: int, count: int, stride: int = 1) -> NDArray[np.uint8]:
        """Frames ``start, start + stride, ...`` as uint8 ``(count, H, W, 3)``, or ``(count, H, W)`` for masks."""
        ...


class Pictures:
    """Pictures in files, one a frame, in the order given.

    Args:
        name: of the clip.
        paths: the files, one at least.
    """

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        self.name, self.paths = name, list(paths)

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.paths)

    def check_size(self) -> tuple[int, int]:
        """``(height, width)`` of all pictures, by their headers.

        Raises:
            InputError: they differ, or one has no readable header.
        """
        size = size_of(self.paths[0])
        for path in self.paths[1:]:
            check_same_size(path, size_of(path), size)
        return size

    def read(self, start: int, count: int, stride: int = 1) -> NDArray[np.uint8]:
        """Decode only the pictures asked for.

        Raises:
            InputError: the window leaves the folder, a picture is unreadable, or sizes differ.
        """
        paths = [self.paths[i] for i in window(self, start, count, stride)]
        frames = [read_image(path) for path in paths]
        for path, frame in zip(paths, frames):
            check_same_size(path, frame.shape, frames[0].shape)
        return np.stack(frames)


class ImageFolder(Pictures):
    """A folder of numbered pictures, taken to run at 24 frames a second.

    Args:
        folder: where the pictures lie; they are taken in natural order.

    Raises:
        InputError: the folder is missing or holds no picture.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = user_path(folder)
        if not self.folder.is_dir():
            raise InputError(f"no folder {self.folder}: name a folder of PNG or JPEG frames")
        self.fps = 24.0
        super().__init__(self.folder.name, list_images(self.folder))
        if not self.paths:
            raise InputError(f"folder {self.folder} holds no frames: put PNG or JPEG files into it, one per frame")


def check_same_size(name: object, found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Raise InputError if a picture ``(H, W, ...)`` has another size than those before it."""
    if found[:2] != wanted[:2]:
        raise InputError(
            f"{name} has size {found[1]}x{found[0]}, those before it {wanted[1]}x{wanted[0]}: "
            "all pictures of a sequence must have one size"
        )


def window(sequence: FrameSequence, start: int, count: int, stride: int = 1) -> range:
    """The frame indices of a window.

    Raises:
        InputError: the window is empty or does not lie within the sequence.
    """
    needed = (count - 1) * stride + 1
    if count < 1 or stride < 1 or start < 0:
        raise InputError(f"a window needs start >= 0, count >= 1, stride >= 1; got {start}, {count}, {stride}")
    if start + needed > len(sequence):
        at = f" from frame {start}" if start else ""
        raise InputError(
            f"clip {sequence.name!r} has {len(sequence)} frames, but {needed}{at} are needed: "
            "use a longer clip or a smaller num_frames"
        )
    return range(start, start + needed, stride)
