from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from videoinpaint.clips import check_frames, check_masks, check_pair, empty_frames
from videoinpaint.errors import InputError

FRAMES = np.zeros((3, 32, 40, 3), np.uint8)
MASKS = np.zeros((3, 32, 40), np.uint8)
MASKS[:, 5:9, 5:9] = 1


def test_a_good_pair_passes_without_a_copy() -> None:
    frames, masks = check_pair(FRAMES, MASKS)
    assert frames is FRAMES
    np.testing.assert_array_equal(masks, MASKS)


@pytest.mark.parametrize(
    "convert", [lambda m: m.astype(bool), lambda m: m * 255, lambda m: m.astype(np.int64), np.float32]
)
def test_ways_to_write_a_mask_mean_the_same(convert: Callable[[NDArray], NDArray]) -> None:
    _, masks = check_pair(FRAMES, convert(MASKS))
    assert masks.dtype == np.uint8
    np.testing.assert_array_equal(masks, MASKS)


@settings(max_examples=60, deadline=None)
@given(masks=npst.arrays(np.uint8, (2, 32, 33), elements=st.sampled_from([0, 0, 0, 255])))
def test_any_partial_mask_passes_and_means_itself(masks: NDArray[np.uint8]) -> None:
    if 0 < masks.mean() < 255:
        np.testing.assert_array_equal(check_masks(masks, 2, 32, 33), masks > 0)
    else:
        with pytest.raises(InputError):
            check_masks(masks, 2, 32, 33)


def with_nan(array: NDArray) -> NDArray[np.float32]:
    copy = array.astype(np.float32)
    copy.flat[0] = np.nan
    return copy


BAD_FRAMES: dict[str, Any] = {
    "NaN": with_nan(FRAMES),
    "uint8": FRAMES.astype(np.float32),
    r"\(T, H, W, 3\)": FRAMES[0],
    "no frames": FRAMES[:0],
    "at least 32x32": FRAMES[:, :31],
    r"got 'clip\.mp4': read them first": "clip.mp4",
    r"got PosixPath\('clip\.mp4'\): read": Path("clip.mp4"),
    "got <list_iterator.*: read them first": iter(FRAMES.tolist()),
    "different sizes": np.array([FRAMES[0], None], dtype=object),
}


@pytest.mark.parametrize("message", sorted(BAD_FRAMES))
def test_bad_frames_are_named(message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_frames(BAD_FRAMES[message])


BAD_MASKS: dict[str, Any] = {
    "NaN": with_nan(MASKS),
    "shape": MASKS[0],
    "2 frames, the clip has 3": MASKS[:2],
    "size 39x32, the clip 40x32": MASKS[:, :, 1:],
    "empty in every frame": MASKS * 0,
    "covers every pixel": MASKS * 0 + 1,
    "0 .known. and 1 or 255": MASKS + np.arange(40, dtype=np.uint8),
    "bool or uint8": MASKS.astype(str),
}


@pytest.mark.parametrize("message", sorted(BAD_MASKS))
def test_bad_masks_are_named(message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_pair(FRAMES, BAD_MASKS[message])


def test_tensors_that_numpy_cannot_read_are_refused_in_one_line() -> None:
    frames, masks = torch.zeros(2, 40, 48, 3, dtype=torch.uint8), torch.zeros(2, 40, 48)
    masks[:, 10:20, 10:20] = 1
    assert check_pair(frames, masks)[1].sum() == 200
    with pytest.raises(InputError, match=r"frames must be an array of numbers that NumPy can read.*convert it first"):
        check_pair(frames.bfloat16(), masks)
    for unread in (masks.bfloat16(), masks.requires_grad_()):
        with pytest.raises(InputError, match=r"mask must be an array of numbers that NumPy can read.*convert it first"):
            check_pair(frames, unread)


def test_single_empty_and_full_frames_are_allowed_and_named() -> None:
    masks = MASKS.copy()
    masks[1] = 0
    masks[2] = 1
    _, found = check_pair(FRAMES, masks)
    assert empty_frames(found) == [1]
