"""Frames worked on a few at a time: the same as all at once."""

import pytest
import torch

from videoinpaint import framewise as module
from videoinpaint.framewise import framewise


@pytest.mark.parametrize("few", [1, 2, 3, 7, 8])
def test_a_few_frames_at_a_time_are_all_frames_in_order(monkeypatch, few):
    monkeypatch.setattr(module, "TOGETHER", few * 6 * 4 + 1)
    seen = []

    def work(frames, weights):
        seen.append(len(frames))
        return frames * weights.view(-1, 1, 1, 1), weights + 1

    frames, weights = torch.rand(7, 2, 6, 4), torch.arange(7.0)
    product, more = framewise(work, frames, weights)
    assert torch.equal(product, frames * weights.view(-1, 1, 1, 1))
    assert torch.equal(more, weights + 1)
    assert max(seen) == min(few, 7)
    assert sum(seen) == 7
    assert torch.equal(framewise(torch.neg, frames), -frames)


def test_a_frame_that_is_larger_than_what_fits_goes_alone(monkeypatch):
    monkeypatch.setattr(module, "TOGETHER", 5)
    assert torch.equal(framewise(torch.neg, torch.ones(3, 1, 6, 4)), -torch.ones(3, 1, 6, 4))


def test_what_does_not_count_as_many_frames_is_refused(monkeypatch):
    monkeypatch.setattr(module, "TOGETHER", 24)
    with pytest.raises(ValueError, match="zip"):
        framewise(torch.add, torch.ones(3, 1, 6, 4), torch.ones(2, 1, 6, 4))
