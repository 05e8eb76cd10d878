import numpy as np
import torch

from videoinpaint.clips import make_clips, make_masks
from videoinpaint.clips.sources.augmented import Windows


def test_a_window_is_a_function_of_its_seed() -> None:
    data = Windows([make_clips("studio")], make_masks("mixed"), 2, 32, 40, batch=2)
    first, again = (data.draw(np.random.default_rng(5)) for _ in range(2))
    for one, two in zip(first, again):
        assert torch.equal(one, two)
    frames, holes = first
    assert frames.shape == (2, 2, 3, 32, 40)
    assert holes.shape == (2, 2, 1, 32, 40)
    assert set(holes.unique().tolist()) == {0, 1}


def test_larger_windows_come_as_often_as_the_first_size() -> None:
    data = Windows([make_clips("studio")], make_masks("square"), 2, 32, 40, larger=((1, 48, 64), (3, 24, 32)))
    shapes = [tuple(data.draw(np.random.default_rng(i))[0].shape[1:]) for i in range(24)]
    assert set(shapes) == {(2, 3, 32, 40), (1, 3, 48, 64), (3, 3, 24, 32)}
