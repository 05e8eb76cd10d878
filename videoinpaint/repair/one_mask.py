"""One-shot repair: remove what one mask marks in the first frame, from a video of any length (CIRI)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from videoinpaint.agents.policies import Policy
from videoinpaint.clips.masks.meaning import holes_in
from videoinpaint.clips.validate import check_frames
from videoinpaint.envs.loop import ClosedLoop, check_size, resolve_device, widened
from videoinpaint.errors import InputError
from videoinpaint.inpainters.ciri.inpainter import CIRIInpainter
from videoinpaint.inpainters.ciri.removal import removal_config
from videoinpaint.inpainters.propagators import GivenTracker, make_propagator
from videoinpaint.protocols import Inpainter, MaskPropagator, OneShotInpainter, Tracker
from videoinpaint.repair.doubts import tell_doubts
from videoinpaint.repair.looped import repaired_frames
from videoinpaint.repair.streaming import Parts, Pixels, Stream

LONGEST_TUNED = 32
"""Frames of a clip whose tracker can be tuned: gradients go through a repair of all of them."""


def propagate_mask(
    frames: ArrayLike, first: ArrayLike, propagator: str | MaskPropagator = "flow", device: str = "auto"
) -> NDArray[np.float32]:
    """Carry the mask of the first frame through a clip.

    Args:
        frames: uint8 ``(T, H, W, 3)``, any T.
        first: ``(H, W)`` or ``(1, H, W)``; anything but 0 is the target.
        propagator: anything that `make_propagator` takes.
        device: "auto" (the GPU where there is one), "cpu", "cuda", ...

    Returns:
        how likely each pixel shows the target, float32 ``(T, H, W)`` in [0, 1]; the first mask is the given one.

    Raises:
        InputError: frames or mask of another type or shape; the mask is empty or covers everything.
        UnknownNameError, MissingWeightsError, CorruptWeightsError: the propagator cannot be made.
    """
    return follow(frames, first, propagator, device).masks


@dataclass(frozen=True)
class Followed:
    """A clip whose target was followed.

    Attributes:
        clip: uint8 ``(T, H, W, 3)``.
        masks: how likely each pixel shows the target, float32 ``(T, H, W)`` in [0, 1].
        tracker: what said so; some inpainters tune it on the clip.
    """

    clip: Pixels
    masks: NDArray[np.float32]
    tracker: Tracker


def follow(
    frames: ArrayLike, first: ArrayLike, propagator: str | MaskPropagator, device: str, tuning: Parts | None = None
) -> Followed:
    """Carry the mask of the first frame through a clip, and warn where the masks look wrong; see `propagate_mask`.

    Args:
        frames, first, propagator, device: see :func:`propagate_mask`.
        tuning: what repairs, where the tracker is to be tuned on the clip; see :func:`tuned`.
    """
    clip, target = check_first(frames, first)
    place = resolve_device(device)
    made = make_propagator(propagator, device=place)
    tracker = made.start(_shown(clip, place), torch.from_numpy(target)[None].to(place).float())
    followed = Followed(clip, _masks(tracker), tracker)
    if tuning is not None:
        followed = tuned(followed, tuning, made.name)
    tell_doubts(followed.masks)
    return followed


def check_tunable(inpainter: Inpainter, length: int) -> CIRIInpainter:
    """The inpainter itself.

    Raises:
        InputError: it is none of CIRI, or there are more frames than `LONGEST_TUNED`.
    """
    if not isinstance(inpainter, CIRIInpainter):
        raise InputError(f"residues are removed by gradients through a repair by ciri, not {inpainter.name}: use ciri")
    if length > LONGEST_TUNED:
        raise InputError(
            f"residues can be removed from at most {LONGEST_TUNED} frames at once, this video has {length}: cut it, or "
            "leave residue removal out"
        )
    return inpainter


def tuned(followed: Followed, parts: Parts, propagator: str) -> Followed:
    """The clip followed again, its tracker tuned on it until a repair shows less of the target (CIRI, Section 3.3).

    Args:
        followed: the clip; all of it is repaired at once, several times.
        parts: with an inpainter of CIRI, which is frozen.
        propagator: the name of what made the tracker; it decides on the learning rate.

    Raises:
        InputError: see :func:`check_tunable`.
    """
    inpainter = check_tunable(parts.loop.inpainter, len(followed.clip))
    inpainter.tune(followed.tracker, _shown(followed.clip, parts.loop.device), removal_config(propagator))
    return replace(followed, masks=_masks(followed.tracker))


def _shown(clip: Pixels, place: torch.device) -> torch.Tensor:
    return torch.from_numpy(clip).to(place).permute(0, 3, 1, 2).float() / 255


def _masks(tracker: Tracker) -> NDArray[np.float32]:
    with torch.no_grad():
        return tracker.masks()[:, 0].float().cpu().numpy()


def repair_followed(followed: Followed, parts: Parts) -> Iterator[Pixels]:
    """Repaired frames ``(H, W, 3)`` in order.

    An inpainter that is no `OneShotInpainter` repairs what is marked, a little widened. A one-shot inpainter decides
    itself; in a window that begins later it is shown the first frame too, as that alone tells it what the target is.

    Args:
        followed: the clip; all of it is in memory.
        parts: what repairs.

    Raises:
        InputError: frames are too small, or the predicted masks cover every pixel of every frame.
    """
    clip, predicted = followed.clip, followed.masks
    check_size(parts.loop.inpainter, *clip.shape[1:3])
    if not isinstance(parts.loop.inpainter, OneShotInpainter):
        return Stream(parts.repairer(), parts.windows).run(zip(clip, holes_of(predicted)))
    whole = followed.tracker if len(clip) <= parts.windows.length else None
    repairer = _OneShotRepairer(parts.loop, parts.policy, parts.iterations, (clip[0], predicted[0]), whole)
    return Stream(repairer, parts.windows).run(zip(clip, predicted))


def holes_of(predicted: NDArray[np.float32]) -> NDArray[np.bool_]:
    """What an ordinary inpainter fills for predicted masks ``(T, H, W)``: those above one half, a little widened.

    Raises:
        InputError: it is every pixel of every frame.
    """
    holes = widened(torch.from_numpy(predicted)[None, :, None])[0, :, 0].numpy() > 0
    if holes.all():
        raise InputError("the predicted masks cover every pixel of every frame: the target is too large to remove")
    return holes


def check_first(frames: ArrayLike, first: ArrayLike) -> tuple[Pixels, NDArray[np.bool_]]:
    """A clip uint8 ``(T, H, W, 3)`` and the target in its first frame, bool ``(H, W)``.

    Raises:
        InputError: frames or mask of another type or shape; the mask is empty or covers everything.
    """
    clip, mask = check_frames(frames), np.asarray(holes_in(first))
    if mask.ndim == 3 and len(mask) > 1:
        raise InputError(f"with a propagator only the first frame's mask is used, got {len(mask)}: give masks[0]")
    mask = mask[0] if mask.ndim == 3 and len(mask) else mask
    if mask.shape != clip.shape[1:3] or mask.dtype != bool:
        raise InputError(f"the first frame's mask must have shape {clip.shape[1:3]}, got {mask.dtype} {mask.shape}")
    if not mask.any():
        raise InputError("the target is absent from the first frame: begin the video where it shows, and mark it there")
    if mask.all():
        raise InputError("the mask covers the whole first frame, nothing is known: mark the target only")
    return clip, mask


class _OneShotRepairer:
    """Repairs windows of one clip with an inpainter that decides itself what to repaint.

    Args:
        loop: with a one-shot inpainter.
        policy: chooses the controls.
        iterations: rounds at most.
        first: the clip's first frame ``(H, W, 3)`` and its mask ``(H, W)``.
        whole: the clip's tracker where the clip is a single window, so that it can be tuned on the clip.
    """

    def __init__(
        self, loop: ClosedLoop, policy: Policy, iterations: int, first: tuple[Any, Any], whole: Tracker | None
    ) -> None:
        self.loop, self.policy, self.iterations = loop, policy, iterations
        self._first, self._whole, self._later = first, whole, False

    def repair(self, frames: Sequence[Pixels], masks: Sequence[NDArray[Any]], first: int, wanted: range) -> Pixels:
        """Frames with the target gone, from predicted masks; see :class:`videoinpaint.repair.streaming.Repairer`."""
        # The first window holds the clip's first frame, the others get it put before them.
        part, extra = slice(wanted.start, wanted.stop), int(self._later)
        shown, soft = np.stack(frames[part]), np.stack(masks[part])
        if extra:
            shown = np.concatenate([self._first[0][None], shown])
            soft = np.concatenate([self._first[1][None], soft])
        self._later = True
        tracker = self._whole or GivenTracker(torch.from_numpy(soft)[:, None].to(self.loop.device))
        state, _ = self.loop.begin_one_shot(torch.from_numpy(shown).permute(0, 3, 1, 2)[None].contiguous(), [tracker])
        return repaired_frames(self.loop, state, self.policy, self.iterations)[extra:]

    def region(self, mask: NDArray[Any]) -> NDArray[np.bool_]:
        """Where a repair may differ from the frame: anywhere."""
        return np.ones(mask.shape, np.bool_)
