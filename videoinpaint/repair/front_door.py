"""The front door, :func:`videoinpaint.inpaint`: a video as one array, with masks given or with one mask to follow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from videoinpaint.agents.policies import Policy
from videoinpaint.clips.masks.meaning import Wish, holes_in
from videoinpaint.clips.validate import check_frames, check_pair
from videoinpaint.errors import InputError
from videoinpaint.protocols import Detector, Inpainter, MaskPropagator
from videoinpaint.repair.defaults import INPAINTER, ITERATIONS, POLICY
from videoinpaint.repair.given_masks import Knowing, checked_pairs, grown
from videoinpaint.repair.one_mask import check_tunable, follow, repair_followed
from videoinpaint.repair.streaming import Parts, Pixels, Stream


def inpaint(
    frames: ArrayLike,
    masks: ArrayLike | Mapping[int, ArrayLike],
    *,
    inpainter: str | Inpainter | None = None,
    detector: str | Detector = "compact",
    policy: str | Path | Policy = POLICY,
    iterations: int = ITERATIONS,
    device: str = "auto",
    window: int | None = None,
    overlap: int | None = None,
    reach: int | None = None,
    weights: str | None = None,
    dilate: int = 0,
    propagator: str | MaskPropagator | None = None,
    remove_residues: bool = False,
    invert: bool = False,
    threshold: int | None = None,
    object_id: int | None = None,
    action_grid: tuple[int, int] | None = None,
) -> Pixels:
    """Repair a video: fill what the masks mark as missing; or, with a propagator, remove what the first mask marks.

    Known pixels come back bit for bit. Long videos are repaired in windows that overlap and are cross-faded inside the
    holes, so that working memory does not grow with the video. Only a box around the holes is worked on, at
    reduced size where it is larger than 520,000 pixels. Nothing is carried across a cut between scenes.

    Args:
        frames: uint8 ``(T, H, W, 3)`` RGB, any T, H and W at least 32.
        masks: ``(T, H, W)``; pixels above half of the highest value are missing, and the frames' content there is not
            read. At least one frame must have a hole. With a propagator ``(H, W)`` or ``(1, H, W)``, for the first
            frame only, or such masks by frame: ``{0: first, 40: other}``; see `propagate_mask`.
        inpainter: a name, ``"module:attribute"``, or an inpainter; by default ``"compact2"``, and ``"ciri"`` with a
            propagator.
        detector: likewise; by default ``"compact"``.
        policy: anything that `make_policy` takes; by default all heads, the other controls at the middle.
        iterations: rounds of inpainting and detection for each window, fewer once nothing is flagged any more; more
            than one pays for policies that use few heads in each.
        device: "auto" (the GPU where there is one), "cpu", "cuda", ...
        window: frames repaired together; by default 24 (10 of more than 500,000 pixels), or what the inpainter asks.
        overlap: frames that neighbouring windows share, fewer than `window`; by default 3, or what the inpainter asks.
        reach: frames before and after a window from which content is carried into it, by inpainters that can; by
            default 60, or fewer where frames or holes are so large that memory asks for it.
        weights: the inpainter's, as for `make_inpainter`.
        dilate: pixels by which the holes grow, for masks that end at the very edge of what is to go: 2 at 432x240
            (docs/cli.md). Masks that a propagator follows are widened anyway.
        propagator: carries the mask of one frame, or the masks of some, through the video (one-shot repair): a name
            such as ``"flow"``, ``"module:attribute"``, or a propagator. It sees the whole video at once: memory grows
            with its length. An `InputWarning` names the frames in which its masks look wrong.
        remove_residues: tune the propagator on the video until a repair by ``"ciri"`` shows less of the target; takes
            many times as long. At most 32 frames are repaired at once, which bounds the memory.
        invert: the masks mark what is known.
        threshold: what is above this value is missing, instead of what is above half of the highest.
        object_id: what has this value is missing.
        action_grid: rows and columns, each at most 32: the policy chooses for each cell of an even grid over what is
            worked on, by inpainters that honour controls region by region (such as compact and ciri) and policies that
            act by cell. Left out, a policy that was trained over a grid chooses over the same one where the inpainter
            honours it; else one setting holds for all that is worked on.

    Returns:
        uint8 ``(T, H, W, 3)``.

    Raises:
        InputError: frames or masks of another type or shape, nothing or everything missing (in any window and its
            reach, after the holes grew), or a setting out of range.
        UnknownNameError, MissingWeightsError, CorruptWeightsError: a part cannot be made.
    """
    wish = Wish(invert, threshold, object_id)
    holes: Any
    if isinstance(masks, Mapping):
        holes = {number: holes_in(mask, wish) for number, mask in masks.items()}
    else:
        holes = holes_in(masks, wish)
    inpainter = usual_inpainter(propagator) if inpainter is None else inpainter
    if propagator is not None:
        if dilate:
            raise InputError("masks that a propagator follows are widened anyway: leave dilate out")
        parts = Parts.made(
            inpainter, detector, policy, iterations, device, window, overlap, weights, reach, action_grid
        )
        if remove_residues:
            check_tunable(parts.loop.inpainter)
            check_frames(frames)
        followed = follow(frames, holes, propagator, device, parts if remove_residues else None)
        clip, stream = followed.clip, repair_followed(followed, parts)
    else:
        if remove_residues:
            raise InputError("residues are those of a target that a propagator follows: name a propagator")
        if isinstance(masks, Mapping):
            raise InputError("masks of some frames are carried to the others by a propagator: name one, such as 'flow'")
        clip, holes = check_pair(frames, holes)
        holes = grown(holes, dilate)
        parts = Parts.made(
            inpainter, detector, policy, iterations, device, window, overlap, weights, reach, action_grid
        )
        pairs = checked_pairs(clip, holes, parts.loop.inpainter)
        stream = Stream(Knowing(parts.repairer(), parts.windows.reach, dilate), parts.windows).run(pairs)
    repaired = np.empty_like(clip)
    for index, frame in enumerate(stream):
        repaired[index] = frame
    return repaired


def usual_inpainter(propagator: object) -> str:
    """What repairs by default: compact2 where masks are given, ciri where a propagator predicts them."""
    return INPAINTER if propagator is None else "ciri"
