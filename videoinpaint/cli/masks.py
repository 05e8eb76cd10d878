"""What the command line says about a mask before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from videoinpaint.errors import InputError, warn

if TYPE_CHECKING:
    from videoinpaint.clips.files.sequences import FrameSequence
    from videoinpaint.clips.masks.meaning import Coverage
    from videoinpaint.clips.masks.sequences import MaskSequence


def check_mask(masks: MaskSequence, path: Path) -> None:
    """Tell what a mask marks, and doubt it where it marks much.

    Raises:
        InputError: nothing, or everything, is missing in all frames.
    """
    from videoinpaint.clips.masks.meaning import PLAIN

    found = masks.coverage
    if not found.frames:
        raise InputError(f"mask {path} is empty, there is nothing to repair: mark missing pixels white on black")
    if found.full == found.total:
        raise InputError(f"mask {path} covers everything, nothing is known: leave known pixels black")
    tell(found, masks.wish == PLAIN)


def tell(found: Coverage, plain: bool = True) -> None:
    """Print how much is marked, with a warning where that is more than half, or where grey was taken for black.

    Args:
        found: how much.
        plain: the user gave no flag that says what marks the hole.
    """
    print(found)
    if found.share > 0.5:
        warn("the hole is more than half of the frame; if it should be the other part, give --invert")
    if plain and found.between * found.total > 0.1 * found.share * found.frames:
        share = f"{100 * found.between:.2g} % of the mask"
        warn(f"{share} is neither black nor bright enough for the hole; to fill that too, give --threshold 0 or higher")


def check_numbers(video: FrameSequence, masks: MaskSequence) -> None:
    """Compare the numbers of frames and masks where one of the two series has a gap.

    Raises:
        InputError: the gap is in one of them only, so that masks would lie on other frames than theirs.
    """
    from videoinpaint.clips.files.images import numbers_of
    from videoinpaint.clips.masks.sequences import gap_of

    frames, holes = (numbers_of(getattr(series, "paths", ())) for series in (video, masks))
    here, there = gap_of(video), gap_of(masks)
    if there and frames != holes:
        raise InputError(f"mask {masks.path}{there}: give one mask picture for every frame")
    if here and holes and frames != holes:
        raise InputError(f"folder {video.name}{here}, but not of its masks: leave the same numbers out of both")
    if here:
        warn(f"folder {video.name}{here}: the video jumps there")
