"""Masks from files, read window by window: a picture, an animation, a video, or a folder of pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice, repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.files.images import (
    IMAGE_SUFFIXES,
    UndecodableError,
    count_pictures,
    load_picture,
    missing_numbers,
    pictures_of,
)
from videoinpaint.clips.files.sequences import FrameSequence, ImageFolder, check_same_size, window
from videoinpaint.clips.files.video import VIDEO_SUFFIXES, VideoReader
from videoinpaint.clips.masks.evidence import Evidence, Planes, brightness_of, planes_of
from videoinpaint.clips.masks.meaning import PLAIN, Coverage, Meaning, Wish, coverage, understand
from videoinpaint.errors import InputError
from videoinpaint.files import user_path

Masks = NDArray[np.uint8]


class MaskSequence(ABC):
    """Masks ``(H, W)`` in {0, 1}, 1 = missing, decoded when they are asked for.

    What the values of the pictures mean is judged once, over all of them, when it is first needed.

    Args:
        path: of the file or folder.
        wish: what the user says about it.
    """

    def __init__(self, path: Path, wish: Wish) -> None:
        self.path, self.name, self.wish = path, path.name, wish

    @abstractmethod
    def __len__(self) -> int:
        """The number of frames."""

    @abstractmethod
    def _planes(self, start: int) -> Iterator[tuple[object, Planes]]:
        """The pictures from one on, each with what errors call it, one in memory at a time."""

    @cached_property
    def _understood(self) -> tuple[Meaning, Coverage]:
        evidence, size = Evidence(self.wish.object_id), None
        for name, planes in self._planes(0):
            size = size or planes.brightness.shape
            check_same_size(name, planes.brightness.shape, size)
            evidence.add(planes, name)
        meaning = understand(evidence, self.wish, self.path)
        return meaning, coverage(evidence, meaning)

    @property
    def coverage(self) -> Coverage:
        """How much is marked; the first time, all pictures are read for it.

        Raises:
            InputError: a picture is unreadable, of another size, or it is not clear what marks the hole.
        """
        return self._understood[1]

    def check_size(self) -> tuple[int, int]:
        """``(height, width)`` of all masks, by their headers where that is cheaper than to decode them.

        Raises:
            InputError: they differ.
        """
        return next(self._planes(0))[1].brightness.shape

    def read(self, start: int, count: int, stride: int = 1) -> Masks:
        """Masks ``(count, H, W)`` in {0, 1}.

        Raises:
            InputError: the window leaves the sequence, or see `coverage`.
        """
        indices = window(self, start, count, stride)
        meaning, _ = self._understood
        chosen = islice(self._planes(start), 0, len(indices) * stride, stride)
        return np.stack([meaning.hole(planes) for _, planes in chosen])

    def frames(self) -> Iterator[Masks]:
        """Every mask ``(H, W)``, one in memory at a time."""
        meaning, _ = self._understood
        return (meaning.hole(planes) for _, planes in self._planes(0))


class StillMask(MaskSequence):
    """One mask picture as a sequence of any length: the hole does not move."""

    def __init__(self, path: Path, length: int = 1, wish: Wish = PLAIN) -> None:
        super().__init__(path, wish)
        self.length = length

    def __len__(self) -> int:
        """The length that was asked for."""
        return self.length

    def _planes(self, start: int) -> Iterator[tuple[object, Planes]]:
        yield self.path, planes_of(load_picture(self.path), self.path)

    @property
    def coverage(self) -> Coverage:
        """How much is marked, of every frame."""
        once = super().coverage
        return Coverage(once.share, once.frames * len(self), once.full * len(self), len(self), once.between)

    @cached_property
    def _mask(self) -> Masks:
        return super().read(0, 1)

    def read(self, start: int, count: int, stride: int = 1) -> Masks:
        """The picture `count` times: ``(count, H, W)`` in {0, 1}."""
        window(self, start, count, stride)
        return np.broadcast_to(self._mask, (count, *self._mask.shape[1:]))

    def frames(self) -> Iterator[Masks]:
        """The picture as often as was asked for."""
        return repeat(self._mask[0], len(self))


class MaskFolder(MaskSequence):
    """A folder of mask pictures, in natural order."""

    def __init__(self, path: Path, wish: Wish = PLAIN) -> None:
        super().__init__(path, wish)
        self._folder = ImageFolder(path)
        self.paths = self._folder.paths

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.paths)

    def _planes(self, start: int) -> Iterator[tuple[object, Planes]]:
        return ((path, planes_of(load_picture(path), path)) for path in self.paths[start:])

    def check_size(self) -> tuple[int, int]:
        """``(height, width)`` of all masks, by their headers."""
        return self._folder.check_size()

    def read(self, start: int, count: int, stride: int = 1) -> Masks:
        """Only the pictures asked for are decoded."""
        return self._read([self.paths[index] for index in window(self, start, count, stride)])

    def read_named(self, names: Sequence[str]) -> Masks | None:
        """The masks of the pictures of these names (without their endings); None where one of them is not there."""
        known = {path.stem: path for path in self.paths}
        return self._read([known[name] for name in names]) if all(name in known for name in names) else None

    def _read(self, paths: Sequence[Path]) -> Masks:
        meaning, _ = self._understood
        return np.stack([meaning.hole(planes_of(load_picture(path), path)) for path in paths])


class MaskAnimation(MaskSequence):
    """An animated GIF, PNG or WebP, or the pages of a TIFF; colours count, not the numbers in palettes."""

    def __init__(self, path: Path, wish: Wish = PLAIN) -> None:
        super().__init__(path, wish)
        self._length = count_pictures(path)

    def __len__(self) -> int:
        """The number of pictures."""
        return self._length

    def _planes(self, start: int) -> Iterator[tuple[object, Planes]]:
        for index, picture in enumerate(pictures_of(self.path, start), start):
            name = f"picture {index} of {self.path}"
            yield name, planes_of(picture.convert("RGBA") if picture.mode == "P" else picture, self.path)


class VideoMasks(MaskSequence):
    """A video read as masks."""

    def __init__(self, path: Path, wish: Wish = PLAIN) -> None:
        super().__init__(path, wish)
        self._reader = VideoReader(path)
        if wish.object_id is not None:
            raise InputError(f"mask {path} is a video, which numbers no objects: save their masks as pictures")

    def __len__(self) -> int:
        """The number of frames."""
        return len(self._reader)

    def _planes(self, start: int) -> Iterator[tuple[object, Planes]]:
        for index, picture in enumerate(self._reader.pictures(start, quiet=False), start):
            frame, alpha = self._reader.shown(picture), self._reader.alpha(picture)
            colours = None if alpha is None else frame
            yield f"frame {index} of {self.path}", Planes(brightness_of(frame), alpha, colours=colours)


def open_mask(path: Path, length: int = 1, wish: Wish = PLAIN) -> MaskSequence:
    """A mask file or folder as it is; a single picture is repeated `length` times.

    Raises:
        InputError: nothing is there that could be a mask.
    """
    if path.is_dir():
        folder = MaskFolder(path, wish)
        return StillMask(folder.paths[0], length, wish) if len(folder) == 1 else folder
    if not path.exists():
        raise InputError(f"no mask at {path}: name a mask picture, a mask video, or a folder of mask pictures")
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES - {".gif"}:
        return VideoMasks(path, wish)
    try:
        animated = count_pictures(path) > 1
    except UndecodableError:
        if suffix in IMAGE_SUFFIXES | {".gif"}:
            raise
        return VideoMasks(path, wish)  # of a kind with a rarer name
    return MaskAnimation(path, wish) if animated else StillMask(path, length, wish)


def open_masks(
    path: str | Path,
    num_frames: int | None = None,
    height: int | None = None,
    width: int | None = None,
    *,
    invert: bool = False,
    threshold: int | None = None,
    object_id: int | None = None,
) -> MaskSequence:
    """A mask file or folder as a sequence of ``(H, W)`` masks in {0, 1} that is read window by window.

    A single picture stands for all frames. Where `num_frames`, `height` or `width` is given, the mask must have it.
    All pictures are read once, to see that they are readable and of one size, and what marks the hole in them:
    what is brighter than half of the brightest value, unless a palette or transparency says otherwise (docs/clips.md).

    Args:
        path: a picture, an animated picture, a video, or a folder of pictures.
        num_frames: the clip's length.
        height: the clip's height.
        width: the clip's width.
        invert: the hole is what would be known, and the other way round.
        threshold: the hole is what is brighter than this, 0..254, instead of what is brighter than half.
        object_id: the hole is the object of this number alone, where a palette or grey values number objects.

    Raises:
        InputError: unreadable, of another length or of another size than the clip, or ambiguous.
    """
    path = user_path(path)
    sequence = open_mask(path, num_frames or 1, Wish(invert, threshold, object_id))
    if num_frames is not None and len(sequence) != num_frames:
        raise InputError(
            f"mask {path} has {len(sequence)} frames, the clip has {num_frames}{gap_of(sequence)}: give one mask "
            "picture for every frame, or a single picture for all"
        )
    rows, columns = sequence.check_size()
    if (height or rows, width or columns) != (rows, columns):
        raise InputError(
            f"mask {path} has size {columns}x{rows}, the clip {width}x{height}: save the mask at the clip's size"
        )
    sequence.coverage  # noqa: B018 (reads all pictures)
    return sequence


def read_masks(
    path: str | Path,
    num_frames: int | None = None,
    height: int | None = None,
    width: int | None = None,
    *,
    invert: bool = False,
    threshold: int | None = None,
    object_id: int | None = None,
) -> Masks:
    """All masks of a file or folder, uint8 ``(T, H, W)`` in {0, 1}, 1 = missing; see `open_masks`.

    Raises:
        InputError: unreadable, of another length or of another size than the clip, or ambiguous.
    """
    sequence = open_masks(path, num_frames, height, width, invert=invert, threshold=threshold, object_id=object_id)
    return sequence.read(0, len(sequence))


def read_mask(path: str | Path) -> Masks:
    """The only mask of a file, uint8 ``(H, W)`` in {0, 1}, 1 = missing; see `open_masks`.

    Raises:
        InputError: unreadable or ambiguous.
    """
    return read_masks(path, 1)[0]


def gap_of(sequence: FrameSequence) -> str:
    """Which numbers a folder of pictures skips, as the end of a sentence; "" where it skips none."""
    missing = missing_numbers(getattr(sequence, "paths", ()))
    if not missing:
        return ""
    shown = [str(number) for number in missing[:8]] + (["more"] if len(missing) > 8 else [])
    if len(shown) == 1:
        return f", number {shown[0]} is missing"
    return f", numbers {', '.join(shown[:-1])} and {shown[-1]} are missing"
