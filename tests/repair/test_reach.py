"""Windows that look beyond themselves, boxes around holes, and scenes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videoinpaint.boxes import box_of
from videoinpaint.clips import make_clips
from videoinpaint.inpainters import tracing
from videoinpaint.inpainters.flow_propagation import PropagationInpainter
from videoinpaint.inpainters.tracing import seen_motion, trace, traced
from videoinpaint.protocols import Reaching
from videoinpaint.repair import inpaint, inpaint_stream, looped
from videoinpaint.repair.cutouts import MARGINS, Cutout, cutout_of
from videoinpaint.repair.looped import LoopRepairer
from videoinpaint.repair.streaming import HELD, SHORT, Stream, Windows

CARRY = {"inpainter": "propagation", "detector": "none", "device": "cpu"}


def panning(length: int, height: int = 48, width: int = 96, step: int = 2) -> np.ndarray:
    """A window that moves over a smooth texture by `step` pixels a frame."""
    rng = np.random.default_rng(3)
    coarse = torch.from_numpy(rng.random((1, 3, height // 4, (width + step * length) // 4 + 2)))
    size = (height, width + step * length + 8)
    wide = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic", align_corners=False)[0]
    wide = (wide.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return np.stack([wide[:, step * t : step * t + width] for t in range(length)])


def subtitle(frames: np.ndarray, first: int, last: int) -> np.ndarray:
    masks = np.zeros(frames.shape[:3], bool)
    masks[first:last, 30:40, 16:80] = True
    return masks


def error(repaired: np.ndarray, frames: np.ndarray, masks: np.ndarray) -> float:
    return float(np.abs(repaired.astype(float) - frames)[masks].mean())


def test_what_a_subtitle_hides_is_carried_from_beyond_the_window() -> None:
    frames = np.repeat(panning(1), 40, axis=0)  # a still camera: only other times show what is hidden
    masks = subtitle(frames, 8, 32)
    near = inpaint(frames, masks, window=8, overlap=2, reach=0, **CARRY)
    far = inpaint(frames, masks, window=8, overlap=2, reach=24, **CARRY)
    assert error(far, frames, masks) < 0.1 * error(near, frames, masks)
    np.testing.assert_array_equal(far[~masks], frames[~masks])


def test_windows_within_reach_of_everything_equal_one_window() -> None:
    frames = panning(20)
    masks = subtitle(frames, 4, 15)
    whole = inpaint(frames, masks, window=20, **CARRY)
    parts = inpaint(frames, masks, window=6, overlap=2, reach=20, **CARRY)
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.parametrize("lost", [[], [0, 4], [3, 4, 5], [8]])
def test_motion_that_was_kept_gives_the_same_bits(lost: list[int]) -> None:
    frames = torch.from_numpy(panning(9)).permute(0, 3, 1, 2)[None].float() / 255
    holes = torch.from_numpy(subtitle(panning(9), 2, 7))[None, :, None].float()
    holes[:, lost] = 1
    at_once, before = seen_motion(frames, holes), None
    for stop in (1, 4, 9):
        before = seen_motion(frames[:, :stop], holes[:, :stop], before=before)
    assert before is not None
    assert all(torch.equal(at_once[name], before[name]) for name in at_once)
    whole, part = trace(frames, holes), traced(frames, holes, at_once, range(3, 6))
    assert all(torch.equal(whole[name][:, 3:6], part[name]) for name in whole)


@pytest.mark.parametrize("step", [0, 1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_points_that_are_not_followed_would_not_have_arrived(step, seed, monkeypatch) -> None:
    clip = panning(9, step=step)
    frames = torch.from_numpy(clip).permute(0, 3, 1, 2)[None].float() / 255
    rng = np.random.default_rng(seed)
    holes = torch.zeros(1, 9, 1, 48, 96)
    holes[..., 12:36, 20:70] = 1
    for t in range(9):
        top, left = rng.integers(0, 36), rng.integers(0, 80)
        holes[0, t, 0, top : top + 12, left : left + 16] = 1
    bounded = trace(frames, holes)
    monkeypatch.setattr(tracing, "_travel", lambda holes, *_: holes.new_full(holes.shape[:2], np.inf))
    monkeypatch.setattr(tracing, "_distance_to_known", lambda holes: holes[:, 0, 0])
    free = trace(frames, holes)
    assert all(torch.equal(bounded[name], free[name]) for name in free)
    assert (step == 0) or bounded["ahead"].any()


def test_a_stream_reads_no_more_than_a_window_and_its_reach_ahead() -> None:
    frames = panning(40)
    masks, read, ahead = subtitle(frames, 5, 35), 0, []

    def source():
        nonlocal read
        for frame in frames:
            read += 1
            yield frame

    for index, _ in enumerate(inpaint_stream(source(), iter(masks), window=6, overlap=2, reach=5, **CARRY)):
        ahead.append(read - index)
    assert len(ahead) == 40
    assert max(ahead) <= 6 + 5 + 1


class Watching(PropagationInpainter):
    """Remembers how many frames it looked at, and how large they were."""

    name = "watching"

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def begin_within(self, frames, masks, wanted, before=None):
        self.seen.append((frames.shape[1], *frames.shape[3:]))
        return super().begin_within(frames, masks, wanted, before)


def test_nothing_is_carried_across_a_cut() -> None:
    first, second = panning(10), 255 - panning(10) // 3
    frames, masks = np.concatenate([first, second]), np.zeros((20, 48, 96), bool)
    masks[:, 10:22, 30:50] = True
    cuts: list[int] = []
    part = Watching()
    together = np.stack(list(inpaint_stream(frames, masks, on_cut=cuts.append, **(CARRY | {"inpainter": part}))))
    assert cuts == [10]
    assert [length for length, *_ in part.seen] == [10, 10]
    apart = [inpaint(frames[at], masks[at], **CARRY) for at in (slice(10), slice(10, 20))]
    np.testing.assert_array_equal(together, np.concatenate(apart))


@pytest.mark.parametrize("rim", [0, 2])
@pytest.mark.parametrize("lost", [slice(10, 11), slice(8, 13), slice(9, 10)])
def test_a_cut_is_found_beside_lost_frames_which_belong_to_the_scene_before(lost: slice, rim: int) -> None:
    frames, masks = np.concatenate([panning(10), 255 - panning(10) // 3]), np.zeros((20, 48, 96), bool)
    frames[:, :rim] = 0  # black bars, which both scenes have
    masks[:, 20:30, 30:50] = masks[lost, rim:] = True
    cuts: list[int] = []
    repaired = np.stack(list(inpaint_stream(frames, masks, on_cut=cuts.append, **CARRY)))
    assert cuts == [max(10, lost.stop)]
    until, after = slice(0, cuts[0]), slice(cuts[0], 20)
    apart = [inpaint(frames[at], masks[at], **CARRY) for at in (until, after)]
    np.testing.assert_array_equal(repaired, np.concatenate(apart))


def test_frames_of_which_little_is_known_all_the_time_are_compared() -> None:
    frames, masks = np.concatenate([panning(10), 255 - panning(10) // 3]), np.ones((20, 48, 96), bool)
    masks[:, :4] = False
    cuts: list[int] = []
    list(inpaint_stream(frames, masks, on_cut=cuts.append, **CARRY))
    assert cuts == [10]


def test_cost_follows_the_hole_not_the_frame() -> None:
    small, large = (np.repeat(panning(1, *size), 4, axis=0) for size in ((240, 432), (720, 1280)))
    sizes = []
    for frames in (small, large):
        masks = np.zeros(frames.shape[:3], bool)
        masks[:, 100:140, 90:190] = True
        part = Watching()
        repaired = inpaint(frames, masks, **(CARRY | {"inpainter": part}))
        np.testing.assert_array_equal(repaired[~masks], frames[~masks])
        sizes.append(part.seen[0])
    assert sizes[0] == sizes[1] == (4, 40 + 2 * MARGINS[0], 100 + 2 * MARGINS[0])


@pytest.mark.parametrize("length", [4, 12])
@pytest.mark.parametrize(("flat", "wide"), [(0, False), (110, True), (400, False)])
def test_the_box_is_wider_where_only_more_of_the_frame_shows_how_the_camera_moves(flat, wide, length) -> None:
    frames = panning(length, 200, 400, step=3)
    frames[:, :, :flat] = 90
    masks = np.zeros(frames.shape[:3], bool)
    masks[:, 8:24, 8:30] = True
    part = Watching()
    repaired = inpaint(frames, masks, window=4, overlap=1, reach=0, **(CARRY | {"inpainter": part}))
    np.testing.assert_array_equal(repaired[~masks], frames[~masks])
    margin = MARGINS[1] if wide else MARGINS[0]
    assert {size[1:] for size in part.seen} == {(24 + margin, 30 + margin)}


def test_the_box_widens_when_the_camera_is_lost() -> None:
    frames = panning(12, 200, 400, step=3)
    frames[6:, :, :110] = 90
    masks = np.zeros(frames.shape[:3], bool)
    masks[:, 8:24, 8:30] = True
    part = Watching()
    inpaint(frames, masks, window=4, overlap=1, reach=0, **(CARRY | {"inpainter": part}))
    sizes = [size for _, *size in part.seen]
    assert sizes[0] == [24 + MARGINS[0], 30 + MARGINS[0]]
    assert sizes[-1][0] >= 24 + MARGINS[1]
    assert sizes[-1][1] >= 30 + MARGINS[1]


def test_a_box_grows_in_few_steps_and_never_shrinks() -> None:
    frames = np.repeat(panning(1, 64, 640), 40, axis=0)
    masks = np.zeros(frames.shape[:3], bool)
    for t in range(40):
        masks[t, 16:40, 10 * t : 10 * t + 40] = True
    part = Watching()
    inpaint(frames, masks, window=4, overlap=1, reach=1, **(CARRY | {"inpainter": part}))
    sizes = [size[1:] for size in part.seen]
    assert len(sizes) > 8
    assert sizes == sorted(sizes)
    assert 1 < len(set(sizes)) <= 4  # all motion is estimated again where the box grows


def test_a_large_hole_of_a_large_frame_is_worked_on_at_reduced_size() -> None:
    frames = np.repeat(panning(1, 1440, 1440), 2, axis=0)
    masks = np.zeros(frames.shape[:3], bool)
    masks[:, 200:1200, 200:1200] = True
    part = Watching()
    repaired = inpaint(frames, masks, **(CARRY | {"inpainter": part}))
    assert part.seen == [(2, 721, 721)]
    np.testing.assert_array_equal(repaired[~masks], frames[~masks])
    assert error(repaired, frames, masks) < 60


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_boxes_hold_their_holes_and_only_grow(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(40, 700)), data.draw(st.integers(40, 900))
    before: Cutout | None = None
    for _ in range(4):
        holes = np.zeros((height, width), bool)
        top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
        holes[top : top + data.draw(st.integers(1, 200)), left : left + data.draw(st.integers(1, 200))] = True
        found, needed = cutout_of(holes, before), box_of(holes)
        assert needed is not None
        box = found.box
        assert 0 <= box[0] <= max(0, needed[0] - MARGINS[0] // 2) or box[0] == 0
        assert needed[2] <= box[2] <= height
        assert needed[3] <= box[3] <= width
        assert box[1] <= needed[1]
        assert box[2] == height or box[2] - needed[2] >= MARGINS[0] // 2
        if before is not None:
            assert before.box[0] >= box[0]
            assert before.box[3] <= box[3]
        assert found.size[0] * found.size[1] <= 520_000
        before = found


def test_windows_are_bounded_by_the_size_of_a_frame() -> None:
    usual = Windows(24, 3, 60, bounded=True)
    assert usual.within(240, 432) == usual
    assert usual.within(1080, 1920).length == SHORT
    large = usual.within(2160, 3840)
    assert 0 < large.reach < 60
    assert (large.length + 2 * large.reach) * 2160 * 3840 * 4 <= HELD
    assert Windows(24, 3, 60).within(1080, 1920).length == 24


def test_the_networks_reach_too() -> None:
    from videoinpaint.inpainters import make_inpainter

    assert isinstance(make_inpainter("compact"), Reaching)
    assert not isinstance(make_inpainter("telea"), Reaching)
    source = make_clips("studio:easy")
    frames = source.load(source.names()[0], 12, 64, 96).frames
    masks = np.zeros(frames.shape[:3], bool)
    masks[4:8, 40:52, 20:70] = True
    short = {"window": 4, "overlap": 1, "device": "cpu"}
    far, near = (inpaint(frames, masks, reach=reach, **short) for reach in (8, 0))
    assert error(far, frames, masks) < error(near, frames, masks)


@pytest.mark.parametrize("reach", [-1, -60])
def test_a_negative_reach_is_refused(reach: int) -> None:
    frames = panning(4)
    with pytest.raises(Exception, match="reach must lie in 0"):
        inpaint(frames, subtitle(frames, 0, 4), reach=reach, **CARRY)


class Looking(LoopRepairer):
    """Remembers the cutout that each window goes on from."""

    def __init__(self) -> None:
        super().__init__(SimpleNamespace(inpainter=PropagationInpainter(), begin_within=self._begun), None, 1)  # type: ignore[arg-type]
        self.earlier: list[Cutout | None] = []

    def _begun(self, frames: torch.Tensor, holes: torch.Tensor, inner: range, before: object) -> tuple:
        return {"frames": frames[:, inner.start : inner.stop]}, {"flow": holes}

    def _cutout(self, hole: np.ndarray, earlier: Cutout | None, frames: np.ndarray, holes: np.ndarray) -> Cutout:
        self.earlier.append(earlier)
        return super()._cutout(hole, earlier, frames, holes)

    def _finished(self, state: dict[str, torch.Tensor]) -> np.ndarray:
        return state["frames"][0].permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("reach", [3, 60])  # of as many frames on either side as the budget lets it look at
def test_windows_of_a_scene_go_on_from_one_cutout_however_short_their_reach(reach, monkeypatch) -> None:
    monkeypatch.setattr(looped, "BUDGET", 48 * 96 * (10 + 2 * reach))
    frames, masks = panning(40), subtitle(panning(40), 0, 40)
    repairer = Looking()
    list(Stream(repairer, Windows(10, 3, 60)).run(zip(frames, masks, strict=True)))
    assert len(repairer.earlier) > 4
    assert repairer.earlier[0] is None
    assert None not in repairer.earlier[1:]
    # What is held of another scene begins after everything that was looked at.
    repairer.repair(list(frames[:10]), list(masks[:10]), 40, range(10))
    assert repairer.earlier[-1] is None


@pytest.mark.parametrize("place", [(100, 200), (0, 0), (232, 424), (0, 300)])
@pytest.mark.parametrize("least", [(200, 200), (240, 200), (150, 432), (240, 432)])
def test_an_inpainter_that_reaches_gets_as_much_of_the_frame_as_it_needs(place, least) -> None:
    part = Watching()
    part.min_size = least
    frames = np.repeat(panning(1, 240, 432), 3, axis=0)
    masks = np.zeros(frames.shape[:3], bool)
    masks[:, place[0] : place[0] + 8, place[1] : place[1] + 8] = True
    assert inpaint(frames, masks, **CARRY | {"inpainter": part}).shape == frames.shape
    hole = masks[0]
    top, left, bottom, right = cutout_of(hole, least=least).box
    assert 0 <= top <= bottom - least[0] <= 240 - least[0]
    assert 0 <= left <= right - least[1] <= 432 - least[1]
    assert hole[top:bottom, left:right].sum() == hole.sum()


def test_a_box_is_not_reduced_below_what_the_inpainter_needs() -> None:
    hole = np.zeros((900, 1600), bool)
    hole[100:800, 100:1500] = True
    assert cutout_of(hole).size[0] < 700
    assert cutout_of(hole, least=(700, 300)).size[0] == 700
    assert cutout_of(hole, least=(900, 1600)).size == (900, 1600)
