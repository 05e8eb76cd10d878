"""The front door."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch

import videoinpaint
from videoinpaint.clips.masks.synthetic import dilated
from videoinpaint.errors import InputError, UnknownNameError
from videoinpaint.protocols import Detection, Refinement
from videoinpaint.repair import inpaint, inpaint_stream

FAST = {"inpainter": "telea", "detector": "none", "policy": "heads4", "device": "cpu"}


def video(length: int, height: int, width: int, hole: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(length)
    frames = rng.integers(0, 256, (length, height, width, 3), dtype=np.uint8)
    masks = np.zeros((length, height, width), np.uint8)
    for t in range(length):
        left = (5 + 2 * t) % (width - hole)
        masks[t, 8 : 8 + hole, left : left + hole] = 1
    return frames, masks


SIZES = [(5, 37, 51), (20, 48, 64), (11, 32, 33), (2, 32, 32), (1, 40, 40)]


@pytest.mark.parametrize(("length", "height", "width"), SIZES)
def test_known_pixels_come_back_bit_for_bit(length: int, height: int, width: int) -> None:
    frames, masks = video(length, height, width)
    copies = frames.copy(), masks.copy()
    repaired = videoinpaint.inpaint(frames, masks, policy="heads4", iterations=2, device="cpu")
    assert repaired.shape == frames.shape
    assert repaired.dtype == np.uint8
    np.testing.assert_array_equal(repaired[masks == 0], frames[masks == 0])
    assert (repaired[masks == 1] != frames[masks == 1]).any()
    np.testing.assert_array_equal(frames, copies[0])
    np.testing.assert_array_equal(masks, copies[1])


def test_a_video_is_repaired_by_the_network_that_paints_no_dots() -> None:
    frames, masks = video(5, 40, 48)
    usual = inpaint(frames, masks, device="cpu")
    np.testing.assert_array_equal(usual, inpaint(frames, masks, inpainter="compact2", device="cpu"))
    assert (usual != inpaint(frames, masks, inpainter="compact", device="cpu")).any()


def test_what_holes_hold_is_not_read() -> None:
    frames, masks = video(13, 40, 48)
    other = np.where(masks[..., None] == 1, 255 - frames, frames)
    kwargs = {"policy": "heuristic", "device": "cpu", "iterations": 2}
    np.testing.assert_array_equal(inpaint(frames, masks, **kwargs), inpaint(other, masks, **kwargs))


class Counting:
    """Fills the holes of its n-th window with the grey level 10 n, and remembers what it was given."""

    name, controls, min_size = "counting", frozenset[str](), (32, 32)

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def begin(self, frames: torch.Tensor, masks: torch.Tensor) -> dict[str, torch.Tensor]:
        self.lengths.append(frames.shape[1])
        return {"level": torch.full((1,), 10 * len(self.lengths) / 255)}

    def refine(self, state, repaired, masks, controls):
        level = state["level"].view(-1, 1, 1, 1, 1)
        return Refinement(level.expand_as(repaired).clone(), torch.zeros(1, dtype=torch.float64))


def levels(length: int, **kwargs: int) -> tuple[list[int], list[int]]:
    """The grey level of each frame's hole, and the windows' lengths."""
    frames, masks = video(length, 32, 40)
    part = Counting()
    repaired = inpaint(frames, masks, **(FAST | {"inpainter": part, "iterations": 1} | kwargs))  # type: ignore[arg-type]
    found = [np.unique(repaired[t][masks[t] == 1]) for t in range(length)]
    assert all(len(values) == 1 for values in found)
    return [int(values[0]) for values in found], part.lengths


def test_windows_cross_fade_inside_holes() -> None:
    seen, lengths = levels(10, window=6, overlap=2)
    assert lengths == [6, 6]
    assert seen == [10, 10, 10, 10, 13, 17, 20, 20, 20, 20]


def test_the_last_window_reaches_back_to_be_full() -> None:
    seen, lengths = levels(11, window=6, overlap=2)
    assert lengths == [6, 6, 6]
    assert seen == [10, 10, 10, 10, 13, 17, 20, 20, 23, 27, 30]


@pytest.mark.parametrize("length", range(1, 24))
@pytest.mark.parametrize(("window", "overlap"), [(6, 2), (4, 3), (5, 0), (2, 1)])
def test_every_length_gives_every_frame_once_without_jumps(length: int, window: int, overlap: int) -> None:
    seen, lengths = levels(length, window=window, overlap=overlap)
    assert len(seen) == length
    assert set(lengths) == {min(window, length)}
    assert sorted(seen) == seen
    assert max(np.diff(seen), default=0) <= (
        7 if window == 6 else 10
    )  # where windows are few frames apart, steps add up


def test_a_stream_reads_no_more_than_a_window_ahead() -> None:
    frames, masks = video(40, 32, 40)
    read = 0

    def source():
        nonlocal read
        for frame in frames:
            read += 1
            yield frame

    ahead = []
    for index, frame in enumerate(inpaint_stream(source(), iter(masks), window=6, overlap=2, **FAST)):
        ahead.append(read - index)
        np.testing.assert_array_equal(frame[masks[index] == 0], frames[index][masks[index] == 0])
    assert len(ahead) == 40
    assert max(ahead) <= 7


def test_a_stream_equals_the_array_form() -> None:
    frames, masks = video(14, 32, 40)
    streamed = np.stack(list(inpaint_stream(list(frames), list(masks), **FAST)))
    np.testing.assert_array_equal(streamed, inpaint(frames, masks, **FAST))


def test_frames_without_holes_and_without_anything_else() -> None:
    frames, masks = video(16, 32, 40)
    masks[3:] = 0
    masks[1] = 1
    repaired = inpaint(frames, masks, **FAST)
    np.testing.assert_array_equal(repaired[3:], frames[3:])
    part = Counting()
    frames, masks = video(16, 32, 40)
    masks[:12] = 0
    inpaint(frames, masks, **(FAST | {"inpainter": part, "window": 6}))
    assert len(part.lengths) == 2  # windows without a hole cost nothing


def test_what_is_above_half_is_missing() -> None:
    frames, masks = video(4, 32, 40)
    wanted = inpaint(frames, masks, **FAST)
    noisy = np.maximum(masks * np.uint8(255), np.random.default_rng(0).integers(0, 4, masks.shape).astype(np.uint8))
    noisy[2][masks[2] == 1] = 130
    for other in (masks.astype(bool), masks * 255, masks * 7, masks.astype(np.float32) * 0.5, noisy):
        np.testing.assert_array_equal(inpaint(frames, other, **FAST), wanted)
    for other, wish in ((1 - masks, {"invert": True}), (noisy, {"threshold": 3}), (masks * 9, {"object_id": 9})):
        np.testing.assert_array_equal(inpaint(frames, other, **wish, **FAST), wanted)
    with pytest.raises(InputError, match="numbers of objects"):
        inpaint(frames, noisy % 4, **FAST)
    with pytest.raises(InputError, match="the value 8"):
        inpaint(frames, masks, object_id=8, **FAST)
    with pytest.raises(InputError, match="below 0"):
        inpaint(frames, -masks.astype(int), **FAST)
    with pytest.raises(InputError, match="mask of frame 0 has more than two values"):
        list(inpaint_stream(frames, noisy, **FAST))


class Content:
    name = "content"

    def __init__(self) -> None:
        self.calls = 0

    def detect(self, repaired, masks):
        self.calls += 1
        return Detection(torch.zeros_like(masks), torch.zeros_like(repaired))


def test_iterations_end_when_nothing_is_flagged_or_all_are_made() -> None:
    frames, masks = video(4, 32, 40)
    seen: list[int] = []

    class Watching:
        def act(self, observation):
            seen.append(int(observation["masks"].max()))
            return np.zeros((1, 5), np.float32)

    content = Content()
    inpaint(frames, masks, **(FAST | {"detector": content, "policy": Watching(), "iterations": 3}))
    assert (content.calls, len(seen)) == (1, 1)
    inpaint(frames, masks, **(FAST | {"detector": content, "policy": Watching(), "iterations": 1}))
    assert (content.calls, len(seen)) == (1, 2)  # nobody asks what it would say after the only pass
    inpaint(frames, masks, **(FAST | {"policy": Watching(), "iterations": 5}))
    assert len(seen) == 2 + 5


def test_same_input_same_bits() -> None:
    frames, masks = video(12, 32, 40)
    kwargs = {"policy": "random", "device": "cpu", "iterations": 1}
    np.testing.assert_array_equal(inpaint(frames, masks, **kwargs), inpaint(frames, masks, **kwargs))


FRAMES, MASKS = video(4, 32, 40)


@pytest.mark.parametrize(
    ("frames", "masks", "kwargs", "message"),
    [
        (FRAMES, MASKS[:3], {}, "3 frames"),
        (FRAMES, MASKS[:, :-1], {}, "size"),
        (FRAMES, MASKS * 0, {}, "empty"),
        (FRAMES, MASKS * 0 + 1, {}, "every pixel"),
        (FRAMES.astype(float), MASKS, {}, "uint8"),
        (FRAMES[..., :1], MASKS, {}, "RGB"),
        (FRAMES[:, :20], MASKS[:, :20], {}, "32"),
        (FRAMES, np.where(MASKS, np.nan, 0.0), {}, "NaN"),
        (FRAMES[:0], MASKS[:0], {}, "no frames"),
        (FRAMES, MASKS, {"iterations": 0}, "iterations"),
        (FRAMES, MASKS, {"window": 4, "overlap": 4}, "overlap"),
        (FRAMES, MASKS, {"device": "abacus"}, "device"),
        ([FRAMES[0], FRAMES[1][:, :33]], MASKS[:2], {}, "frames must be one array"),
        (FRAMES[:2], [MASKS[0], MASKS[1][:30]], {}, "masks must be one array"),
        (FRAMES, MASKS, {"window": 2.5}, "window must be a whole number"),
        (FRAMES, MASKS, {"window": "5"}, "window must be a whole number"),
        (FRAMES, MASKS, {"overlap": 0.5}, "overlap must be a whole number"),
        (FRAMES, MASKS, {"reach": 1.5}, "reach must be a whole number"),
        (FRAMES, MASKS, {"iterations": 2.5}, "iterations must be a whole number"),
        (FRAMES, MASKS, {"dilate": 1.5}, "dilate must be a whole number"),
        (FRAMES, MASKS, {"dilate": 1000}, "dilate=1000 pixels, let it grow by fewer"),
    ],
)
def test_bad_input_is_named(frames: np.ndarray, masks: np.ndarray, kwargs: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        inpaint(frames, masks, **(FAST | kwargs))


@pytest.mark.parametrize("part", ["inpainter", "detector", "policy"])
def test_unknown_parts_are_named_before_any_frame_is_read(part: str) -> None:
    with pytest.raises(UnknownNameError, match="nonsense"):
        inpaint_stream(iter([]), iter([]), **(FAST | {part: "nonsense"}))


def test_streams_that_do_not_fit() -> None:
    for frames, masks, message in (
        (FRAMES, MASKS[:2], "fewer masks"),
        (FRAMES[:2], MASKS, "fewer frames"),
        ([FRAMES[0], FRAMES[1][:, :36]], MASKS[:2], "frame 1"),
        ([], [], "no frames"),
        ([FRAMES[0], [[0], [0, 0]]], MASKS[:2], "frames must be one array"),
        (FRAMES[:2], [MASKS[0], [[0], [0, 0]]], "mask of frame 1 must be one array"),
    ):
        with pytest.raises(InputError, match=message):
            list(inpaint_stream(iter(frames), iter(masks), **FAST))


@pytest.mark.parametrize("streamed", [False, True])
def test_holes_grow_on_request(streamed: bool) -> None:
    frames, masks = video(6, 40, 60)
    repair = (lambda *a, **k: np.stack(list(inpaint_stream(*a, **k)))) if streamed else inpaint
    grown = np.stack([cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))) for mask in masks])
    wanted = dilated(masks, 3)
    assert (wanted >= masks).all()
    assert abs(int(wanted.sum()) - int(grown.sum())) < 0.1 * grown.sum()  # a disc, as OpenCV's is
    np.testing.assert_array_equal(repair(frames, masks, dilate=3, **FAST), inpaint(frames, wanted, **FAST))
    with pytest.raises(InputError, match="dilate must lie in 0"):
        repair(frames, masks, dilate=-1, **FAST)
    with pytest.raises(InputError, match="leave dilate out"):
        inpaint(frames, masks[0], dilate=3, propagator="flow", **(FAST | {"inpainter": "telea"}))


def test_windows_of_which_nothing_is_known_are_refused_and_single_lost_frames_are_not() -> None:
    frames, masks = video(16, 32, 40)
    with pytest.raises(InputError, match=r"frames 0 to 15, .*dilate=50 pixels, let it grow by fewer"):
        list(inpaint_stream(frames, masks, dilate=50, **FAST))
    with pytest.raises(InputError, match="leave known pixels out"):
        list(inpaint_stream(frames, np.ones_like(masks), **FAST))
    masks[6:12] = 1
    for repair in (inpaint, lambda *given, **settings: list(inpaint_stream(*given, **settings))):
        with pytest.raises(InputError, match="every pixel of frames 6 to 9"):
            repair(frames, masks, window=4, overlap=2, **FAST)
        assert len(repair(frames, masks, window=8, **FAST)) == 16  # a known frame lies in every window
        carried = FAST | {"inpainter": "propagation"}
        assert len(repair(frames, masks, window=4, overlap=2, reach=4, **carried)) == 16  # or within its reach


def test_a_generator_may_fill_the_same_buffer_again_and_again() -> None:
    frames, masks = video(14, 32, 40)

    def reused(series: np.ndarray) -> Iterator[np.ndarray]:
        buffer = np.empty_like(series[0])
        for item in series:
            buffer[:] = item
            yield buffer

    wanted = inpaint(frames, masks, **FAST)
    for kind in (np.uint8, bool):
        repaired = np.stack(list(inpaint_stream(reused(frames), reused(masks.astype(kind)), **FAST)))
        np.testing.assert_array_equal(repaired, wanted)
