"""One-shot clips: a target that moves before a background which is known (CIRI, Section 4.1, on other material)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videoinpaint.clips.asking import clip_names, draw_clip, draw_holes, load_clip
from videoinpaint.clips.files.images import list_images, natural_key, resize_frames, resize_masks
from videoinpaint.clips.files.sequences import FrameSequence
from videoinpaint.clips.masks.recorded import FileMasks
from videoinpaint.clips.masks.sequences import MaskFolder
from videoinpaint.clips.sources.sequences import open_sequence
from videoinpaint.clips.studio import exact, raster, shapes
from videoinpaint.clips.studio.config import PHOTOGRAPHS, Range
from videoinpaint.clips.studio.draws import Draws
from videoinpaint.clips.studio.photographs import Grading, photograph
from videoinpaint.clips.studio.scenes import LISTED, Studio
from videoinpaint.clips.studio.targets import CutOut, Outlined, Sprite, Target
from videoinpaint.clips.types import Clip, ClipSource, MaskSource
from videoinpaint.clips.validate import check_length
from videoinpaint.errors import InputError, UnknownNameError
from videoinpaint.files import user_path

MIN_FIRST_AREA = 0.01
"""The target covers at least this share of the first frame of every clip: there it is given, so it must be there."""

_NAME = re.compile(r"(?P<background>.+)@(?P<seed>[0-9]{6,10})")


class OneShotClips:
    """A clip source whose clips show a target (`observed`) before a background that is known (`frames`).

    `objects` marks every pixel that the target touches: elsewhere `observed` equals `frames`. The target is a *sprite*
    (a random outline cut from a photograph, which turns and bends), an *outline* (of a real object, where `outlines`
    are given, filled with a photograph or a frame of another clip) or a *cut-out* (a real object with its own pixels,
    where `segmented` is given), with equal chance. It covers at least `MIN_FIRST_AREA` of the first frame; later it may
    leave, partly or wholly.

    Clips are named ``BACKGROUND@SEED``: any background of the source under any seed. `names` lists every background
    with its index as the seed; `sample` never draws a seed below 1000, so that these targets stay unseen in training.

    Args:
        backgrounds: where the background comes from; its own moving objects are part of it. By default the studio.
        outlines: masks whose shapes and motion targets take, such as ``FileMasks(folder, shuffle=True)``; or that
            folder.
        segmented: clips with `objects`, of which the target is cut: `SegmentedClips`, or a DAVIS set.
        textures: clips whose frames targets are made of, besides the studio's photographs; by default `backgrounds`.
        area: share of the frame that a target covers, drawn for each clip; CIRI shrinks what covers over one half.
        leaving: share of targets that are let out of the frame; the others turn back at its border.
        name: what the source is called.

    Raises:
        InputError: an area or a share out of range; no masks in the folder.
    """

    def __init__(
        self,
        backgrounds: ClipSource | None = None,
        outlines: MaskSource | str | Path | None = None,
        segmented: ClipSource | None = None,
        *,
        textures: ClipSource | None = None,
        area: Range = (0.03, 0.2),
        leaving: float = 0.25,
        name: str = "one_shot",
    ) -> None:
        if not 2 * MIN_FIRST_AREA <= area[0] <= area[1] <= 0.5:
            raise InputError(f"area must be (low, high), {2 * MIN_FIRST_AREA} <= low <= high <= 0.5, got {area}")
        if not 0 <= leaving <= 1:
            raise InputError(f"leaving must lie in [0, 1], got {leaving}")
        self.backgrounds = Studio() if backgrounds is None else backgrounds
        self.outlines = FileMasks(outlines, shuffle=True) if isinstance(outlines, str | Path) else outlines
        self.segmented, self.textures = segmented, textures or self.backgrounds
        self.area, self.leaving, self.name = area, leaving, name
        given = {"sprite": True, "outline": self.outlines is not None, "cut-out": segmented is not None}
        self.kinds = tuple(kind for kind, there in given.items() if there)

    def names(self) -> list[str]:
        """Every background once, each with another target."""
        return [f"{name}@{index:06d}" for index, name in enumerate(clip_names(self.backgrounds)[:LISTED])]

    def check_length(self, num_frames: int) -> None:
        """The backgrounds' own check.

        Raises:
            InputError: a background is too short.
        """
        check_length(self.backgrounds, num_frames)

    def sample(self, rng: np.random.Generator, num_frames: int, height: int, width: int) -> Clip:
        """A random target before a random background."""
        background = draw_clip(self.backgrounds, rng, num_frames, height, width)
        return self._paste(background, Draws(rng).whole(LISTED, 1_000_000))

    def load(self, name: str, num_frames: int, height: int, width: int, start: int = 0) -> Clip:
        """The target of the name's seed before its background, which begins at frame `start`; the target at 0.

        Raises:
            UnknownNameError: the name is not ``BACKGROUND@SEED``, or there is no such background.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            raise UnknownNameError(f"unknown clip {name!r}: clips of {self.name} are named like {self.names()[0]!r}")
        background = load_clip(self.backgrounds, match["background"], num_frames, height, width, start)
        return self._paste(background, int(match["seed"]))

    def _paste(self, background: Clip, seed: int) -> Clip:
        kind_draws, make, move, light = Draws.seeded(seed, 0x0E5407).spawn(4)
        kind = kind_draws.pick(self.kinds)
        target = self._target(make, kind, background, kind_draws.uniform(*self.area))
        leaves = kind_draws.random() < self.leaving
        observed, objects = _composed(background.frames, target, leaves, move, light)
        return Clip(background.frames, f"{background.name}@{seed:06d}", objects, background.start, observed)

    def _target(self, draws: Draws, kind: str, background: Clip, area: float) -> Target:
        count, height, width = background.frames.shape[:3]
        if kind == "cut-out" and self.segmented is not None:
            clip = draw_clip(self.segmented, draws.generator, count, height, width)
            if clip.objects is None:
                raise InputError(f"clip {clip.name!r} of {self.segmented.name} has no object masks: nothing to cut out")
            if clip.objects[0].any():
                return CutOut(clip, area)
        picture = self._picture(draws, background)
        if kind == "outline" and self.outlines is not None:
            masks = draw_holes(self.outlines, draws.generator, Clip(background.frames, "target"))
            return Outlined(draws, picture, masks, area)
        return Sprite(draws, picture, (count, height, width), area)

    def _picture(self, draws: Draws, background: Clip) -> NDArray[np.uint8]:
        """What a target is made of: a photograph, or a frame of another clip than the background."""
        if draws.random() < 0.5:
            clip = draw_clip(self.textures, draws.generator, 1, *background.frames.shape[1:3])
            if clip.name != background.name:
                return clip.frames[0]
        image = photograph(draws.pick(tuple(PHOTOGRAPHS)))
        return raster.unpack(Grading.drawn(draws).apply(image))


class SegmentedClips:
    """Clips with the masks of the objects in them, from two folders that hold folders of the same names.

    A window longer than a clip runs back and forth through it.

    Args:
        frames: a folder of folders of frames (or of videos).
        masks: a folder of folders of mask pictures, which lie on the clip of the same name, index by index.
        names: the clips whose masks belong to their frames; by default all that are in both folders.

    Raises:
        InputError: a folder is missing, or there is no clip in both.
    """

    def __init__(self, frames: str | Path, masks: str | Path, names: Sequence[str] | None = None) -> None:
        self.frames, self.masks = user_path(frames), user_path(masks)
        for folder in (self.frames, self.masks):
            if not folder.is_dir():
                raise InputError(f"no folder {folder}: name a folder of folders of pictures")
        there = [path for path in sorted(self.masks.iterdir(), key=natural_key) if path.is_dir() and list_images(path)]
        found = [path.name for path in there if (self.frames / path.name).exists()]
        missing = [name for name in names or () if name not in found]
        if missing or not found:
            raise InputError(f"{missing or 'no clip'} both in {self.frames} and in {self.masks}: found {found}")
        self.name, self._names = f"segmented:{self.frames}", list(names) if names is not None else found
        self._objects: dict[str, MaskFolder] = {}

    def names(self) -> list[str]:
        """The clips' names."""
        return list(self._names)

    def sample(self, rng: np.random.Generator, num_frames: int, height: int, width: int) -> Clip:
        """A random window of a random clip, which may be seen in a mirror."""
        draws = Draws(rng)
        name = draws.pick(self._names)
        spare = max(0, len(self._open(name)[1]) - num_frames)
        clip = self.load(name, num_frames, height, width, draws.below(spare + 1))
        if draws.random() < 0.5 or clip.objects is None:
            return clip
        return Clip(clip.frames[:, :, ::-1].copy(), name, clip.objects[:, :, ::-1].copy(), clip.start)

    def load(self, name: str, num_frames: int, height: int, width: int, start: int = 0) -> Clip:
        """The window that begins at frame `start`.

        Raises:
            UnknownNameError: no clip has this name.
            InputError: frames and masks of different sizes.
        """
        frames, masks = self._open(name)
        length = min(len(frames), len(masks))
        # 0 1 2 3 2 1 0 1 ...: the object never jumps.
        turns = np.abs((np.arange(start, start + num_frames) + length - 1) % max(1, 2 * length - 2) - (length - 1))
        picked, objects = frames.read(0, length)[turns], masks.read(0, length)[turns]
        if picked.shape[:3] != objects.shape:
            raise InputError(f"object masks of clip {name!r} have size {objects.shape[1:]}, its frames {picked.shape}")
        return Clip(resize_frames(picked, height, width), name, resize_masks(objects, height, width), start)

    def _open(self, name: str) -> tuple[FrameSequence, FrameSequence]:
        if name not in self._names:
            raise UnknownNameError(f"no clip {name!r} in {self.name}: it has {self._names}")
        if name not in self._objects:  # what their values mean is judged over all of them, once
            self._objects[name] = MaskFolder(self.masks / name)
        return open_sequence(self.frames / name), self._objects[name]


def _composed(
    frames: NDArray[np.uint8], target: Target, leaves: bool, move: Draws, light: Draws
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What the camera sees, and where the target is, for a target that moves over these frames."""
    spots = _track(move, target, frames.shape[1:3], leaves)
    observed, objects = frames.copy(), np.zeros(frames.shape[:3], np.uint8)
    blur = light.uniform(0, 0.8)
    flicker = light.uniform(0, 0.05) * exact.sin(light.uniform(0.1, 0.3) * np.arange(len(frames)))
    gain: NDArray[np.float64] | None = None
    for index, (x, y) in enumerate(spots):
        colour, cover = target.draw(index, float(x), float(y))
        inside = cover > 0
        objects[index] = inside
        if not inside.any():
            continue
        if gain is None:
            gain = _gain(light, frames[index][inside], colour[inside])
        if blur > 0.3:
            near = _around(inside, 4)
            colour[near] = raster.blurred(colour[near], blur)
        seen = np.clip(colour[inside] * gain * (1 + flicker[index]), 0, 255)
        behind = frames[index][inside].astype(np.float64)
        observed[index][inside] = np.rint(behind + cover[inside][:, None] * (seen - behind)).astype(np.uint8)
    return observed, objects


def _around(inside: NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """The box of what is marked in ``(H, W)``, with a margin in pixels."""
    rows, columns = np.nonzero(inside)
    top, left = max(0, int(rows.min()) - margin), max(0, int(columns.min()) - margin)
    return slice(top, int(rows.max()) + margin + 1), slice(left, int(columns.max()) + margin + 1)


def _gain(draws: Draws, behind: NDArray[np.uint8], colour: NDArray[np.float64]) -> NDArray[np.float64]:
    """Channel factors ``(3,)`` that bring a target part of the way to the light of the scene around it."""
    ratio = np.array([(exact.mean(behind[:, i]) + 16) / (exact.mean(colour[:, i]) + 16) for i in range(3)])
    towards = 0.4 * exact.mean(ratio) + 0.1 * ratio + 0.5
    return np.clip(towards, 0.65, 1.5) * draws.uniform(0.9, 1.1)


def _track(draws: Draws, target: Target, size: tuple[int, ...], leaves: bool) -> NDArray[np.float64]:
    """Anchors ``(T, 2)``: the target's own motion upon a turning path, which bounces unless the target leaves."""
    height, width = size[0], size[1]
    centre = np.array([width / 2, height / 2])
    unit = width / shapes.UNIT_WIDTH
    start = draws.uniforms(0.15, 0.85, 2) * (width, height)
    speed, outward = draws.uniform(0.3, 4.0) * unit, None
    if leaves:
        edge, ahead = draws.below(2), draws.uniform(0.1, 0.35)
        start[0] = (1 - ahead if edge else ahead) * width
        speed, outward = draws.uniform(4.0, 10.0) * unit, (width * (2.0 if edge else -1.0), start[1])
    path = shapes.random_path(draws, 0.0, 0.0, speed, towards=None if outward is None else tuple(outward - start))
    moves = path.at(np.arange(len(target.own), dtype=np.float64)) + target.own
    for pull in (0.0, 0.35, 0.7, 1.0):
        first = start + pull * (centre - start)
        if (target.draw(0, *first)[1] > 0).mean() >= MIN_FIRST_AREA:
            break
    spots = first + moves
    if not leaves:
        spots = np.stack([shapes.fold(spots[:, i], 0.1 * end, 0.9 * end) for i, end in ((0, width), (1, height))], 1)
    return spots
