"""Long pictures sequences read window by window: memory is bounded by the window, not by the clip."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.files.images import (
    UndecodableError,
    check_once,
    is_deep,
    list_images,
    load_picture,
    read_image,
    size_of,
)
from videoinpaint.errors import InputError, warn
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
        found = [(path, size) for path in self.paths if (size := self._size(path)) is not None]
        if not found:
            return size_of(self.paths[0])
        for path, size in found:
            check_same_size(path, size, found[0][1])
        return found[0][1]

    def _size(self, path: Path) -> tuple[int, int] | None:
        return size_of(path)

    def _picture(self, index: int) -> NDArray[np.uint8]:
        return read_image(self.paths[index])

    def read(self, start: int, count: int, stride: int = 1) -> NDArray[np.uint8]:
        """Decode only the pictures asked for.

        Raises:
            InputError: the window leaves the folder, a picture is unreadable, or sizes differ.
        """
        indices = window(self, start, count, stride)
        frames = [self._picture(index) for index in indices]
        for index, frame in zip(indices, frames):
            check_same_size(self.paths[index], frame.shape, frames[0].shape)
        return np.stack(frames)


class ImageFolder(Pictures):
    """A folder of numbered pictures, taken to run at 24 frames a second.

    Args:
        folder: where the pictures lie; they are taken in natural order.
        strict: what happens to a picture that cannot be decoded. None: it is refused when it is read. False: the one
            before it (the one after it at the very start) takes its place, and an `InputWarning` names it, as in a
            `VideoReader`. True: everything is decoded at once, and it is refused.

    Raises:
        InputError: the folder is missing, holds no picture, or two of one name but for its ending.
    """

    def __init__(self, folder: str | Path, *, strict: bool | None = None) -> None:
        self.folder = user_path(folder)
        if not self.folder.is_dir():
            raise InputError(f"no folder {self.folder}: name a folder of PNG or JPEG frames")
        self.fps = 24.0
        super().__init__(self.folder.name, list_images(self.folder))
        if not self.paths:
            raise InputError(f"folder {self.folder} holds no frames: put PNG or JPEG files into it, one per frame")
        check_once(self.paths, [path.stem for path in self.paths], "the name")
        self._lost: dict[int, str] = {}
        self._replaces = strict is False
        if strict:
            self._check_decodable()

    def _check_decodable(self) -> None:
        for path in self.paths:
            try:
                load_picture(path)
            except UndecodableError as problem:
                raise InputError(f"{problem}; this is refused because reading is strict") from None

    @property
    def deep(self) -> bool:
        """Whether some pictures have more bits a sample than are read, by the headers that are readable."""
        for path in self.paths:
            with suppress(UndecodableError):
                if is_deep(path):
                    return True
        return False

    def _size(self, path: Path) -> tuple[int, int] | None:
        try:
            return size_of(path)
        except UndecodableError:
            if self._replaces:
                return None
            raise

    def _picture(self, index: int) -> NDArray[np.uint8]:
        """The picture at an index, or the nearest before it (or else after it) that can be decoded."""
        if not self._replaces:
            return super()._picture(index)
        found = dict[int, str]()
        for near in (*range(index, -1, -1), *range(index + 1, len(self))):
            if near in self._lost:
                continue
            try:
                picture = read_image(self.paths[near])
            except UndecodableError as problem:
                self._lost[near] = found[near] = str(problem)
                continue
            for lost, why in sorted(found.items()):
                warn(f"frame {lost}: {why}; the picture beside is shown instead")
            return picture
        raise InputError(self._lost[0])


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
