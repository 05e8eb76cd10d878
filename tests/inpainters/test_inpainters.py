"""Every inpainter by name, and what propagation promises on a motion that is known."""

import numpy as np
import pytest
import torch

from videoinpaint.controls import Controls
from videoinpaint.inpainters import AROUND_PUBLISHED, INPAINTERS, PUBLISHED, make_inpainter
from videoinpaint.inpainters.flow_propagation import propagate
from videoinpaint.inpainters.tracing import seen_motion, trace, traced

NEUTRAL = Controls().to_array()[None]
NAMES = [name for name in INPAINTERS.names() if name not in PUBLISHED + AROUND_PUBLISHED]  # too large


def moving_clip(length=5, height=48, width=64, step=3):
    noise = torch.rand(1, 3, 8, 30, generator=torch.Generator().manual_seed(1))
    wide = torch.nn.functional.interpolate(noise, size=(height, width + step * length), mode="bicubic").clamp(0, 1)
    return torch.stack([wide[0, :, :, step * t : step * t + width] for t in range(length)])[None]


def with_hole(frames):
    holes = torch.zeros(*frames.shape[:2], 1, *frames.shape[3:])
    holes[..., 18:30, 28:36] = 1
    return torch.where(holes > 0, torch.tensor(128 / 255), frames), holes


@pytest.mark.parametrize("name", NAMES)
def test_shapes_ranges_and_determinism(name):
    part = make_inpainter(name)
    corrupted, holes = with_hole(moving_clip())
    state = part.begin(corrupted, holes)
    assert all(len(value) == 1 for value in state.values())
    result = part.refine(state, corrupted, holes, NEUTRAL)
    assert result.frames.shape == corrupted.shape
    assert result.frames.min() >= 0
    assert result.frames.max() <= 1
    assert result.gflops.shape == (1,)
    assert torch.equal(part.refine(state, corrupted, holes, NEUTRAL).frames, result.frames)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 37, 51), (2, 41, 130)])
def test_odd_sizes_and_single_frames(name, shape):
    part = make_inpainter(name)
    frames = torch.rand(1, shape[0], 3, *shape[1:])
    holes = torch.zeros(1, shape[0], 1, *shape[1:])
    holes[..., 4:10, 3:9] = 1
    result = part.refine(part.begin(frames, holes), frames, holes, NEUTRAL)
    assert result.frames.shape == frames.shape
    assert torch.isfinite(result.frames).all()


def test_propagation_carries_in_what_a_moving_camera_reveals():
    clip = moving_clip()
    corrupted, holes = with_hole(clip)
    propagated, confidence, filled = propagate(corrupted, holes)
    inside = holes.expand_as(clip) > 0
    assert (propagated - clip)[inside].abs().mean() < 0.5 * (filled - clip)[inside].abs().mean()
    assert confidence[holes > 0].mean() > 0.5
    assert torch.equal(propagated[~inside], clip[~inside])


def test_propagation_without_motion_falls_back_to_the_smooth_fill():
    still = moving_clip(step=0)
    corrupted, holes = with_hole(still)
    propagated, confidence, filled = propagate(corrupted, holes)
    assert confidence[holes > 0].max() == 0
    assert torch.equal(propagated[holes.expand_as(still) > 0], filled[holes.expand_as(still) > 0])


@pytest.mark.parametrize("name", ["propagation", "compact", "compact2"])
@pytest.mark.parametrize(("lost", "like"), [([2, 3], 1), ([0], 1), ([4], 3)])
def test_a_lost_frame_repeats_the_one_beside_it_and_has_nothing_black(name, lost, like):
    part = make_inpainter(name)
    corrupted, holes = with_hole(moving_clip(step=2) / 2 + 0.5)
    holes[:, lost] = 1
    repaired = part.refine(part.begin(corrupted, holes), corrupted, holes, NEUTRAL).frames[0]
    hidden = holes[0, like].expand(3, -1, -1) > 0
    for time in lost:
        away = (repaired[time] - repaired[like]).abs()
        assert away[~hidden].mean() < 0.02  # no double picture of a camera that moves by four pixels meanwhile
        assert away[hidden].mean() < 0.06
        assert repaired[time].min() > 0.4


def test_lost_frames_are_filled_clip_by_clip_and_with_grey_where_all_are_lost():
    clips = torch.cat([moving_clip(), moving_clip(step=1), moving_clip()])
    corrupted, holes = with_hole(clips)
    holes[1, 2:4], holes[2] = 1, 1
    together = propagate(corrupted, holes)
    for at in range(3):
        alone = propagate(corrupted[at : at + 1], holes[at : at + 1])
        assert all(torch.equal(one[0], many[at]) for one, many in zip(alone, together))
    assert together[0][2].unique().tolist() == [0.5]
    assert torch.equal(together[2][1, 3], together[2][1, 1])


def still_clip_with_one_hole():
    """Four frames of one colour each, a hole in the first alone."""
    clip = torch.linspace(0.2, 0.8, 4).view(1, 4, 1, 1, 1).expand(1, 4, 3, 32, 40).clone()
    holes = torch.zeros(1, 4, 1, 32, 40)
    holes[:, 0, :, 10:16, 10:20] = 1
    return clip, holes


def flows(first, second):
    """A motion estimator that finds the same two flows everywhere."""
    return lambda frames, holes: tuple(
        torch.tensor(pair, dtype=torch.float32).view(1, 1, 2, 1, 1).expand(1, 3, 2, 32, 40) for pair in (first, second)
    )


def test_a_trace_ends_at_the_first_frame_that_shows_the_pixel():
    clip, holes = still_clip_with_one_hole()
    found = trace(clip, holes, flows((0, 0), (0, 0)))
    inside = found["ahead"][0, 0][:, holes[0, 0, 0] > 0]
    torch.testing.assert_close(inside[:3], torch.full_like(inside[:3], 0.4))
    assert inside[3:].unique(dim=1).tolist() == [[1.0], [1.0]]  # full trust, one frame away
    assert not found["behind"].any()
    assert not found["ahead"][0, 1:].any()


def test_trust_is_lost_by_hops_and_in_long_videos_by_motion_alone():
    clip, holes = still_clip_with_one_hole()
    holes[:] = holes[:, :1]
    holes[:, 3] = 0  # what is hidden shows three frames later
    place = holes[0, 0, 0] > 0
    for step, calm in ((0, 1.0), (0.5, 0.97**1.0), (4, 0.97**2)):
        motion = flows((step, 0), (-step, 0))
        seen = seen_motion(clip, holes, motion)
        for found, trust in (
            (trace(clip, holes, motion), 0.97**2),
            (traced(clip, holes, seen, range(4), calm=True), calm),
        ):
            colour = found["ahead"][0, 0][:, place]
            late = colour[3][colour[4] == 3]
            assert len(late)
            torch.testing.assert_close(late, torch.full_like(late, trust))


def test_a_trace_along_motion_that_contradicts_itself_is_given_up():
    clip, holes = still_clip_with_one_hole()
    assert trace(clip, holes, flows((3, 0), (-3, 0)))["ahead"].any()
    assert not trace(clip, holes, flows((3, 0), (3, 0)))["ahead"].any()


def test_propagation_of_a_batch_is_that_of_its_items():
    clips = torch.cat([moving_clip(step=2), moving_clip(step=3)])
    corrupted, holes = with_hole(clips)
    together = propagate(corrupted, holes)
    for index in range(2):
        alone = propagate(corrupted[index : index + 1], holes[index : index + 1])
        for a, b in zip(together, alone):
            assert torch.allclose(a[index], b[0], atol=1e-6)


def test_what_the_hole_holds_reaches_no_inpainter():
    corrupted, holes = with_hole(moving_clip())
    other = torch.where(holes > 0, torch.rand_like(corrupted), corrupted)
    for name in ("propagation", "telea"):
        part = make_inpainter(name)
        a = part.refine(part.begin(corrupted, holes), corrupted, holes, NEUTRAL).frames
        b = part.refine(part.begin(other, holes), other, holes, NEUTRAL).frames
        assert np.array_equal(a.numpy(), b.numpy())
