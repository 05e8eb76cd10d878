"""Holes that come from files: a picture, a video, a folder of pictures, or a folder of those."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.files.images import IMAGE_SUFFIXES, list_images, natural_key, read_mask, resize_masks
from videoinpaint.clips.files.sequences import FrameSequence, ImageFolder, window
from videoinpaint.clips.files.video import VIDEO_SUFFIXES, VideoReader
from videoinpaint.clips.masks.synthetic import checked_dilate, dilated, keep_partial
from videoinpaint.clips.studio.draws import Draws
from videoinpaint.clips.types import Clip, MaskSource
from videoinpaint.errors import InputError

Masks = NDArray[np.uint8]

_TRIES = 16


class StillMask:
    """One mask picture as a sequence of any length: the hole does not move."""

    def __init__(self, path: Path, length: int = 1) -> None:
        self.path, self.name, self.length = path, path.name, length
        read_mask(path)

    def __len__(self) -> int:
        """The length that was asked for."""
        return self.length

    def read(self, start: int, count: int, stride: int = 1) -> Masks:
        """The picture `count` times: ``(count, H, W)`` in {0, 1}."""
        window(self, start, count, stride)
        mask = read_mask(self.path)
        return np.broadcast_to(mask, (count, *mask.shape))


class VideoMasks:
    """A video read as masks: what is brighter than half is missing."""

    def __init__(self, path: Path) -> None:
        self._reader = VideoReader(path)
        self.name = self._reader.name

    def __len__(self) -> int:
        """The number of frames."""
        return len(self._reader)

    def read(self, start: int, count: int, stride: int = 1) -> Masks:
        """Masks ``(count, H, W)`` in {0, 1}."""
        return (self._reader.read(start, count, stride).max(axis=3) > 127).astype(np.uint8)


def open_masks(
    path: str | Path, num_frames: int | None = None, height: int | None = None, width: int | None = None
) -> FrameSequence:
    """A mask file or folder as a sequence of ``(H, W)`` masks that is read window by window.

    A single picture stands for all frames. Where `num_frames`, `height` or `width` is given, the mask must have it.

    Args:
        path: a picture, a video, or a folder of pictures.
        num_frames: the clip's length.
        height: the clip's height.
        width: the clip's width.

    Raises:
        InputError: unreadable, of another length or of another size than the clip.
    """
    path = Path(path).expanduser()
    sequence = _sequence(path, num_frames or 1)
    if num_frames is not None and len(sequence) != num_frames:
        raise InputError(
            f"mask {path} has {len(sequence)} frames, the clip has {num_frames}: give one mask picture for every "
            "frame, or a single picture for all"
        )
    rows, columns = sequence.read(0, 1).shape[1:]
    if (height or rows, width or columns) != (rows, columns):
        raise InputError(
            f"mask {path} has size {columns}x{rows}, the clip {width}x{height}: save the mask at the clip's size"
        )
    return sequence


def read_masks(
    path: str | Path, num_frames: int | None = None, height: int | None = None, width: int | None = None
) -> Masks:
    """All masks of a file or folder, uint8 ``(T, H, W)`` in {0, 1}, 1 = missing; see `open_masks`.

    Raises:
        InputError: unreadable, of another length or of another size than the clip.
    """
    sequence = open_masks(path, num_frames, height, width)
    return sequence.read(0, len(sequence))


class FileMasks:
    """The masks under a path, cropped and scaled as clips are, cropped or stretched in time to the clip's length.

    A path may be one mask (a picture, a video, a folder of pictures), laid over every clip from its first frame; or a
    folder of such, at any depth. Then a mask named like the clip is laid over it, aligned in time; other clips get
    a random one.

    Args:
        path: file or folder.
        shuffle: ignore names, and draw a random mask, a random window of it and a random mirror image for each clip.
        dilate: pixels by which the hole grows, at the size of the clip.

    Raises:
        InputError: there is no mask.
    """

    def __init__(self, path: str | Path, *, shuffle: bool = False, dilate: int = 0) -> None:
        self.path, self.shuffle, self.dilate = Path(path).expanduser(), shuffle, checked_dilate(dilate)
        self.name = f"object:{self.path}" if shuffle else str(self.path)
        self._entries = _entries(self.path)
        if not self._entries:
            raise InputError(f"no masks under {self.path}: expected mask pictures, videos, or folders of pictures")
        for entry in self._entries.values():
            if not entry.is_file() or entry.suffix.lower() in IMAGE_SUFFIXES:
                _sequence(entry, 1)

    def sample(self, rng: np.random.Generator, clip: Clip) -> Masks:
        """A mask for the clip.

        Raises:
            InputError: the mask marks nothing, or everything.
        """
        count, height, width = clip.frames.shape[:3]
        paired = not self.shuffle and (clip.name in self._entries or len(self._entries) == 1)
        for _ in range(1 if paired else _TRIES):
            name = self._choose(rng, clip)
            masks = self._window(rng, self._entries[name], count, clip.start if clip.name == name else 0)
            if 0 < masks.mean() < 1:
                masks = resize_masks(masks, height, width)
                if self.shuffle and Draws(rng).random() < 0.5:
                    masks = masks[:, :, ::-1]
                return keep_partial(dilated(np.ascontiguousarray(masks), self.dilate))
        raise InputError(f"mask {self._entries[name]} is all empty or all full: mark the missing pixels white on black")

    def _choose(self, rng: np.random.Generator, clip: Clip) -> str:
        if not self.shuffle and clip.name in self._entries:
            return clip.name
        names = list(self._entries)
        return Draws(rng).pick(names)

    def _window(self, rng: np.random.Generator, entry: Path, count: int, start: int) -> Masks:
        sequence = _sequence(entry, start + count)
        spare = len(sequence) - count - start
        if spare < 0:
            first = min(start, len(sequence) - 1)
            whole = sequence.read(first, len(sequence) - first)
            return whole[np.linspace(0, len(whole) - 1, count).round().astype(int)]
        return sequence.read(start + (Draws(rng).below(spare + 1) if self.shuffle else 0), count)


class FirstFrameMasks:
    """A hole of which only the first frame's mask is known; it is held through the clip.

    Following the object through the clip is an inpainter's business: a source must not look at what it hides.

    Args:
        masks: the source whose first frame is taken.
    """

    def __init__(self, masks: MaskSource) -> None:
        self.masks = masks
        self.name = f"first-frame:{masks.name}"

    def sample(self, rng: np.random.Generator, clip: Clip) -> Masks:
        """The first mask, repeated for all frames."""
        return np.repeat(self.masks.sample(rng, clip)[:1], len(clip.frames), axis=0)


@lru_cache(maxsize=128)
def _listed(folder: Path) -> ImageFolder:
    return ImageFolder(folder, masks=True)


def _sequence(path: Path, length: int) -> FrameSequence:
    if path.is_dir():
        folder = _listed(path)
        return StillMask(folder.paths[0], length) if len(folder) == 1 else folder
    if not path.exists():
        raise InputError(f"no mask at {path}: name a mask picture, a mask video, or a folder of mask pictures")
    return VideoMasks(path) if path.suffix.lower() in VIDEO_SUFFIXES else StillMask(path, length)


def _entries(path: Path) -> dict[str, Path]:
    """Every mask under a path, by name relative to it."""
    if not path.exists():
        raise InputError(f"no masks at {path}: name a mask picture, a mask video, or a folder")
    if path.is_file() or list_images(path):
        return {path.name: path}
    found: dict[str, Path] = {}
    for root, folders, files in os.walk(path):
        folders.sort()
        here = Path(root)
        if any(Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".") for name in files):
            found[str(here.relative_to(path))] = here
            continue
        for name in sorted(files):
            if Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith("."):
                found[str((here / name).relative_to(path))] = here / name
    return {str(p): found[str(p)] for p in sorted((Path(name) for name in found), key=natural_key)}
