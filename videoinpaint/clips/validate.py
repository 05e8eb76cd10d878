"""What a clip and its mask must be before any work starts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoinpaint.checks import plain_array, shown
from videoinpaint.clips.types import ClipSource, MaskSource
from videoinpaint.errors import InputError
from videoinpaint.plugins import told_as

MIN_SIZE = 32
"""The smallest height and width of a frame that the package repairs."""


def check_frames(frames: Any) -> NDArray[np.uint8]:
    """Frames as an array uint8 ``(T, H, W, 3)``; never a copy of an array that is right.

    Raises:
        InputError: NaN, another dtype or shape, no frame, or frames smaller than `MIN_SIZE`.
    """
    array = plain_array(frames, "frames")
    _check_finite("frames", array)
    if array.dtype != np.uint8:
        raise InputError(f"frames must be uint8 in 0..255, got {array.dtype}: scale to 0..255 and use .astype('uint8')")
    if array.ndim != 4 or array.shape[3] != 3:
        raise InputError(f"frames must have shape (T, H, W, 3), RGB, got {array.shape}")
    count, height, width = array.shape[:3]
    if count == 0:
        raise InputError("the clip has no frames: give at least one")
    if height < MIN_SIZE or width < MIN_SIZE:
        raise InputError(f"frames are {width}x{height}, at least {MIN_SIZE}x{MIN_SIZE} is needed: enlarge them first")
    return array


def check_masks(masks: Any, num_frames: int, height: int, width: int) -> NDArray[np.uint8]:
    """Masks as an array uint8 ``(T, H, W)`` in {0, 1}, 1 = missing.

    Booleans, {0, 1} and {0, 255} are understood. Single frames may be empty or full (`empty_frames` names them).

    Raises:
        InputError: NaN, other values, another length or size than the clip's, or everywhere empty or full.
    """
    array = plain_array(masks, "mask")
    _check_finite("mask", array)
    if array.ndim != 3:
        raise InputError(f"mask must have shape (T, H, W) = ({num_frames}, {height}, {width}), got {array.shape}")
    if array.shape[0] != num_frames:
        raise InputError(f"mask has {array.shape[0]} frames, the clip has {num_frames}: give one mask for every frame")
    if array.shape[1:] != (height, width):
        size = f"{array.shape[2]}x{array.shape[1]}"
        raise InputError(f"mask has size {size}, the clip {width}x{height}: resize the mask to the clip's size")
    binary = _binary(array)
    if not binary.any():
        raise InputError("the mask is empty in every frame, there is nothing to repair: mark missing pixels with 1")
    if binary.all():
        raise InputError("the mask covers every pixel of every frame, nothing is known: leave known pixels 0")
    return binary


def check_pair(frames: Any, masks: Any) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Frames uint8 ``(T, H, W, 3)`` and their masks uint8 ``(T, H, W)`` in {0, 1}.

    Raises:
        InputError: see `check_frames` and `check_masks`.
    """
    array = check_frames(frames)
    return array, check_masks(masks, *array.shape[:3])


def empty_frames(masks: NDArray[np.uint8]) -> list[int]:
    """The indices of frames ``(H, W)`` in which nothing is missing."""
    return np.flatnonzero(~masks.any(axis=(1, 2))).tolist()


def check_length(clips: ClipSource, num_frames: int) -> None:
    """See that every clip of a source is long enough for a window, where the source can tell.

    A source can tell if it has a method ``check_length(num_frames)``, as sources of files do; studio scenes never end.

    Raises:
        InputError: a clip is too short.
    """
    check = getattr(clips, "check_length", None)
    if check is not None:
        with told_as("clip source", clips, "check_length"):
            check(num_frames)


def check_mask_length(masks: MaskSource, clips: ClipSource, num_frames: int) -> None:
    """See that every mask is long enough for the clips that it is laid over, where its source can tell.

    A source can tell if it has a method ``check_length(clips, num_frames)``, as sources of files do.

    Raises:
        InputError: a mask is too short.
    """
    check = getattr(masks, "check_length", None)
    if check is not None:
        with told_as("mask source", masks, "check_length"):
            check(clips, num_frames)


def _check_finite(what: str, array: NDArray[Any]) -> None:
    if array.ndim == 0 and array.dtype.kind in "OSU":  # a path, a generator, an open video
        raise InputError(
            f"{what} must be an array of numbers, got {shown(array.item())}: read them first; "
            "`videoinpaint inpaint` repairs files"
        )
    if array.dtype == object:
        raise InputError(f"{what} must be one array of numbers, got a sequence of arrays of different sizes")
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise InputError(f"{what} holds NaN or infinite values: replace them before the call")


def _binary(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype == bool:
        return array.view(np.uint8)
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise InputError(f"mask must be bool or uint8, got {array.dtype}")
    highest = 255 if array.size and array.max() > 1 else 1
    missing = array == highest
    if not (missing | (array == 0)).all():
        raise InputError("mask must hold 0 (known) and 1 or 255 (missing) only: use (mask > threshold)")
    return missing.view(np.uint8)
