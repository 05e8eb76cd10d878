"""Repairing a stream of frames whose masks are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from videoinpaint.agents.policies import Policy
from videoinpaint.agents.policies.baselines import RandomPolicy
from videoinpaint.checks import plain_array
from videoinpaint.clips.masks.meaning import holes_in
from videoinpaint.clips.masks.synthetic import checked_dilate, dilated
from videoinpaint.clips.validate import check_frames
from videoinpaint.contract import check_size
from videoinpaint.errors import InputError
from videoinpaint.naming import stable_name
from videoinpaint.protocols import Detector, Inpainter
from videoinpaint.repair.defaults import INPAINTER, ITERATIONS, POLICY
from videoinpaint.repair.kept import KeptWindows
from videoinpaint.repair.streaming import Parts, Pixels, Repairer, Stream


def inpaint_stream(
    frames: Iterable[Pixels],
    masks: Iterable[ArrayLike],
    *,
    inpainter: str | Inpainter = INPAINTER,
    detector: str | Detector = "compact",
    policy: str | Path | Policy = POLICY,
    iterations: int = ITERATIONS,
    device: str = "auto",
    window: int | None = None,
    overlap: int | None = None,
    reach: int | None = None,
    weights: str | None = None,
    dilate: int = 0,
    on_cut: Callable[[int], None] | None = None,
    keep: Path | None = None,
    action_grid: tuple[int, int] | None = None,
) -> Iterator[Pixels]:
    """As :func:`inpaint`, frame by frame: yields ``(H, W, 3)`` in order, reading a window and its reach ahead at most.

    The parts are made, and the settings checked, when this is called; frames and masks are checked as they come.

    Args:
        frames: uint8 ``(H, W, 3)`` each, all of one size.
        masks: ``(H, W)`` each, as many, of 0 and one other value, which is missing (`open_masks` gives such).
        inpainter, detector, policy, iterations, device, window, overlap, reach, weights, dilate, action_grid: as of
            :func:`inpaint`.
        keep: a folder for finished windows, from which an interrupted repair goes on; see
            :class:`videoinpaint.repair.kept.KeptWindows`.
        on_cut: called with the number of the first frame of every scene but the first, when it is reached.

    Raises:
        InputError: also while it runs, where a frame or mask does not fit, one of the two series ends first, or nothing
            is known in any frame of a window and within its reach.
    """
    parts = Parts.made(inpainter, detector, policy, iterations, device, window, overlap, weights, reach, action_grid)
    named = {"policy": stable_name(policy), "weights": weights}
    return repair_given(parts, frames, masks, dilate=dilate, on_cut=on_cut, keep=keep, named=named)


def repair_given(
    parts: Parts,
    frames: Iterable[Pixels],
    masks: Iterable[ArrayLike],
    *,
    dilate: int = 0,
    on_cut: Callable[[int], None] | None = None,
    keep: Path | None = None,
    named: Mapping[str, Any] | None = None,
) -> Iterator[Pixels]:
    """As :func:`inpaint_stream`, by parts that are made already.

    Args:
        parts: what repairs.
        frames, masks, dilate, on_cut, keep: see :func:`inpaint_stream`.
        named: what the parts were made of, where they do not tell it themselves: kept windows are of these settings.

    Raises:
        InputError: see :func:`inpaint_stream`.
    """
    pairs = checked_pairs(frames, masks, parts.loop.inpainter, checked_dilate(dilate))
    repairer: Repairer = parts.repairer()
    if keep is not None:
        if isinstance(parts.policy, RandomPolicy):
            raise InputError("a random policy chooses anew when a repair goes on: use another, or keep no windows")
        repairer = KeptWindows(parts.repairer(), keep, parts.settings() | dict(named or {}) | {"dilate": dilate})
    return Stream(Knowing(repairer, parts.windows.reach, dilate), parts.windows, on_cut).run(pairs)


def checked_pairs(
    frames: Iterable[Pixels], masks: Iterable[ArrayLike], inpainter: Inpainter, dilate: int = 0
) -> Iterator[tuple[Pixels, NDArray[np.bool_]]]:
    """Frames with their holes, checked one by one; holes grow by `dilate` pixels.

    Both are the stream's own, as it holds them for a while: a generator may write each frame into the same buffer. Only
    an array of all frames is taken to stay as it is.
    """
    size: tuple[int, ...] = ()
    steady = isinstance(frames, np.ndarray)
    for index, (frame, mask) in enumerate(zip_longest(frames, masks)):
        if frame is None or mask is None:
            less, more = ("frames", "masks") if frame is None else ("masks", "frames")
            raise InputError(f"there are fewer {less} than {more}: the {less} end after {index}")
        picture = check_frames(frame[None] if steady else [frame])[0]  # of a list numpy makes an array of its own
        hole = _one_hole(mask, index)
        size = size or picture.shape[:2]
        if picture.shape[:2] != size or hole.shape != size:
            raise InputError(
                f"frame {index} is {picture.shape[:2]} and its mask {hole.shape}, the first frame was {size}"
            )
        if index == 0:
            check_size(inpainter, *size)
        yield picture, dilated(hole[None].astype(np.uint8), dilate)[0] > 0
    if not size:
        raise InputError("the video has no frames")


def grown(holes: NDArray[np.uint8], dilate: int) -> NDArray[np.uint8]:
    """All masks ``(T, H, W)`` of a video, grown by `dilate` pixels.

    Raises:
        InputError: nothing is known any more in any frame.
    """
    wider = dilated(holes, checked_dilate(dilate))
    if wider.all():
        raise nothing_known("every frame", dilate)
    return wider


def nothing_known(where: str, dilate: int) -> InputError:
    """What to say of frames of which nothing is known, after the mask grew by so many pixels."""
    remedy = f"the mask grew by dilate={dilate} pixels, let it grow by fewer" if dilate else "leave known pixels out"
    return InputError(f"the hole covers every pixel of {where}, so that nothing is known to fill it with: {remedy}")


class Knowing:
    """Repairs windows as another repairer does, and refuses those in whose reach nothing is known.

    Whatever came out of such a window would be made up, plain grey mostly. A single frame that is lost is repaired from
    its neighbours.

    Args:
        repairer: repairs the others.
        reach: frames before and after a window from which content is carried into it.
        dilate: pixels by which the masks grew, for the message.
    """

    def __init__(self, repairer: Repairer, reach: int, dilate: int) -> None:
        self.repairer, self.reach, self.dilate = repairer, reach, dilate

    def repair(self, frames: Sequence[Pixels], masks: Sequence[NDArray[Any]], first: int, wanted: range) -> Pixels:
        """See :class:`videoinpaint.repair.streaming.Repairer`.

        Raises:
            InputError: nothing is known in the window or within its reach.
        """
        low, high = max(0, wanted.start - self.reach), min(len(masks), wanted.stop + self.reach)
        if all(masks[index].all() for index in range(low, high)):
            raise nothing_known(f"frames {first + low} to {first + high - 1}", self.dilate)
        return self.repairer.repair(frames, masks, first, wanted)

    def region(self, mask: NDArray[Any]) -> NDArray[np.bool_]:
        """The same as of the other."""
        return self.repairer.region(mask)


def _one_hole(mask: ArrayLike, index: int) -> NDArray[np.bool_]:
    """The hole of one frame; where a mask has greys, only the whole series would tell which of them are meant."""
    array = plain_array(mask, f"the mask of frame {index}")
    if array.dtype.kind in "iuf" and array.size and not ((array == 0) | (array == array.max())).all():
        raise InputError(f"the mask of frame {index} has more than two values: use (mask > threshold)")
    return np.asarray(holes_in(array))
