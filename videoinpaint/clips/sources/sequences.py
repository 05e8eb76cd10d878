"""Clip sources made of files: folders of frames, video files, and folders of those."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videoinpaint.checks import check_sides
from videoinpaint.clips.files.images import list_images, natural_key, resize_frames, resize_masks
from videoinpaint.clips.files.opened import kept
from videoinpaint.clips.files.sequences import FrameSequence, ImageFolder, window
from videoinpaint.clips.files.video import VIDEO_SUFFIXES, VideoReader
from videoinpaint.clips.masks.sequences import MaskFolder
from videoinpaint.clips.studio.draws import Draws
from videoinpaint.clips.types import Clip
from videoinpaint.errors import InputError, UnknownNameError, warn
from videoinpaint.files import user_path

Opener = Callable[[], FrameSequence]
"""Opens a clip's frames. Openers are picklable, so that a source can travel to another process."""


class SequenceSource:
    """A clip source over named frame sequences, each opened when it is first used.

    Args:
        name: what the source is called.
        openers: clip name -> a function that opens its frames.
        objects: clip name -> a function that opens its object masks, for clips that have them.
        stride: step between the frames of a window.
        flip: `sample` mirrors every second clip, at random.
        skip_short: `check_length` leaves clips out that are too short, instead of refusing them.

    Raises:
        InputError: there is no clip.
    """

    def __init__(
        self,
        name: str,
        openers: Mapping[str, Opener],
        objects: Mapping[str, Opener] | None = None,
        *,
        stride: int = 1,
        flip: bool = False,
        skip_short: bool = False,
    ) -> None:
        if not openers:
            raise InputError(f"{name} holds no clips: expected folders of PNG or JPEG frames, or video files")
        if stride < 1:
            raise InputError(f"stride must be 1 or more, got {stride}")
        self.name, self.stride, self.flip, self.skip_short = name, stride, flip, skip_short
        self._openers, self._objects = dict(openers), dict(objects or {})
        self._opened: dict[str, FrameSequence] = {}
        self._opened_objects: dict[str, FrameSequence] = {}
        self._checked = 0  # windows of this many frames are known to fit into every clip

    def names(self) -> list[str]:
        """The clips' names in natural order."""
        return list(self._openers)

    def only(self, names: Sequence[str], title: str, *, skip_short: bool = False) -> SequenceSource:
        """A source of some of the clips.

        Args:
            names: of clips that are there.
            title: what the new source is called.
            skip_short: as of the source itself; what this source says holds too.
        """
        return SequenceSource(
            title,
            {name: self._openers[name] for name in names},
            {name: self._objects[name] for name in names if name in self._objects},
            stride=self.stride,
            flip=self.flip,
            skip_short=skip_short or self.skip_short,
        )

    def sequence(self, name: str) -> FrameSequence:
        """The frames of a clip, not yet decoded.

        Raises:
            UnknownNameError: no clip has this name.
        """
        if name not in self._openers:
            raise UnknownNameError(f"no clip {name!r} in {self.name}: it has {_shortened(self.names())}")
        return kept(self._opened, name, self._openers[name])

    def length(self, name: str) -> int:
        """The number of frames of a clip.

        Raises:
            UnknownNameError: no clip has this name.
        """
        return len(self.sequence(name))

    def sample(self, rng: np.random.Generator, num_frames: int, height: int, width: int) -> Clip:
        """A random window of a random clip."""
        draws = Draws(rng)
        name = draws.pick(self.names())
        sequence = self.sequence(name)
        window(sequence, 0, num_frames, self.stride)
        last = len(sequence) - ((num_frames - 1) * self.stride + 1)
        clip = self.load(name, num_frames, height, width, draws.below(last + 1))
        return mirrored(clip) if self.flip and draws.random() < 0.5 else clip

    def load(self, name: str, num_frames: int, height: int, width: int, start: int = 0) -> Clip:
        """The window that begins at frame `start`, centre-cropped to the aspect and scaled by area averaging.

        Raises:
            InputError: a size is out of bounds, or see :class:`FrameSequence`.
        """
        check_sides(num_frames, height, width)
        frames = self.sequence(name).read(start, num_frames, self.stride)
        objects = self._read_objects(name, start, num_frames)
        if objects is not None:
            if objects.shape != frames.shape[:3]:
                frames_size, mask_size = frames.shape[1:3], objects.shape[1:]
                raise InputError(f"object masks of clip {name!r} have size {mask_size}, its frames {frames_size}")
            objects = resize_masks(objects, height, width)
        return Clip(resize_frames(frames, height, width), name, objects, start)

    def check_length(self, num_frames: int) -> None:
        """Open every clip, decoding no more than a first frame, and see that it is long enough for a window.

        Where short clips are to be skipped, they are forgotten here, and a warning says how many there were.

        Raises:
            InputError: a clip has fewer frames than a window needs, or is no clip at all; or none is long enough.
        """
        if num_frames <= self._checked:
            return
        needed = (num_frames - 1) * self.stride + 1
        short = [name for name in self._openers if len(self.sequence(name)) < needed] if self.skip_short else []
        if len(short) == len(self._openers):
            raise InputError(f"no clip of {self.name} has {needed} frames: use longer clips or a smaller num_frames")
        if short:
            warn(f"{len(short)} of {len(self._openers)} clips of {self.name} have fewer than {needed} frames: skipped")
            self._openers = {name: opener for name, opener in self._openers.items() if name not in short}
        for name in self._openers:
            window(self.sequence(name), 0, num_frames, self.stride)
        self._checked = num_frames

    def _read_objects(self, name: str, start: int, num_frames: int) -> NDArray[np.uint8] | None:
        if name not in self._objects:
            return None
        masks, frames = kept(self._opened_objects, name, self._objects[name]), self.sequence(name)
        if isinstance(masks, MaskFolder) and isinstance(frames, ImageFolder):
            # By number, not by place: YouTube-VOS marks every fifth frame of those in its archives of all frames.
            indices = window(frames, start, num_frames, self.stride)
            return masks.read_named([frames.paths[index].stem for index in indices])
        return masks.read(start, num_frames, self.stride) if len(masks) == len(frames) else None


def mirrored(clip: Clip) -> Clip:
    """The clip seen in a mirror (left and right exchanged)."""
    objects = None if clip.objects is None else np.ascontiguousarray(clip.objects[:, :, ::-1])
    observed = None if clip.observed is None else np.ascontiguousarray(clip.observed[:, :, ::-1])
    return Clip(np.ascontiguousarray(clip.frames[:, :, ::-1]), clip.name, objects, clip.start, observed)


def open_sequence(path: Path) -> FrameSequence:
    """A folder of frames or a video file as a sequence.

    Raises:
        InputError: neither, unreadable, or fewer than two frames.
    """
    sequence: FrameSequence
    sequence = ImageFolder(path) if path.is_dir() else VideoReader(path)
    if len(sequence) < 2:
        raise InputError(f"{path} holds a single frame: a clip needs two or more, numbered in order")
    return sequence


def file_source(path: str | Path, *, stride: int = 1, flip: bool = False) -> SequenceSource:
    """The clips under a path: one video, one folder of frames, or a folder of those (sorted, hidden files left out).

    Folders are listed at once, so that a clip of one frame is found before any work starts; frames are decoded later,
    and in a folder of videos each file is opened when it is first drawn.

    Raises:
        InputError: nothing is there, or a clip has a single frame.
    """
    path = user_path(path)
    if not path.exists():
        raise InputError(f"no clip at {path}: name a video file, a folder of frames, or a folder of those")
    if path.is_file() or list_images(path):
        open_sequence(path)
        return SequenceSource(str(path), {path.name: partial(open_sequence, path)}, stride=stride, flip=flip)
    openers: dict[str, Opener] = {}
    for entry in sorted(path.iterdir(), key=natural_key):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and list_images(entry):
            open_sequence(entry)
        elif entry.suffix.lower() not in VIDEO_SUFFIXES:
            continue
        openers[entry.name] = partial(open_sequence, entry)
    return SequenceSource(str(path), openers, stride=stride, flip=flip)


def _shortened(names: list[str]) -> str:
    shown = ", ".join(names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"
