"""What holds for every mask propagator: the protocol, odd input, and masks that come from elsewhere."""

from __future__ import annotations

import pytest
import torch

from videoinpaint.errors import InputError, UnknownNameError
from videoinpaint.inpainters.propagators import (
    PROPAGATORS,
    GivenTracker,
    follow_from,
    make_propagator,
    predict_masks,
    stacked_masks,
)
from videoinpaint.protocols import MaskPropagator, Tracker

QUICK = {"flow": {}, "appearance": {}, "internal": {"steps": 4}, "held": {}}


@pytest.fixture(params=QUICK)
def propagator(request):
    return make_propagator(request.param, **QUICK[request.param])


def test_names_and_whole_parts():
    assert {"flow", "appearance", "internal", "cutie", "held"} <= set(PROPAGATORS.names())
    held = make_propagator("held")
    assert make_propagator(held) is held
    with pytest.raises(UnknownNameError, match="flow"):
        make_propagator("none-such")


def test_the_protocol(propagator, scene):
    frames, masks = scene(length=3)
    assert isinstance(propagator, MaskPropagator)
    tracker = propagator.start(frames, masks[0])
    assert isinstance(tracker, Tracker)
    with torch.no_grad():
        found = tracker.masks()
    assert found.shape == (3, 1, 48, 72)
    assert found.min() >= 0
    assert found.max() <= 1
    assert torch.equal(found[0], masks[0])
    with torch.no_grad():
        assert torch.equal(tracker.masks(), found)
        assert torch.equal(propagator.start(frames, masks[0]).masks(), found), "the same clip gives the same masks"


def test_gradients_reach_the_parameters_and_following_them_changes_the_masks(propagator, scene):
    frames, masks = scene(length=3)
    tracker = propagator.start(frames, masks[0])
    if propagator.name == "held":
        assert tracker.parameters() == []
        return
    before = tracker.masks()
    before[1:].sum().backward()
    gradients = [p.grad for p in tracker.parameters()]
    assert gradients
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    torch.optim.Adam(tracker.parameters(), lr=1e-3).step()
    with torch.no_grad():
        after = tracker.masks()
    assert after[1:].sum() < before[1:].sum(), "a step down the gradient of the masks' sum makes them smaller"
    assert torch.equal(after[0], masks[0])


def test_one_frame_is_its_own_mask(propagator, scene):
    frames, masks = scene(length=1)
    assert torch.equal(propagator.start(frames, masks[0]).masks(), masks)


def test_a_mask_at_the_border(propagator, scene):
    frames, masks = scene(length=3, left=-6, speed=1, top=0)
    assert masks[0, 0, 0, 0] == 1
    assert torch.isfinite(propagator.start(frames, masks[0]).masks()).all()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f, m: (f, m * 0), "absent from the first frame"),
        (lambda f, m: (f, m * 0 + 1), "covers the whole first frame"),
        (lambda f, m: (f, m[:, :20]), "must have shape"),
        (lambda f, m: (f, m[None]), "must have shape"),
        (lambda f, m: (f, m * float("nan")), "must hold 0 and 1"),
        (lambda f, m: (f * float("nan"), m), "without NaN"),
        (lambda f, m: (f * 255, m), r"lie in \[0, 1\]"),
        (lambda f, m: ((f * 255).byte(), m), "divide uint8"),
        (lambda f, m: (f[None], m), "one clip"),
        (lambda f, m: (f[:0], m), "one clip"),
    ],
)
def test_odd_input_is_named(propagator, scene, spoil, message):
    frames, masks = scene(length=2)
    with pytest.raises(InputError, match=message):
        propagator.start(*spoil(frames, masks[0]))


def test_a_batch_says_which_clip_is_wrong(scene):
    frames, masks = scene(length=2)
    batch, first = torch.stack([frames, frames.flip(-1)]), torch.stack([masks[0], masks[0].flip(-1)])
    trackers = predict_masks(make_propagator("held"), batch, first)
    assert torch.equal(stacked_masks(trackers)[:, 1], first)
    with pytest.raises(InputError, match="clip 1 of 2: the target is absent"):
        predict_masks(make_propagator("held"), batch, first * torch.tensor([1.0, 0]).view(2, 1, 1, 1))
    with pytest.raises(InputError, match="B, T, 3, H, W"):
        predict_masks(make_propagator("held"), batch, first[:1])


def test_given_masks_are_returned_and_checked():
    masks = torch.rand(3, 1, 8, 9)
    tracker = GivenTracker(masks)
    assert isinstance(tracker, Tracker)
    assert torch.equal(tracker.masks(), masks)
    assert tracker.parameters() == []
    for wrong in (masks[0], masks * float("nan"), masks + 1, masks.repeat(1, 2, 1, 1)):
        with pytest.raises(InputError, match="given masks"):
            GivenTracker(wrong)


class Odd:
    """A propagator whose masks are what `spoil` makes of those that stand still."""

    name = "odd"

    def __init__(self, spoil):
        self.spoil = spoil

    def start(self, frames, first):
        return Unchecked(self.spoil(first[None].expand(len(frames), -1, -1, -1)))


class Unchecked:
    def __init__(self, given):
        self.given = given

    def masks(self):
        return self.given

    def parameters(self):
        return []


@pytest.mark.parametrize("known", [{0}, {1}, {0, 2}])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: m * torch.nan, r"must lie in \[0, 1\] without NaN"),
        (lambda m: m * 2, r"must lie in \[0, 1\] without NaN, got values from 0 to 2"),
        (lambda m: m - 1, r"must lie in \[0, 1\]"),
        (lambda m: None, "must be a tensor of real numbers .*, got None"),
        (lambda m: m.numpy(), "must be a tensor of real numbers"),
        (lambda m: m[:-1], "must be a tensor of real numbers"),
        (lambda m: m[:, 0], "must be a tensor of real numbers"),
    ],
)
def test_masks_that_are_none_name_their_propagator(scene, spoil, message, known):
    frames, masks = scene(length=4)
    tracker = follow_from(Odd(spoil), frames, {number: masks[number] for number in known})
    with pytest.raises(InputError, match=f"the masks of the propagator 'odd' {message}"):
        tracker.masks()
    trackers = predict_masks(Odd(spoil), frames[None], masks[:1])
    with pytest.raises(InputError, match=f"the masks of the propagator 'odd' {message}"):
        stacked_masks(trackers)


def test_masks_that_rounding_carried_out_of_range_are_brought_back(scene):
    frames, masks = scene(length=2)
    assert follow_from(Odd(lambda m: m * (1 + 1e-6)), frames, {0: masks[0]}).masks().max() == 1


def test_masks_of_nan_in_a_tracker_of_ours_name_the_propagator_that_gives_them(scene):
    class Careless(Odd):
        def start(self, frames, first):
            return GivenTracker(first[None].expand(len(frames), -1, -1, -1) * torch.nan)

    frames, masks = scene(length=4)
    with pytest.raises(
        InputError, match=r"start of the propagator 'odd': given masks must lie in \[0, 1\] without NaN"
    ):
        predict_masks(Careless(None), frames[None], masks[:1])


@pytest.mark.parametrize("given", [None, torch.zeros(4), object()])
def test_what_is_no_tracker_names_its_propagator(scene, given):
    class Wrong(Odd):
        def start(self, frames, first):
            return given

    frames, masks = scene(length=4)
    with pytest.raises(InputError, match="start of the propagator 'odd' must give a tracker"):
        predict_masks(Wrong(None), frames[None], masks[:1])
