"""Which clip is repaired under which hole: fixed by index and seed, and hashed into every output."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.checks import MAX_COUNT, check_sides, whole_number
from videoinpaint.clips import ClipSource, MaskSource, make_clips, make_masks
from videoinpaint.clips.asking import clip_names, draw_holes, load_clip

STUDIO_CLIPS = 16
"""Clips of a source that lists endlessly many, where no number was asked for."""


@dataclass(frozen=True)
class Pair:
    """A clip and its hole.

    Attributes:
        name: of the clip.
        frames: the reference, uint8 ``(T, H, W, 3)``.
        holes: M0, uint8 ``(T, H, W)`` in {0, 1}, 1 = missing.
        digest: the first 16 hex digits of the SHA-256 of both.
    """

    name: str
    frames: NDArray[np.uint8]
    holes: NDArray[np.uint8]
    digest: str

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Reference ``(1, T, 3, H, W)`` float32 in [0, 1] and holes ``(1, T, 1, H, W)``."""
        reference = torch.from_numpy(self.frames).permute(0, 3, 1, 2).contiguous().float().div(255).unsqueeze(0)
        return reference, torch.from_numpy(self.holes).float()[None, :, None]


@dataclass(frozen=True)
class Suite:
    """Clips paired with holes; made anew each time it is walked through, so that memory holds one pair.

    Attributes:
        clips: where clips come from; they are taken in the order of ``names()``.
        masks: where holes come from.
        num_frames, height, width: of every clip.
        limit: clips to take from the front; 0 for all (`STUDIO_CLIPS` of an endless source).
        seed: with the clip's index, decides its hole.
    """

    clips: ClipSource
    masks: MaskSource
    num_frames: int
    height: int
    width: int
    limit: int = 0
    seed: int = 0

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.names())

    def names(self) -> list[str]:
        """The clips' names in order."""
        names = clip_names(self.clips)
        return names[: self.limit or (STUDIO_CLIPS if self.clips.name.startswith("studio") else len(names))]

    def __iter__(self) -> Iterator[Pair]:
        """The pairs in order."""
        for index, name in enumerate(self.names()):
            clip = load_clip(self.clips, name, self.num_frames, self.height, self.width)
            holes = draw_holes(self.masks, np.random.default_rng([self.seed, index]), clip)
            content = hashlib.sha256(clip.frames.tobytes())
            content.update(holes.tobytes())
            yield Pair(name, clip.frames, holes, content.hexdigest()[:16])


def make_suite(
    clips: str | ClipSource,
    masks: str | MaskSource,
    *,
    num_frames: int = 24,
    height: int = 240,
    width: int = 432,
    limit: int = 0,
    seed: int = 0,
) -> Suite:
    """A suite from names, as :func:`videoinpaint.clips.make_clips` and ``make_masks`` take them.

    Raises:
        InputError, UnknownNameError: a source is unusable or unknown, or a number is out of range.
    """
    check_sides(num_frames, height, width, least=(2, 1))
    whole_number(limit, "limit", 0, MAX_COUNT)
    return Suite(make_clips(clips), make_masks(masks), num_frames, height, width, limit, seed)


def pairing(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """What identifies a suite in an output: its pairs' names and digests, and one digest over all of them."""
    whole = hashlib.sha256("\n".join(f"{name} {digest}" for name, digest in pairs).encode())
    return {"digest": whole.hexdigest()[:16], "pairs": dict(pairs)}
