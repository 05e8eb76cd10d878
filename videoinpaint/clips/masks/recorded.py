"""Holes that come from files: a picture, a video, a folder of pictures, or a folder of those."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.asking import clip_names, draw_holes
from videoinpaint.clips.files.images import IMAGE_SUFFIXES, list_images, natural_key, resize_masks
from videoinpaint.clips.files.opened import kept
from videoinpaint.clips.files.video import VIDEO_SUFFIXES
from videoinpaint.clips.masks.meaning import PLAIN, Wish
from videoinpaint.clips.masks.sequences import MaskSequence, StillMask, open_mask
from videoinpaint.clips.masks.synthetic import checked_dilate, dilated, keep_partial
from videoinpaint.clips.studio.draws import Draws
from videoinpaint.clips.types import Clip, ClipSource, MaskSource
from videoinpaint.errors import InputError
from videoinpaint.files import user_path

Masks = NDArray[np.uint8]

_TRIES = 16


class FileMasks:
    """The masks under a path, cropped and scaled as clips are, and cropped in time to the clip's length.

    A path may be one mask (a picture, a video, a folder of pictures), laid over every clip from its first frame; or a
    folder of such, at any depth. Then a mask named like the clip is laid over it, aligned in time; other clips get
    a random one of those that are long enough. A series that is too short is never stretched or repeated; a single
    picture stands for every frame.

    Attributes:
        coverage: how much the mask marks, where there is only one; else None.

    Args:
        path: file or folder.
        shuffle: ignore names, and draw a random mask, a random window of it and a random mirror image for each clip.
        dilate: pixels by which the hole grows, at the size of the clip.
        wish: what of the pictures marks the hole, where they do not say it.

    Raises:
        InputError: there is no mask, or the only one that there is is unreadable or ambiguous.
    """

    def __init__(self, path: str | Path, *, shuffle: bool = False, dilate: int = 0, wish: Wish = PLAIN) -> None:
        self.path, self.shuffle, self.dilate = user_path(path), shuffle, checked_dilate(dilate)
        self.name = f"object:{self.path}" if shuffle else str(self.path)
        self._entries = _entries(self.path)
        if not self._entries:
            raise InputError(f"no masks under {self.path}: expected mask pictures, videos, or folders of pictures")
        self._wish = wish
        self._opened: dict[Path, MaskSequence] = {}
        self._usable: tuple[int, list[str]] = 0, []  # for clips of so many frames, these masks
        # One mask is read now, so that a mistake shows at once; more of them are read when they are drawn.
        self.coverage = self._sequence(*self._entries.values()).coverage if len(self._entries) == 1 else None

    def sample(self, rng: np.random.Generator, clip: Clip) -> Masks:
        """A mask for the clip.

        Raises:
            InputError: the mask marks nothing, or everything.
        """
        count, height, width = clip.frames.shape[:3]
        paired = not self.shuffle and (clip.name in self._entries or len(self._entries) == 1)
        names = self._long_enough(count) if not paired else []
        for _ in range(1 if paired else _TRIES):
            name = self._paired(clip) if paired else Draws(rng).pick(names)
            masks = self._window(rng, self._entries[name], count, clip.start if clip.name == name else 0)
            if 0 < masks.mean() < 1:
                masks = resize_masks(masks, height, width)
                if self.shuffle and Draws(rng).random() < 0.5:
                    masks = masks[:, :, ::-1]
                return keep_partial(dilated(np.ascontiguousarray(masks), self.dilate))
        raise InputError(f"mask {self._entries[name]} is all empty or all full: mark the missing pixels white on black")

    def check_length(self, clips: ClipSource, num_frames: int) -> None:
        """See before any work starts that no window of these clips is longer than its mask.

        Raises:
            InputError: a mask is too short.
        """
        length = getattr(clips, "length", None)
        paired = [] if self.shuffle else [name for name in clip_names(clips) if name in self._entries]
        for name in paired:  # a window may begin at any frame of its clip
            self._check(self._sequence(self._entries[name]), num_frames if length is None else length(name))
        if not paired or len(paired) < len(clip_names(clips)):
            self._long_enough(num_frames)

    def _paired(self, clip: Clip) -> str:
        return clip.name if clip.name in self._entries else next(iter(self._entries))

    def _long_enough(self, count: int) -> list[str]:
        """The masks of which a clip of so many frames may get any."""
        known, fit = self._usable
        if known != count:
            fit = [name for name, entry in self._entries.items() if _fits(self._sequence(entry), count)]
            if not fit:
                longest = max(len(self._sequence(entry)) for entry in self._entries.values())
                raise InputError(
                    f"no mask under {self.path} has {count} frames, the longest has {longest}: use longer masks, a "
                    "single picture for all frames, or a smaller num_frames"
                )
            self._usable = count, fit
        return fit

    def _check(self, sequence: MaskSequence, count: int) -> None:
        if not _fits(sequence, count):
            raise InputError(
                f"mask {sequence.path} has {len(sequence)} frames, its clip {count}: give one mask for every frame, or "
                "a single picture for all"
            )

    def _window(self, rng: np.random.Generator, entry: Path, count: int, start: int) -> Masks:
        sequence = self._sequence(entry)
        if isinstance(sequence, StillMask):
            return np.repeat(sequence.read(0, 1), count, axis=0)
        self._check(sequence, start + count)
        spare = len(sequence) - count - start
        return sequence.read(start + (Draws(rng).below(spare + 1) if self.shuffle else 0), count)

    def _sequence(self, entry: Path) -> MaskSequence:
        """A mask, opened once: what its values mean is judged over all of its pictures. Several threads may ask."""
        return kept(self._opened, entry, partial(open_mask, entry, wish=self._wish))


def _fits(sequence: MaskSequence, count: int) -> bool:
    return isinstance(sequence, StillMask) or len(sequence) >= count


class FirstFrameMasks:
    """A hole of which only the first frame's mask is known; it is held through the clip.

    Following the object through the clip is an inpainter's business: a source must not look at what it hides.

    Args:
        masks: the source whose first frame is taken.
    """

    def __init__(self, masks: MaskSource) -> None:
        self.masks = masks
        self.name = f"first-frame:{masks.name}"

    def check_length(self, clips: ClipSource, num_frames: int) -> None:
        """One mask is enough for any clip."""

    def sample(self, rng: np.random.Generator, clip: Clip) -> Masks:
        """The first mask, repeated for all frames."""
        return np.repeat(draw_holes(self.masks, rng, clip)[:1], len(clip.frames), axis=0)


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
