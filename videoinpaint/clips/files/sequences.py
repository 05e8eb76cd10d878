"""Long pictures sequences read window by window: memory is bounded by the window, not by the clip."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.files.images import list_images, read_image
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


class ImageFolder:
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
        self.name, self.fps = self.folder.name, 24.0
        self.paths = list_images(self.folder)
        if not self.paths:
            raise InputError(f"folder {self.folder} holds no frames: put PNG or JPEG files into it, one per frame")

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.paths)

    def read(self, start: int, count: int, stride: int = 1) -> NDArray[np.uint8]:
        """Decode only the pictures asked for.

        Raises:
            InputError: the window leaves the folder, a picture is unreadable, or sizes differ.
        """
        paths = [self.paths[i] for i in window(self, start, count, stride)]
        frames = [read_image(path) for path in paths]
        for path, frame in zip(paths, frames):
            if frame.shape != frames[0].shape:
                raise InputError(
                    f"{path} has size {frame.shape[1]}x{frame.shape[0]}, but {paths[0].name} before it has "
                    f"{frames[0].shape[1]}x{frames[0].shape[0]}: all frames of a folder must have one size"
                )
        return np.stack(frames)


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
