"""One order of a box's sides, for tensors and arrays."""

import numpy as np
import pytest
import torch

from videoinpaint.boxes import box_of, within


@pytest.mark.parametrize("kind", ["tensor", "array"])
def test_the_smallest_box_around_all_masks(kind):
    masks = torch.zeros(2, 3, 1, 20, 30)
    given = masks if kind == "tensor" else masks.numpy()
    assert box_of(given) is None
    masks[0, 1, 0, 4, 7] = 1
    masks[1, 2, 0, 10, 3] = 0.5
    box = box_of(given)
    assert box == (4, 3, 11, 8)
    assert given[within(box)].shape == (2, 3, 1, 7, 5)
    masks[within(box)] = 0
    assert not masks.any()


def test_one_frame_and_the_whole_frame():
    assert box_of(np.ones((4, 6), np.uint8)) == (0, 0, 4, 6)
    assert box_of(torch.ones(4, 6)) == (0, 0, 4, 6)
