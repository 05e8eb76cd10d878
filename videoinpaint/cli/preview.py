"""Contact sheets and grids of clips under their holes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from videoinpaint.benchmarks.report.panels import Pixels, below, beside, labelled
from videoinpaint.checks import real_number
from videoinpaint.clips import Clip, ClipSource, MaskSource
from videoinpaint.clips.asking import clip_names, draw_holes, load_clip
from videoinpaint.errors import InputError
from videoinpaint.files import behind_link, check_place, write_atomically

COLUMNS = 6  # frames of a clip on a contact sheet
TINT = np.array([235, 30, 190], np.float32)


def check_preview(path: Path, fps: float) -> None:
    """Raise InputError if the preview could not be written."""
    from videoinpaint.clips.files.encoding import FPS

    if path.suffix.lower() not in (".png", ".mp4"):
        raise InputError(f"cannot write a preview to {path}: end the name in .png (contact sheet) or .mp4 (video)")
    if not path.resolve().parent.is_dir():
        raise InputError(f"cannot write {path}: make the folder {path.parent} first")
    check_place(behind_link(path))
    real_number(fps, "fps", *FPS)


def write_preview(
    path: Path,
    source: ClipSource,
    masks: MaskSource,
    count: int,
    size: tuple[int, int, int],
    fps: float = 12.0,
    seed: int = 0,
) -> None:
    """Draw the source's first clips with their holes tinted.

    Args:
        path: .png for a contact sheet, .mp4 for a grid of pairs (clip, clip with its hole).
        source: the clips.
        masks: the holes.
        count: how many clips.
        size: frames, height, width of each clip; a clip with fewer frames cannot be drawn.
        fps: of the video.
        seed: of the holes.
    """
    pairs = []
    for order, name in enumerate(clip_names(source)[:count]):
        clip = load_clip(source, name, *size)
        if clip.observed is not None and clip.objects is not None:  # a one-shot clip brings its own hole
            pairs.append((replace(clip, frames=clip.observed), clip.objects))
        else:
            pairs.append((clip, draw_holes(masks, np.random.default_rng([seed, order]), clip)))
    if path.suffix.lower() == ".mp4":
        from videoinpaint.clips.files.video import write_video

        write_video(path, playing_grid(pairs), fps)
        return
    with write_atomically(behind_link(path)) as draft:
        Image.fromarray(contact_sheet(pairs)).save(draft, format="PNG")


def tinted(frames: Pixels, masks: Pixels) -> Pixels:
    """Frames ``(T, H, W, 3)`` with the pixels of ``masks (T, H, W)`` tinted."""
    red = (0.4 * frames + 0.6 * TINT).astype(np.uint8)
    return np.where(masks[..., None] > 0, red, frames)


def contact_sheet(pairs: list[tuple[Clip, Pixels]]) -> Pixels:
    """One row of frames per clip, evenly spaced in time, under the clip's name."""
    rows = []
    for clip, masks in pairs:
        chosen = np.unique(np.linspace(0, len(clip.frames) - 1, COLUMNS).round().astype(int))
        rows.append(labelled(beside(list(tinted(clip.frames[chosen], masks[chosen]))), clip.name))
    return below(rows)


def playing_grid(pairs: list[tuple[Clip, Pixels]]) -> Pixels:
    """Frames ``(T, H, W, 3)``: per clip a row with the clip and the clip under its hole."""
    drawn = [(clip, tinted(clip.frames, masks)) for clip, masks in pairs]
    length = min(len(clip.frames) for clip, _ in pairs)
    return np.stack(
        [
            below([labelled(beside([clip.frames[time], holed[time]]), clip.name) for clip, holed in drawn])
            for time in range(length)
        ]
    )
