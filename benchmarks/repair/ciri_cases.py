"""Clips with a pasted target, and masks of it that are wrong: what the benchmarks of one-shot inpainting repair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.clips import make_clips
from videoinpaint.clips.files.images import resize_masks
from videoinpaint.clips.masks.inaccurate import MASK_ERRORS, inaccurate
from videoinpaint.clips.masks.sequences import open_masks
from videoinpaint.clips.sources.pasted import OneShotClips
from videoinpaint.clips.types import Clip
from videoinpaint.errors import InputError, UnknownNameError

EXACT, PREDICTED = "exact", "predicted"
KINDS = (EXACT, *MASK_ERRORS)
REAL = ("osvos", "rvos")  # the outline that counts as true, and the prediction


@dataclass(frozen=True, kw_only=True)
class CaseFlags:
    """Which clips."""

    clips: str
    """Backgrounds: a folder of clips, or any other clip source."""
    outlines: Path | None = None
    """A folder of mask sequences: outlines of real objects that targets take, besides random ones."""
    limit: int | None = None
    """Only the first so many clips."""
    num_frames: int = 12
    """Frames of a clip."""
    height: int = 120
    """Pixels."""
    width: int = 216
    """Pixels."""
    seed: int = 0
    """Of the errors."""


@dataclass(frozen=True)
class Case:
    """A clip with a target before a background, and its predicted masks."""

    kind: str
    background: str
    clip: Clip
    predicted: NDArray[np.uint8] | None


def check_kinds(kinds: Sequence[str]) -> None:
    """Raise UnknownNameError unless all are kinds of masks."""
    if unknown := set(kinds) - set(KINDS):
        raise UnknownNameError(f"unknown kind of mask {min(unknown)!r}: use {', '.join(KINDS)}")


def falsified(flags: CaseFlags, kinds: Sequence[str], severity: float) -> Iterator[Case]:
    """Every clip with masks of every kind; the errors of one do not depend on which others are asked for."""
    for index, clip in _clips(flags):
        assert clip.objects is not None
        for kind in kinds:
            rng = np.random.default_rng([flags.seed, index, KINDS.index(kind)])
            wrong = clip.objects if kind == EXACT else inaccurate(clip.objects, rng, kind, severity)
            yield Case(kind, _background(clip), clip, wrong)


def unpredicted(flags: CaseFlags, kind: str) -> Iterator[Case]:
    """Every clip without masks but the first."""
    for _, clip in _clips(flags):
        yield Case(kind, _background(clip), clip, None)


def really_predicted(flags: CaseFlags, folder: Path) -> Iterator[Case]:
    """Every pair of masks over some background: the outline filled with a frame of another clip that moves along.

    Raises:
        InputError: the folder holds no pairs.
    """
    pairs = sorted(path for path in folder.iterdir() if all((path / name).is_dir() for name in REAL))
    if not pairs:
        raise InputError(f"{folder} holds no SEQUENCE/{REAL[0]} with SEQUENCE/{REAL[1]} beside it")
    source = make_clips(flags.clips)
    names = source.names()
    for index, pair in enumerate(pairs):
        true, wrong = (resize_masks(open_masks(pair / name).read(0, flags.num_frames), flags.height, flags.width)
                       for name in REAL)  # fmt: skip
        for turn in range(2):  # two backgrounds each
            place = 2 * index + turn
            clips = [source.load(names[(place + step) % len(names)], flags.num_frames, flags.height, flags.width)
                     for step in (0, 5)]  # fmt: skip
            background = names[place % len(names)]
            clip = _pasted(clips[0], clips[1].frames[0], true, f"{background}+{pair.name}")
            predicted = wrong.copy()
            predicted[0] = true[0]
            yield Case(PREDICTED, background, clip, predicted)


def tensor(frames: NDArray[np.uint8] | None) -> Tensor:
    """Frames ``(T, H, W, 3)`` as ``(1, T, 3, H, W)`` float32 in [0, 1]."""
    assert frames is not None
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)[None].float() / 255


def mask_tensor(masks: NDArray[np.uint8] | None) -> Tensor:
    """Masks ``(T, H, W)`` as ``(1, T, 1, H, W)`` float32 in {0, 1}."""
    assert masks is not None
    return torch.from_numpy(np.ascontiguousarray(masks)).float()[None, :, None]


def _clips(flags: CaseFlags) -> Iterator[tuple[int, Clip]]:
    source = OneShotClips(make_clips(flags.clips), flags.outlines)
    for index, name in enumerate(source.names()[: flags.limit]):
        yield index, source.load(name, flags.num_frames, flags.height, flags.width)


def _background(clip: Clip) -> str:
    return clip.name.rpartition("@")[0]  # BACKGROUND@SEED


def _pasted(background: Clip, picture: NDArray[np.uint8], masks: NDArray[np.uint8], name: str) -> Clip:
    """The picture seen through the masks, moving along with their middle."""
    observed = background.frames.copy()
    middles = [np.argwhere(mask).mean(0) for mask in masks]
    for frame, mask, middle in zip(observed, masks, middles):
        down, right = middle - middles[0]
        moved = cv2.warpAffine(picture, np.array([[1, 0, right], [0, 1, down]]), picture.shape[1::-1],
                               borderMode=cv2.BORDER_REFLECT_101)  # fmt: skip
        frame[mask > 0] = moved[mask > 0]
    return Clip(background.frames, name, masks, background.start, observed)
