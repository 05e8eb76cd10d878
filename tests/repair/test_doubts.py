"""What predicted masks say against themselves."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray

from videoinpaint.errors import InputWarning
from videoinpaint.repair.doubts import doubts, spans, tell_doubts


def masks(length: int = 10, left: int = 20, speed: int = 1) -> NDArray[np.float32]:
    """A square of 16 pixels that moves sideways, in 48x80."""
    made = np.zeros((length, 48, 80), np.float32)
    for index in range(length):
        made[index, 16:32, max(0, left + speed * index) : max(0, left + 16 + speed * index)] = 1
    return made


def test_masks_that_follow_are_not_doubted() -> None:
    assert doubts(masks()) == {}
    assert doubts(masks(speed=0)) == {}
    assert doubts(0.95 * masks()) == {}


def test_one_frame_has_no_neighbours() -> None:
    assert doubts(masks(1)) == {}


def test_a_mask_that_shrinks_away_within_the_frame() -> None:
    found = masks()
    found[4:, 23:] = 0  # 7 of 16 rows are left
    found[7:] = 0
    assert doubts(found) == {"shrinks": [4, 5, 6], "is gone": [7, 8, 9]}


def test_a_mask_that_flickers() -> None:
    found = masks(speed=0)
    found[5, :25] = 0
    assert doubts(found) == {"shrinks": [5]}


def test_a_target_that_leaves_by_the_border_is_not_missed() -> None:
    found = masks(12, left=12, speed=-4)
    assert not found[8:].any()
    assert doubts(found) == {}


def test_a_mask_that_breaks_up_and_one_that_is_in_pieces_from_the_start() -> None:
    found = masks(speed=0)
    found[3:5, :, 27:30] = 0
    assert doubts(found) == {"breaks up": [3, 4]}
    assert doubts(found[3:5]) == {}


def test_a_mask_that_is_unsure() -> None:
    found = masks()
    found[6:8] *= 0.7
    assert doubts(found) == {"is unsure": [6, 7]}


def test_given_frames_are_not_doubted_and_the_first_that_shows_the_target_is_the_measure() -> None:
    found = masks()
    found[:5] = 0
    found[5] *= 0.7
    assert doubts(found, [0, 5, 9]) == {"is gone": [1, 2, 3, 4]}
    assert doubts(np.zeros_like(found), [0]) == {}


def test_one_line_names_the_frames() -> None:
    found = masks()
    found[2, :25] = 0
    found[6:8] *= 0.7
    with pytest.warns(InputWarning) as told:
        tell_doubts(found)
    (line,) = [str(each.message) for each in told]
    assert "shrinks in frame 2; is unsure in frames 6-7 " in line
    assert "\n" not in line
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tell_doubts(masks())


@pytest.mark.parametrize(("frames", "words"), [([4], "4"), ([0, 1], "0-1"), ([1, 3, 4, 5, 9], "1, 3-5, 9")])
def test_numbers_in_words(frames: list[int], words: str) -> None:
    assert spans(frames) == words
