"""What the command line says about a mask before it is used."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoinpaint.cli.output import check_masks_folder
from videoinpaint.errors import InputError, warn
from videoinpaint.files import user_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from videoinpaint.clips.files.sequences import FrameSequence
    from videoinpaint.clips.masks.meaning import Coverage, Wish
    from videoinpaint.clips.masks.sequences import MaskSequence

_NAMED = re.compile(r"([0-9]{1,9})=(.+)", re.ASCII | re.DOTALL)


def paths_by_frame(words: Sequence[str]) -> dict[int, Path] | None:
    """Masks of some frames, ``0=a.png 40=b.png``, by the frames' numbers; None for one path.

    Raises:
        InputError: no word, or several that are not all of this kind; a frame is named twice.
    """
    if not words:
        raise InputError("--mask names no mask: give a picture, a folder or a video")
    named = [_NAMED.fullmatch(word) for word in words]
    if len(words) == 1 and (named[0] is None or user_path(words[0]).exists()):
        return None
    found: dict[int, Path] = {}
    for word, match in zip(words, named):
        if match is None:
            raise InputError(f"{word!r} says no frame: give several masks as 0=first.png 40=other.png")
        number = int(match[1])
        if number in found:
            raise InputError(f"frame {number} has two masks, {found[number]} and {match[2]}: leave one of them out")
        found[number] = Path(match[2])
    return dict(sorted(found.items()))


def masks_in_front(words: Sequence[str]) -> list[str]:
    """The words of a command line whose flag --mask takes one word, or several of the kind ``40=b.png``.

    The parser would take any word that follows for a mask, the video too: the last such word is put in front, unless
    the line begins with the video. Others stay, for `paths_by_frame` to refuse.
    """
    words = [part for word in words for part in (word.split("=", 1) if word.startswith("--mask=") else [word])]
    if "--mask" not in words[:-1]:
        return words
    stop = words.index("--mask") + 2
    while stop < len(words) and _NAMED.fullmatch(words[stop]):
        stop += 1
    end = stop
    while end < len(words) and not words[end].startswith("-"):
        end += 1
    if end == stop or not words[0].startswith("-"):
        return words
    return [words[end - 1], *words[: end - 1], *words[end:]]


def check_propagation(
    propagator: str | None, marked: Mapping[int, Path] | None, output: Path | None, remove_residues: bool
) -> None:
    """Raise InputError for flags that do not go together with a propagator, or without one."""
    if propagator is None and marked is not None:
        raise InputError("masks of some frames are carried to the others by a propagator: give --propagator appearance")
    if propagator is None and output is not None:
        raise InputError("--save-masks needs --propagator: without one the masks are those you gave")
    if propagator is None and remove_residues:
        raise InputError("--remove-residues needs --propagator: residues are those of a target that it follows")
    if output is not None:
        check_masks_folder(output)


def read_known(paths: Mapping[int, Path], length: int, size: tuple[int, int], wish: Wish) -> dict[int, NDArray[Any]]:
    """The masks ``(H, W)`` in {0, 1} of some frames, after telling what each marks.

    Args:
        paths: by the frame's number.
        length: of the video.
        size: ``(height, width)`` of its frames.
        wish: what the user says about them.

    Raises:
        InputError: there is no such frame; a mask is no single picture of this size, or covers everything; all are
            empty.
    """
    from videoinpaint.clips.masks.sequences import open_masks

    known = {}
    for number, path in paths.items():
        if number >= length:
            raise InputError(f"there is no frame {number} for mask {path}: frames count from 0 to {length - 1}")
        masks = open_masks(path, None, *size, invert=wish.invert, threshold=wish.threshold, object_id=wish.object_id)
        check_single(masks, path)
        if masks.coverage.frames or len(paths) == 1:
            marked = f"frame {number}, {masks.coverage.of_frame}"
            check_mask(masks, path, f"{marked}; the masks of other frames follow from it")
        else:
            print(f"frame {number}, nothing is marked: what is to go is absent there")
        known[number] = masks.read(0, 1)[0]
    if not any(mask.any() for mask in known.values()):
        raise InputError("all masks are empty, there is nothing to remove: mark it white on black in one of them")
    return known


def check_single(masks: MaskSequence, path: Path) -> None:
    """Raise InputError for more than one mask where a propagator needs those of single frames."""
    if len(masks) != 1:
        raise InputError(
            f"mask {path} has {len(masks)} frames: with --propagator give one picture, of the first frame, or pictures "
            "by frame: --mask 0=first.png 40=other.png"
        )


def check_mask(masks: MaskSequence, path: Path, told: str = "", dilate: int = 0) -> None:
    """Tell what a mask marks, and doubt it where it marks much.

    Args:
        masks: opened.
        path: theirs.
        told: that, where it is of a frame of several.
        dilate: pixels by which it is to grow.

    Raises:
        InputError: nothing, or everything, is missing in all frames; of a single picture, after it grew, too. Others
            grow when they are read again for the repair.
    """
    from videoinpaint.clips.masks.sequences import StillMask
    from videoinpaint.repair.given_masks import grown

    found = masks.coverage
    if not found.frames:
        raise InputError(f"mask {path} is empty, there is nothing to repair: mark missing pixels white on black")
    if found.full == found.total:
        raise InputError(f"mask {path} covers everything, nothing is known: leave known pixels black")
    tell(found, masks.wish, told)
    if dilate and isinstance(masks, StillMask):
        grown(masks.read(0, 1), dilate)


def tell(found: Coverage, wish: Wish, told: str = "") -> None:
    """Print how much is marked, with a warning where that is more than half, or where grey was taken for black.

    Args:
        found: how much.
        wish: what the user says of the mask.
        told: that in other words.
    """
    from videoinpaint.clips.masks.meaning import PLAIN

    print(told or found)
    if found.share > 0.5:
        remedy = "leave --invert out" if wish.invert else "give --invert"
        warn(f"the hole is more than half of the frame; if it should be the other part, {remedy}")
    if wish == PLAIN and found.between * found.total > 0.1 * found.share * found.frames:
        share = f"{100 * found.between:.2g} % of the mask"
        warn(f"{share} is neither black nor bright enough for the hole; to fill that too, give --threshold 0 or higher")


def check_numbers(video: FrameSequence, masks: MaskSequence | None) -> None:
    """Compare the numbers of frames and masks, if there is one for each, where one of the two series has a gap.

    Raises:
        InputError: the gap is in one of them only, so that masks would lie on other frames than theirs; or one of them
            has two pictures of one number.
    """
    from videoinpaint.clips.files.images import check_once, numbers_of
    from videoinpaint.clips.masks.sequences import gap_of

    frames, holes = (numbers_of(getattr(series, "paths", ())) for series in (video, masks))
    for series, found in ((video, frames), (masks, holes)):
        check_once(getattr(series, "paths", ()), found, "number")
    here, there = gap_of(video), gap_of(masks) if masks is not None else ""
    if masks is not None and there and frames != holes:
        raise InputError(f"mask {masks.path}{there}: give one mask picture for every frame")
    if here and holes and frames != holes:
        raise InputError(f"folder {video.name}{here}, but not of its masks: leave the same numbers out of both")
    if here:
        warn(f"folder {video.name}{here}: the video jumps there")
