"""One-shot repair at the front door: one mask, any length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import videoinpaint
from videoinpaint.clips import make_clips
from videoinpaint.errors import InputError, InputWarning, UnknownNameError
from videoinpaint.inpainters.propagators import GivenTracker
from videoinpaint.protocols import Refinement, State
from videoinpaint.repair import propagate_mask

FAST: dict[str, Any] = {"inpainter": "telea", "detector": "none", "policy": "heads4", "device": "cpu", "iterations": 1}


def scene(
    length: int, height: int = 40, width: int = 64, *, leaves: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """A white square that moves over noise, and its masks; it is gone from frame `leaves` on."""
    rng = np.random.default_rng(length)
    frames = np.broadcast_to(rng.integers(0, 150, (height, width, 3), np.uint8), (length, height, width, 3)).copy()
    masks = np.zeros((length, height, width), np.uint8)
    for index in range(length if leaves is None else leaves):
        left = 4 + (2 * index) % (width - 20)
        masks[index, 10:26, left : left + 14] = 1
    frames[masks == 1] = 255
    return frames, masks


class White:
    """What is white is the target."""

    name = "white"

    def start(self, frames: Tensor, first: Tensor) -> GivenTracker:
        assert first.shape == (1, *frames.shape[2:])
        return GivenTracker((frames.amin(1, keepdim=True) > 0.99).float())


class Idle:
    """What is to be refused before anything is followed."""

    name = "idle"

    def start(self, frames: Tensor, first: Tensor) -> GivenTracker:
        raise AssertionError("it follows")


class Remover:
    """A one-shot inpainter that paints black what is white, and remembers what it was given."""

    name, controls, min_size = "remover", frozenset[str](), (16, 16)

    def __init__(self) -> None:
        self.given: list[tuple[Tensor, Tensor]] = []

    def begin(self, frames: Tensor, masks: Tensor) -> State:
        raise AssertionError("the masks are not known")

    def begin_one_shot(self, frames: Tensor, trackers: Any) -> tuple[State, Tensor]:
        masks = torch.stack([tracker.masks() for tracker in trackers])
        self.given.append((frames, masks))
        return {"holes": masks}, (masks > 0.5).float()

    def refine(self, state: State, repaired: Tensor, masks: Tensor, controls: Any) -> Refinement:
        return Refinement(torch.zeros_like(repaired), torch.zeros(1, dtype=torch.float64))


@pytest.mark.parametrize("length", [1, 2, 9, 23])
def test_the_target_goes_and_the_rest_stays_bit_for_bit(length: int) -> None:
    frames, masks = scene(length)
    kept = frames.copy(), masks.copy()
    repaired = videoinpaint.inpaint(frames, masks[0], propagator=White(), **FAST)
    assert repaired.shape == frames.shape

    near = np.zeros_like(masks)
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            near |= np.roll(masks, (dy, dx), (1, 2))
    np.testing.assert_array_equal(repaired[near == 0], frames[near == 0])

    assert not (repaired[masks == 1] == 255).all(axis=-1).any()
    np.testing.assert_array_equal(frames, kept[0])
    np.testing.assert_array_equal(masks, kept[1])


def test_it_equals_the_repair_of_the_widened_masks() -> None:
    from videoinpaint.repair.one_mask import holes_of

    frames, masks = scene(13)
    given = videoinpaint.inpaint(frames, holes_of(masks.astype(np.float32)), **FAST)
    np.testing.assert_array_equal(videoinpaint.inpaint(frames, masks[:1], propagator=White(), **FAST), given)


@pytest.mark.parametrize("length", [6, 15])
def test_a_one_shot_inpainter_sees_the_first_frame_in_every_window(length: int) -> None:
    frames, masks = scene(length)
    remover = Remover()
    settings = FAST | {"inpainter": remover, "window": 6, "overlap": 2}
    repaired = videoinpaint.inpaint(frames, masks[0], propagator=White(), **settings)
    np.testing.assert_array_equal(repaired, np.where(masks[..., None] == 1, 0, frames))
    first = torch.from_numpy(frames[0]).permute(2, 0, 1).float() / 255
    assert len(remover.given) == (1 if length == 6 else 4)
    for index, (shown, predicted) in enumerate(remover.given):
        assert torch.equal(shown[0, 0], first)
        assert torch.equal(predicted[0, 0, 0], torch.from_numpy(masks[0]).float())
        assert shown.shape[1] == predicted.shape[1] == 6 + (index > 0)


def test_a_target_that_leaves() -> None:
    frames, masks = scene(8, leaves=4)
    with pytest.warns(InputWarning, match="is gone in frames 4-7"):
        repaired = videoinpaint.inpaint(frames, masks[0], propagator=White(), **FAST)
    np.testing.assert_array_equal(repaired[4:], frames[4:])
    assert (repaired[3] != frames[3]).any()


def test_the_default_propagator_follows_a_moving_target() -> None:
    clip = make_clips("one_shot").load("studio-mixed-000004@000010", 6, 64, 112)
    assert clip.observed is not None
    assert clip.objects is not None
    found = propagate_mask(clip.observed, clip.objects[0], device="cpu")
    assert found.dtype == np.float32
    assert found.shape == clip.objects.shape
    np.testing.assert_array_equal(found[0], clip.objects[0])
    both = ((found > 0.5) & (clip.objects == 1)).sum() / ((found > 0.5) | (clip.objects == 1)).sum()
    assert both > 0.6
    repaired = videoinpaint.inpaint(clip.observed, clip.objects[0], propagator="flow", **FAST)
    inside = clip.objects == 1
    before, after = (np.abs(x[inside].astype(float) - clip.frames[inside]).mean() for x in (clip.observed, repaired))
    assert after < 0.8 * before
    one = videoinpaint.inpaint(clip.observed[:1], clip.objects[:1], propagator="flow", **FAST)
    assert one.shape == (1, 64, 112, 3)


def test_masks_of_several_frames_are_followed_both_ways() -> None:
    frames, masks = scene(15)
    with pytest.warns(InputWarning, match="is unsure in frames 5-11 "):
        found = propagate_mask(frames, {12: masks[12], 4: masks[4]}, propagator="held", device="cpu")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:5], np.broadcast_to(masks[4], (5, 40, 64)))
    np.testing.assert_array_equal(found[12:], np.broadcast_to(masks[12], (3, 40, 64)))
    np.testing.assert_array_equal(found[8] > 0.5, masks[4] == 1)
    np.testing.assert_array_equal(found[9] > 0.5, masks[12] == 1)
    with pytest.warns(InputWarning, match="is unsure"):
        repaired = videoinpaint.inpaint(frames, {12: masks[12], 4: masks[4]}, propagator="held", **FAST)
    for frame in (4, 12):
        assert not (repaired[frame][masks[frame] == 1] == 255).all(axis=-1).any()


def test_a_one_shot_inpainter_is_shown_a_frame_whose_mask_was_given() -> None:
    frames, masks = scene(9)
    remover = Remover()
    empty = np.zeros_like(masks[0])
    known = {0: empty, 5: masks[5]}
    with pytest.warns(InputWarning):
        videoinpaint.inpaint(frames, known, propagator="held", **FAST | {"inpainter": remover})
    ((shown, predicted),) = remover.given
    assert shown.shape[1] == 10
    assert torch.equal(shown[0, 0], torch.from_numpy(frames[5]).permute(2, 0, 1).float() / 255)
    assert torch.equal(predicted[0, 0, 0], torch.from_numpy(masks[5]).float())
    with pytest.raises(InputError, match="first frame's mask is given"):
        videoinpaint.inpaint(frames, known, propagator=Idle(), remove_residues=True, **FAST | {"inpainter": "ciri"})


def test_bad_masks_are_named() -> None:
    frames, masks = scene(3)

    def error(mask: Any, **more: Any) -> str:
        with pytest.raises(InputError) as caught:
            videoinpaint.inpaint(frames, mask, **({"propagator": White()} | FAST | more))
        return str(caught.value)

    assert "masks[0]" in error(masks)
    assert "absent" in error(np.zeros((40, 64)))
    assert "whole first frame" in error(np.ones((1, 40, 64), bool))
    assert "(40, 64)" in error(masks[0, :-1])
    assert "must have shape" in error(np.full((40, 64), np.nan))
    assert "window" in error(masks[0], window=1)
    assert "no frame 3 " in error({0: masks[0], 3: masks[0]})
    assert "no frame 'a'" in error({"a": masks[0]})
    assert "no mask shows" in error({0: np.zeros((40, 64))})
    assert "whole frame 2" in error({0: masks[0], 2: np.ones((40, 64), bool)})
    assert "mask of the frame 1 must have shape (40, 64)" in error({0: masks[0], 1: masks[1, :-1]})
    assert "name one" in error({0: masks[0]}, propagator=None)
    with pytest.raises(UnknownNameError, match="flow"):
        videoinpaint.inpaint(frames, masks[0], propagator="none", **FAST)


@pytest.mark.parametrize("window", [5, 3])
def test_residues_are_removed_by_tuning_what_follows_the_target(window: int) -> None:
    clip = make_clips("one_shot").load("studio-mixed-000004@000010", 5, 40, 70)
    assert clip.observed is not None
    assert clip.objects is not None
    settings = FAST | {"propagator": "flow", "window": window, "overlap": 1}
    del settings["inpainter"]  # ciri
    plain, tuned, again = (
        videoinpaint.inpaint(clip.observed, clip.objects[0], **settings, remove_residues=wanted)
        for wanted in (False, True, True)
    )
    np.testing.assert_array_equal(tuned, again)
    assert (plain != tuned).any()
    inside = clip.objects == 1
    before, after = (np.abs(x[inside].astype(float) - clip.frames[inside]).mean() for x in (clip.observed, tuned))
    assert after < 0.8 * before


def test_residue_removal_that_changes_nothing_says_so() -> None:
    frames, masks = scene(3)
    with pytest.warns(InputWarning, match="no residue was removed: the propagator has no parameters"):
        videoinpaint.inpaint(frames, masks[0], propagator="held", remove_residues=True, **FAST | {"inpainter": "ciri"})


def test_residue_removal_needs_ciri_and_a_propagator() -> None:
    frames, masks = scene(3)
    with pytest.raises(InputError, match="use ciri"):
        videoinpaint.inpaint(frames, masks[0], propagator=White(), remove_residues=True, **FAST)
    with pytest.raises(InputError, match="name a propagator"):
        videoinpaint.inpaint(frames, masks, remove_residues=True, **FAST)
    with pytest.raises(InputError, match="frames"):
        videoinpaint.inpaint(3, masks[0], propagator="held", remove_residues=True, **FAST | {"inpainter": "ciri"})


def test_a_propagator_that_marks_everything_is_refused() -> None:
    class All:
        name = "all"

        def start(self, frames: Tensor, first: Tensor) -> GivenTracker:
            return GivenTracker(torch.ones(len(frames), 1, *first.shape[1:]))

    frames, masks = scene(3)
    for inpainter in ("telea", Remover()):
        with pytest.raises(InputError, match="cover every pixel"):
            videoinpaint.inpaint(frames, masks[0], propagator=All(), **(FAST | {"inpainter": inpainter}))
