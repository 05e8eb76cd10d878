"""Detail that motion carries to a finer level: where a hole's pixel is seen in another frame, and what is seen there.

The motion is followed once, at the coarsest level, where the clip fits into memory. A finer level takes from the frame
that shows a pixel only what the level before cannot hold, so that colours stay those of the coarse repair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoinpaint.boxes import Box
from videoinpaint.clips.files.images import resize_frames
from videoinpaint.inpainters.tracing import seen_motion, traced

Pixels = NDArray[np.uint8]
Load = Callable[[int], tuple[Pixels, Pixels]]
"""A frame's number -> the frame ``(H, W, 3)`` and its mask ``(H, W)`` at the level's size."""

AT_ONCE = 8  # frames whose holes are traced together


@dataclass(frozen=True)
class Sources:
    """Where the N pixels of one frame's hole are seen, at the coarsest level.

    Attributes:
        rows, columns: of the pixels, int ``(N,)``.
        away: how far right and below they are seen, in pixels, float32 ``(N, 2)``.
        frame: in which frame, int ``(N,)``; -1 where nowhere.
        trust: in that, float32 ``(N,)`` in [0, 1].
        size: height and width of the coarsest level.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    away: NDArray[np.float32]
    frame: NDArray[np.int64]
    trust: NDArray[np.float32]
    size: tuple[int, int]


@torch.no_grad()
def find_sources(frames: Tensor, holes: Tensor) -> list[Sources]:
    """The sources of every frame: of both directions in time, the one that is trusted more.

    Args:
        frames: ``(T, 3, H, W)`` in [0, 1]; what it holds inside the holes is not read.
        holes: ``(T, 1, H, W)`` in {0, 1}.
    """
    seen = seen_motion(frames[None], holes[None])
    length, _, height, width = frames.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    # What is carried along the motion here are places instead of colours.
    places = torch.stack([columns, rows]).to(frames).expand(length, 2, height, width)
    times = torch.arange(length).to(frames).view(-1, 1, 1, 1).expand(length, 1, height, width)
    places = torch.cat([places, times], 1)
    found = []
    for start in range(0, length, AT_ONCE):
        part = range(start, min(start + AT_ONCE, length))
        both = traced(places[None], holes[None], seen, part)
        ahead, behind = both["ahead"][0], both["behind"][0]
        best = torch.where(ahead[:, 3:4] >= behind[:, 3:4], ahead, behind).cpu()
        found += [_sources(one, hole) for one, hole in zip(best, holes[part.start : part.stop, 0].cpu())]
    return found


def _sources(best: Tensor, hole: Tensor) -> Sources:
    """Of one frame: what was found ``(5, H, W)`` as `traced` gives it, and the hole ``(H, W)``."""
    rows, columns = hole.nonzero(as_tuple=True)
    x, y, time, trust, _ = best[:, rows, columns]
    away = torch.stack([x - columns, y - rows], 1).numpy().astype(np.float32)
    frame = torch.where(trust > 0, time.round(), torch.full_like(time, -1)).long().numpy()
    return Sources(rows.numpy(), columns.numpy(), away, frame, trust.numpy(), (hole.shape[0], hole.shape[1]))


def carried_detail(
    sources: Sources, load: Load, size: tuple[int, int], before: tuple[int, int], box: Box
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What one level adds to the level before it, inside a box around one frame's hole.

    Args:
        sources: of the frame.
        load: reads frames at this level's size, one at a time.
        size: height and width of this level.
        before: of the level before.
        box: where detail is wanted, at this level.

    Returns:
        detail float32 ``(h, w, 3)`` in levels of 255, to be added to the level before, enlarged; and the trust in it,
        ``(h, w)`` in [0, 1], 0 where nothing is carried.
    """
    top, left, bottom, right = box
    detail = np.zeros((bottom - top, right - left, 3), np.float32)
    trust = np.zeros(detail.shape[:2], np.float32)
    coarse = np.full((*sources.size, 4), -1, np.float32)
    coarse[sources.rows, sources.columns, :2] = sources.away
    coarse[sources.rows, sources.columns, 2] = sources.frame
    coarse[sources.rows, sources.columns, 3] = sources.trust
    scale = size[1] / sources.size[1], size[0] / sources.size[0]
    rows, columns = np.arange(top, bottom), np.arange(left, right)
    own_rows = np.minimum(((rows + 0.5) / scale[1]).astype(int), sources.size[0] - 1)
    own_columns = np.minimum(((columns + 0.5) / scale[0]).astype(int), sources.size[1] - 1)
    found = coarse[own_rows[:, None], own_columns[None]]
    x = (columns[None] + found[..., 0] * scale[0]).astype(np.float32)
    y = (rows[:, None] + found[..., 1] * scale[1]).astype(np.float32)
    for number in np.unique(sources.frame[sources.frame >= 0]):
        here = found[..., 2] == number
        frame, mask = load(int(number))
        fine = _finer(frame, before)
        # In whole numbers a look-up of which half lies in the hole would round to none of it.
        hole = cv2.remap(mask.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=1)
        seen = cv2.remap(fine, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        here &= hole == 0
        detail[here], trust[here] = seen[here], found[..., 3][here]
    return detail, trust


def _finer(frame: Pixels, before: tuple[int, int]) -> NDArray[np.int16]:
    """What of a frame is lost at the size of the level before, int16 ``(H, W, 3)``."""
    small = resize_frames(frame[None], *before)[0]
    kept = cv2.resize(small, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.subtract(frame, kept, dtype=np.int16)
