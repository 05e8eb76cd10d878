"""One-shot repair: remove what a mask marks in one frame, or masks in some, from a video of any length (CIRI)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from videoinpaint.clips.masks.meaning import holes_in
from videoinpaint.clips.validate import check_frames
from videoinpaint.composition import widened
from videoinpaint.contract import check_size
from videoinpaint.device import resolve_device
from videoinpaint.errors import InputError, warn
from videoinpaint.inpainters.ciri.inpainter import CIRIInpainter
from videoinpaint.inpainters.ciri.removal_config import removal_config
from videoinpaint.inpainters.propagators import GivenTracker, follow_from, make_propagator
from videoinpaint.protocols import Inpainter, MaskPropagator, OneShotInpainter, Tracker
from videoinpaint.repair.doubts import tell_doubts
from videoinpaint.repair.looped import repaired_frames
from videoinpaint.repair.streaming import Parts, Pixels, Stream


def propagate_mask(
    frames: ArrayLike,
    masks: ArrayLike | Mapping[int, ArrayLike],
    propagator: str | MaskPropagator = "flow",
    device: str = "auto",
) -> NDArray[np.float32]:
    """Carry the mask of the first frame, or the masks of some frames, through a clip.

    Args:
        frames: uint8 ``(T, H, W, 3)``, any T.
        masks: of the first frame, ``(H, W)`` or ``(1, H, W)``; or such masks by the numbers of their frames, from 0:
            then each is followed both ways in time, and the nearer one counts more. What is above half of a mask's
            highest value is the target; an empty mask beside others says that the target is absent there.
        propagator: anything that `make_propagator` takes.
        device: "auto" (the GPU where there is one), "cpu", "cuda", ...

    Returns:
        how likely each pixel shows the target, float32 ``(T, H, W)`` in [0, 1]; the given masks are as they were.

    Raises:
        InputError: frames or masks of another type or shape; all masks are empty, or one covers everything; a number
            is no frame's.
        UnknownNameError, MissingWeightsError, CorruptWeightsError: the propagator cannot be made.
    """
    return follow(frames, masks, propagator, device).masks


@dataclass(frozen=True)
class Followed:
    """A clip whose target was followed.

    Attributes:
        clip: uint8 ``(T, H, W, 3)``.
        masks: how likely each pixel shows the target, float32 ``(T, H, W)`` in [0, 1].
        tracker: what said so; some inpainters tune it on the clip.
        sample: a frame of which the mask was given and shows the target.
    """

    clip: Pixels
    masks: NDArray[np.float32]
    tracker: Tracker
    sample: int = 0


def follow(
    frames: ArrayLike,
    masks: ArrayLike | Mapping[int, ArrayLike],
    propagator: str | MaskPropagator,
    device: str,
    tuning: Parts | None = None,
) -> Followed:
    """Carry masks through a clip, and warn where those that are found look wrong; see :func:`propagate_mask`.

    Args:
        frames, masks, propagator, device: see :func:`propagate_mask`.
        tuning: what repairs, where the tracker is to be tuned on the clip; see :func:`tuned`.

    Raises:
        InputError: see :func:`propagate_mask`; or the tracker is to be tuned, and the first frame shows no target.
    """
    clip, known = check_known(frames, masks)
    place = resolve_device(device)
    made = make_propagator(propagator, device=place)
    sample = next(number for number, mask in known.items() if mask.any())
    if tuning is not None and sample:
        raise InputError("residues can be removed where the first frame's mask is given: mark the target there, too")
    targets = {number: torch.from_numpy(mask)[None].to(place).float() for number, mask in known.items()}
    tracker = follow_from(made, _shown(clip, place), targets)
    followed = Followed(clip, _masks(tracker), tracker, sample)
    if tuning is not None:
        followed = tuned(followed, tuning, made.name)
    tell_doubts(followed.masks, known)
    return followed


def check_tunable(inpainter: Inpainter) -> CIRIInpainter:
    """The inpainter itself.

    Raises:
        InputError: it is none of CIRI.
    """
    if not isinstance(inpainter, CIRIInpainter):
        raise InputError(f"residues are removed by gradients through a repair by ciri, not {inpainter.name}: use ciri")
    return inpainter


def tuned(followed: Followed, parts: Parts, propagator: str) -> Followed:
    """The clip followed again, its tracker tuned on it until a repair shows less of the target (CIRI, Section 3.3).

    Gives an `InputWarning` where the tracker stays as it was.

    Args:
        followed: the clip; all of it is repaired at once, several times.
        parts: with an inpainter of CIRI, which is frozen.
        propagator: the name of what made the tracker; it decides on the learning rate.

    Raises:
        InputError: see :func:`check_tunable`.
    """
    inpainter = check_tunable(parts.loop.inpainter)
    report = inpainter.tune(followed.tracker, _shown(followed.clip, parts.loop.device), removal_config(propagator))
    if not report.tuned:
        warn(f"no residue was removed: {report.reason}")
    return replace(followed, masks=_masks(followed.tracker))


def _shown(clip: Pixels, place: torch.device) -> torch.Tensor:
    return torch.from_numpy(clip).to(place).permute(0, 3, 1, 2).float() / 255


def _masks(tracker: Tracker) -> NDArray[np.float32]:
    with torch.no_grad():
        return tracker.masks()[:, 0].float().cpu().numpy()


def repair_followed(followed: Followed, parts: Parts) -> Iterator[Pixels]:
    """Repaired frames ``(H, W, 3)`` in order.

    An inpainter that is no `OneShotInpainter` repairs what is marked, a little widened. A one-shot inpainter decides
    itself; a window that does not begin with a frame whose mask was given is shown such a frame first, as that alone
    tells it what the target is.

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
    repairer = _OneShotRepairer(parts, followed)
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


def check_known(
    frames: ArrayLike, masks: ArrayLike | Mapping[int, ArrayLike]
) -> tuple[Pixels, dict[int, NDArray[np.bool_]]]:
    """A clip uint8 ``(T, H, W, 3)`` and the target in the frames where it is known, bool ``(H, W)``, in their order.

    Raises:
        InputError: frames or masks of another type or shape; all masks are empty, or one covers everything; a number
            is no frame's.
    """
    clip = check_frames(frames)
    if not isinstance(masks, Mapping):
        return clip, {0: _checked(masks, "first frame", clip.shape[1:3], empty=False)}
    for number in masks:
        if not isinstance(number, (int, np.integer)) or not 0 <= number < len(clip):
            raise InputError(f"there is no frame {number!r} to be marked: frames count from 0 to {len(clip) - 1}")
    known = {int(n): _checked(masks[n], f"frame {n}", clip.shape[1:3], empty=True) for n in sorted(masks)}
    if not any(mask.any() for mask in known.values()):
        raise InputError("no mask shows the target: mark it in a frame that shows it")
    return clip, known


def _checked(mask: ArrayLike, name: str, size: tuple[int, ...], empty: bool) -> NDArray[np.bool_]:
    target = np.asarray(holes_in(mask))
    if target.ndim == 3 and len(target) > 1:
        raise InputError(
            f"with a propagator the mask of one frame is needed, got {len(target)} of them for the {name}: give "
            "masks[0], or masks by frame: {0: masks[0], 40: masks[40]}"
        )
    target = target[0] if target.ndim == 3 and len(target) else target
    if target.shape != size or target.dtype != bool:
        raise InputError(f"the mask of the {name} must have shape {size}, got {target.dtype} {target.shape}")
    if not empty and not target.any():
        raise InputError("the target is absent from the first frame: mark it in a frame that shows it")
    if target.all():
        raise InputError(f"the mask covers the whole {name}, nothing is known: mark the target only")
    return target


class _OneShotRepairer:
    """Repairs windows of one clip with an inpainter that decides itself what to repaint.

    Args:
        parts: with a one-shot inpainter.
        followed: the clip.
    """

    def __init__(self, parts: Parts, followed: Followed) -> None:
        self.parts, self._followed = parts, followed

    def repair(self, frames: Sequence[Pixels], masks: Sequence[NDArray[Any]], first: int, wanted: range) -> Pixels:
        """Frames with the target gone, from predicted masks; see :class:`videoinpaint.repair.streaming.Repairer`."""
        part, begin, sample = slice(wanted.start, wanted.stop), first + wanted.start, self._followed.sample
        shown, soft = np.stack(frames[part]), np.stack(masks[part])
        extra = int(begin != sample)
        if extra:
            shown = np.concatenate([self._followed.clip[sample][None], shown])
            soft = np.concatenate([self._followed.masks[sample][None], soft])
        # Where the clip is a single window, an inpainter may tune its tracker on the clip.
        whole = not extra and len(shown) == len(self._followed.clip)
        loop = self.parts.loop
        given = torch.from_numpy(soft)[:, None].to(loop.device)
        tracker = self._followed.tracker if whole else GivenTracker(given)
        state, _ = loop.begin_one_shot(torch.from_numpy(shown).permute(0, 3, 1, 2)[None].contiguous(), [tracker])
        return repaired_frames(loop, state, self.parts.policy, self.parts.iterations, self.parts.grid)[extra:]

    def region(self, mask: NDArray[Any]) -> NDArray[np.bool_]:
        """Where a repair may differ from the frame: anywhere."""
        return np.ones(mask.shape, np.bool_)
