"""What a mask means: which values of its pictures mark the hole. Judged once, over all pictures of a sequence.

A mask that is judged picture by picture would fill the ones that mark nothing with what noise they have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from videoinpaint.checks import plain_array
from videoinpaint.clips.masks.evidence import BLACK, LARGEST, Evidence, Planes, Tally
from videoinpaint.errors import InputError


@dataclass(frozen=True)
class Wish:
    """What the user says about a mask, where its pictures do not say it.

    Args:
        invert: the hole is what would be known, and the other way round.
        threshold: the hole is what is brighter than this, of 255, instead of what is brighter than half.
        object_id: the hole is this object alone, of several that a palette or grey values number.

    Raises:
        InputError: out of range, or both a threshold and an object.
    """

    invert: bool = False
    threshold: int | None = None
    object_id: int | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and self.object_id is not None:
            raise InputError("a threshold and an object exclude each other: give one of them")
        if self.threshold is not None and not 0 <= self.threshold <= 254:
            raise InputError(f"the threshold must lie in 0..254, got {self.threshold}")
        if self.object_id is not None and not 0 <= self.object_id <= LARGEST:
            raise InputError(f"the number of an object must lie in 0..{LARGEST}, got {self.object_id}")


PLAIN = Wish()
"""The mask says all."""

Channel = Literal["brightness", "alpha", "index"]


@dataclass(frozen=True)
class Meaning:
    """The values that mark the hole: those of one channel from `first` to `last`; all others where it is inverted."""

    channel: Channel
    first: int
    last: int = LARGEST
    inverted: bool = False

    def hole(self, planes: Planes) -> NDArray[np.uint8]:
        """The mask ``(H, W)`` in {0, 1}, 1 = missing."""
        values = getattr(planes, self.channel)
        inside = (values >= self.first) & (values <= self.last)
        return (inside ^ self.inverted).astype(np.uint8)


@dataclass(frozen=True)
class Coverage:
    """How much a mask marks.

    Attributes:
        share: of the frame, on average over the frames in which something is marked; 0..1.
        frames: in how many something is marked.
        full: in how many everything is.
        total: how many there are.
        between: the share of all pixels that are neither black nor marked.
    """

    share: float
    frames: int
    full: int
    total: int
    between: float = 0.0

    def __str__(self) -> str:
        return f"{self.of_frame}, in {self.frames} of {self.total} frames"

    @property
    def of_frame(self) -> str:
        """How much of a frame, in words."""
        percent = f"{100 * self.share:.1f}" if self.share >= 0.01 else f"{100 * self.share:.1g}"
        return f"hole: {percent} % of the frame"


def coverage(evidence: Evidence, meaning: Meaning) -> Coverage:
    """How much a sequence marks, by what was counted."""
    tally: Tally = getattr(evidence, meaning.channel)
    inside = int(tally.counts[meaning.first : meaning.last + 1].sum())
    if meaning.last == LARGEST:
        some, full = (sum(v >= meaning.first for v in values) for values in (tally.highs, tally.lows))
    elif meaning.first == 0:
        some, full = (sum(v <= meaning.last for v in values) for values in (tally.lows, tally.highs))
    else:
        some, full = sum(n > 0 for n in tally.found), sum(n == tally.pixels for n in tally.found)
    total = evidence.pictures
    if meaning.inverted:
        inside, some, full = total * tally.pixels - inside, total - full, total - some
    between = 0
    if meaning.channel == "brightness" and not meaning.inverted:
        between = int(tally.counts[max(BLACK, tally.highest // 8) : meaning.first].sum())
    return Coverage(inside / max(1, some * tally.pixels), some, full, total, between / (total * tally.pixels))


def understand(evidence: Evidence, wish: Wish, name: object) -> Meaning:
    """What the pictures of a mask mean; docs/clips.md has the table of these rules.

    Args:
        evidence: all its pictures.
        wish: what the user says.
        name: of the mask, for messages.

    Raises:
        InputError: it can be read in two ways.
    """
    if wish.object_id is not None:
        return Meaning(_numbered(evidence, wish.object_id, name), wish.object_id, wish.object_id, wish.invert)
    if evidence.alpha.varies:
        return _transparency(evidence, wish, name)
    if wish.threshold is not None:
        scale = 257 if evidence.depth == "uint16" else 1
        return Meaning("brightness", wish.threshold * scale + 1, LARGEST, wish.invert)
    if evidence.labels:
        return _objects(evidence, wish, name)
    tally = evidence.brightness
    first = tally.highest // 2 + 1
    if tally.highest < BLACK and len(tally.values()) > 2:
        if len(evidence.index.highs) < evidence.pictures:
            raise InputError(
                f"mask {name} is nearly black, its brightest value is {tally.highest}: mark the hole white; if all "
                "that is not black is meant, give --threshold 0; if the values number objects, --object ID"
            )
        first = 1  # a palette of near blacks numbers objects, too
    return Meaning("brightness", first, LARGEST, wish.invert)


def holes_in(masks: ArrayLike, wish: Wish = PLAIN) -> Any:
    """The holes in an array of masks, by the rule for grey pictures; bool, of its shape.

    What is no array of real numbers comes back as it is, for the check that says what it should be.

    Raises:
        InputError: it can be read in two ways, nothing has the number of the object, or masks are of different sizes.
    """
    array = plain_array(masks, "masks")
    kind = array.dtype.kind
    if kind == "b":
        return array ^ wish.invert
    if kind not in "iuf" or not array.size or not np.isfinite(array).all():
        return array
    if array.min() < 0:
        raise InputError("masks hold values below 0: use 0 where pixels are known and 1 where they are missing")
    if wish.object_id is not None:
        if not (array == wish.object_id).any():
            raise InputError(f"no pixel of the masks has the value {wish.object_id}, which was asked for")
        return (array == wish.object_id) ^ wish.invert
    highest = array.max()
    if wish.threshold is None and kind != "f" and 1 < highest < BLACK and len(np.unique(array)) > 2:
        raise InputError(
            f"masks hold values of 0 to {highest}, are they numbers of objects? Give object_id, or threshold=0 for all"
        )
    half = highest / 2 if kind == "f" else highest // 2
    return (array > (half if wish.threshold is None else wish.threshold)) ^ wish.invert


def _numbered(evidence: Evidence, wanted: int, name: object) -> Channel:
    """Where the numbers of objects are."""
    channel: Channel = "index" if len(evidence.index.highs) == evidence.pictures else "brightness"
    if channel == "brightness" and not evidence.grey:
        raise InputError(f"mask {name} has colours, no numbers of objects: leave --object out, or use a palette")
    found = (evidence.index if channel == "index" else evidence.brightness).values()
    if wanted not in found:
        shown = ", ".join(map(str, found[:20])) + (", ..." if len(found) > 20 else "")
        raise InputError(f"mask {name} has no object {wanted}: its values are {shown}")
    return channel


def _objects(evidence: Evidence, wish: Wish, name: object) -> Meaning:
    """All objects of a palette: all but index 0 where that is black, as in DAVIS, else all that is not black."""
    if len(evidence.index.highs) < evidence.pictures:
        raise InputError(f"the pictures of mask {name} have palettes and have none: save all in one way")
    if evidence.first < BLACK:
        return Meaning("index", 1, LARGEST, wish.invert)
    meaning = Meaning("brightness", BLACK, LARGEST, wish.invert)
    if min(evidence.brightness.lows) >= BLACK or (coverage(evidence, meaning).share > 0.5 and not wish.invert):
        raise InputError(
            f"the palette of mask {name} has colours, and its first is not black, so that the background is not known: "
            "save it in black and white, or give --object ID"
        )
    return meaning


def _transparency(evidence: Evidence, wish: Wish, name: object) -> Meaning:
    """Paint on a transparent picture is the hole, unless it is black; so is what is erased from a picture."""
    remedy = "save the mask in black and white, without transparency"
    if evidence.with_alpha < evidence.pictures:
        raise InputError(f"some pictures of mask {name} have transparency and some have none: {remedy}")
    alpha = evidence.alpha
    one_colour = int((evidence.high - evidence.low).max()) <= BLACK
    if not one_colour and evidence.pictorial < evidence.visible // 5:
        raise InputError(f"mask {name} is black and white and has transparency, which of them marks the hole? {remedy}")
    half = (min(alpha.lows) + alpha.highest) // 2 if wish.threshold is None else wish.threshold
    painted = one_colour and int(evidence.high.max()) > 64
    meaning = Meaning("alpha", half + 1) if painted else Meaning("alpha", 0, half)
    meaning = Meaning("alpha", meaning.first, meaning.last, wish.invert)
    share = coverage(evidence, meaning).share
    if share > 0.5 and not wish.invert:
        part = "opaque" if painted else "transparent"
        raise InputError(
            f"mask {name} is {part} in {100 * share:.0f} % of the frame, is that the hole? If not, give --invert; "
            f"if it is, {remedy}"
        )
    return meaning
