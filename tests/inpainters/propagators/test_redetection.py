"""A target that is lost is found again: elsewhere in the picture, and in the frames before it was found."""

from __future__ import annotations

import pytest
import torch

from videoinpaint.inpainters.propagators.flow import AppearancePropagator, FlowPropagator, FlowSettings
from videoinpaint.inpainters.propagators.redetection import area, gaps, pieces
from videoinpaint.metrics import j_and_f


def _around_the_picture(scene):
    """It leaves at the right, is away for some frames and comes back at the left, further down."""
    parts = (
        scene(length=5, left=44, speed=8), scene(length=3, left=80), scene(length=5, left=-18, speed=9, top=26)
    )  # fmt: skip
    return tuple(torch.cat(kind) for kind in zip(*parts))


def _behind_a_wall(scene):
    frames, masks = (kind.clone() for kind in scene(length=14, left=2, speed=4))
    frames[..., 28:48] = torch.tensor([0.1, 0.15, 0.5]).view(1, 3, 1, 1)
    masks[..., 28:48] = 0
    return frames, masks


COARSE = FlowPropagator(settings=FlowSettings(search=True))
FINE = AppearancePropagator()


@pytest.mark.parametrize("propagator", [COARSE, FINE])
@pytest.mark.parametrize("played", [_around_the_picture, _behind_a_wall])
def test_a_target_that_returns_is_found_where_it_is_and_nowhere_before(scene, propagator, played):
    frames, masks = played(scene)
    away = masks.sum((1, 2, 3)) == 0
    assert away.any()
    with torch.no_grad():
        found = (propagator.start(frames, masks[0]).masks() > 0.5).float()
    back = torch.arange(len(away)) > away.nonzero().max()
    assert (j_and_f(found[None, back], masks[None, back]) > 0.65).all()
    assert found[back][0].any(), "it is there from its first frame on"
    assert not found[away].any()


def test_without_the_search_it_stays_lost(scene):
    frames, masks = _around_the_picture(scene)
    with torch.no_grad():
        assert not (FlowPropagator().start(frames, masks[0]).masks()[-3:] > 0.5).any()


def test_steps_that_search_and_go_back_carry_gradients(scene):
    frames, masks = _around_the_picture(scene)
    tracker = COARSE.start(frames, masks[0])
    tracker.masks()[-1].sum().backward()
    gradients = [parameter.grad for parameter in tracker.parameters()]
    assert gradients
    assert all(grad is not None and torch.isfinite(grad).all() and grad.any() for grad in gradients)
    with torch.no_grad():
        assert torch.equal(tracker.masks(), tracker.masks())


def test_a_target_that_stays_away_is_seen_in_nothing(scene):
    frames, masks = scene(length=12, left=40, speed=6)
    with torch.no_grad():
        found = FINE.start(frames, masks[0]).masks() > 0.5
    assert not found[7:].any()


def test_gaps_end_where_the_target_was_found_again():
    assert gaps([False, True, True, False, True, False, False, True]) == [(1, 2), (4, 4)]
    assert gaps([False, False]) == []


def test_pieces_are_connected_and_the_best_comes_first():
    likely = torch.tensor([[0.6, 0.1, 0.9], [0.2, 0.1, 0.9]]).flatten()
    assert [piece.tolist() for piece in pieces(likely, (2, 3))] == [[2, 5], [0]]
    assert area(likely) == pytest.approx(2.4)
