"""Several annotated frames, for any propagator."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from videoinpaint.errors import InputError
from videoinpaint.inpainters.propagators import GivenTracker, follow_from, make_propagator
from videoinpaint.metrics import j_and_f
from videoinpaint.protocols import Tracker


class Told:
    """Says of each frame what its red channel holds, and remembers what it was started on."""

    name = "told"

    def __init__(self):
        self.started = []

    def start(self, frames, first):
        self.started.append(frames[:, 0, 0, 0].mul(100).round().int().tolist())
        return GivenTracker(first[None].expand(len(frames), -1, -1, -1))


def numbered(length):
    return (torch.arange(length) / 100).view(-1, 1, 1, 1).expand(length, 3, 4, 6).contiguous()


def half(left):
    mask = torch.zeros(1, 4, 6)
    mask[..., :3] = float(left)
    mask[..., 3:] = float(not left)
    return mask


def test_the_first_frame_alone_is_left_to_the_propagator():
    told = Told()
    tracker = follow_from(told, numbered(3), {0: half(True)})
    assert torch.equal(tracker.masks(), told.start(numbered(3), half(True)).masks())
    told.started.pop()
    assert told.started == [[0, 1, 2]]


def test_each_annotation_is_followed_both_ways_up_to_its_neighbours():
    told = Told()
    follow_from(told, numbered(9), {6: half(False), 2: half(True)})
    assert sorted(told.started) == [[2, 1, 0], [2, 3, 4, 5, 6], [6, 5, 4, 3, 2], [6, 7, 8]]


def test_the_nearer_annotation_wins_and_the_hand_over_is_smooth():
    tracker = follow_from(Told(), numbered(9), {2: half(True), 6: half(False)})
    left = tracker.masks()[:, 0, 0, 0]
    assert torch.allclose(left, torch.tensor([1, 1, 1, 0.75, 0.5, 0.25, 0, 0, 0]), atol=0.01)
    assert left[4] > 0.5, "of two that are equally near the earlier one wins"
    assert torch.allclose(tracker.masks()[:, 0, 0, 5], 1 - left)


def test_an_empty_mask_says_that_the_target_is_absent():
    told = Told()
    left = follow_from(told, numbered(6), {0: half(True), 4: torch.zeros(1, 4, 6)}).masks()[:, 0, 0, 0]
    assert torch.allclose(left, torch.tensor([1, 0.75, 0.5, 0.25, 0, 0]), atol=0.01)
    assert told.started == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize(("known", "message"), [
    ({3: half(True)}, "no frame 3"), ({-1: half(True)}, "no frame -1"), ({2: 0 * half(True)}, "no mask shows"),
    ({}, "no mask shows"), ({1: torch.ones(1, 4, 6)}, "covers the whole"),
])  # fmt: skip
def test_annotations_that_cannot_be_used_are_named(known, message):
    with pytest.raises(InputError, match=message):
        follow_from(make_propagator("held"), numbered(3), known)


def test_a_mask_of_the_last_frame_finds_the_target_in_the_first(scene):
    frames, masks = scene(length=5)
    tracker = follow_from(make_propagator("flow"), frames, {4: masks[4]})
    assert isinstance(tracker, Tracker)
    with torch.no_grad():
        found = tracker.masks()
    assert torch.equal(found[4], masks[4])
    assert j_and_f(found[None, :4], masks[None, :4]).mean() > 0.9


def test_a_correction_helps_and_gradients_reach_every_part(scene):
    frames, masks = scene(length=7)
    one, two = ({0: masks[0]}, {0: masks[0], 6: masks[6]})
    with torch.no_grad():
        alone, corrected = (
            j_and_f(follow_from(make_propagator("held"), frames, known).masks()[None, 1:6], masks[None, 1:6]).mean()
            for known in (one, two)
        )
    assert corrected > alone + 0.1
    tracker = follow_from(make_propagator("flow"), frames, two)
    parameters = tracker.parameters()
    assert len({id(p) for p in parameters}) == len(parameters)
    assert all(isinstance(p, nn.Parameter) for p in parameters)
    tracker.masks().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in parameters)
