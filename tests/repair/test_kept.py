"""Repairs that go on: finished windows are kept, and what follows has the same bits."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from videoinpaint.clips import make_clips
from videoinpaint.errors import InputError
from videoinpaint.repair import inpaint_stream

PARTS = {"detector": "none", "device": "cpu", "window": 6, "overlap": 2, "reach": 4}


@pytest.fixture(scope="module")
def video() -> tuple[np.ndarray, np.ndarray]:
    """A hole that wanders through 30 frames, so that the box around it grows on the way; 4 frames have none."""
    source = make_clips("studio:easy")
    frames = source.load(source.names()[0], 30, 64, 320).frames
    masks = np.zeros(frames.shape[:3], bool)
    for t in [*range(12), *range(16, 30)]:
        masks[t, 20:40, 6 * t : 6 * t + 40] = True
    return frames, masks


@pytest.fixture(scope="module")
def uninterrupted(video) -> Callable[[str], np.ndarray]:
    """The repair by an inpainter in one go."""

    @cache
    def repaired(inpainter: str) -> np.ndarray:
        return np.stack(list(inpaint_stream(*video, inpainter=inpainter, **PARTS)))

    return repaired


@pytest.mark.parametrize(("inpainter", "stop"), [("compact", 9), ("propagation", 1), ("propagation", 29), ("telea", 9)])
def test_an_interrupted_repair_ends_in_the_same_bits(video, uninterrupted, tmp_path, inpainter, stop) -> None:
    frames, masks = video
    settings = PARTS | {"inpainter": inpainter}
    whole = uninterrupted(inpainter)
    begun = inpaint_stream(frames, masks, keep=tmp_path / "windows", **settings)
    first = [next(begun) for _ in range(stop)]
    begun.close()
    np.testing.assert_array_equal(first, whole[:stop])
    assert list((tmp_path / "windows").glob("*.safetensors"))
    again = np.stack(list(inpaint_stream(frames, masks, keep=tmp_path / "windows", **settings)))
    np.testing.assert_array_equal(again, whole)


def test_finished_windows_are_not_repaired_again(video, tmp_path) -> None:
    from videoinpaint.inpainters.telea import TeleaInpainter

    class Counting(TeleaInpainter):
        calls = 0

        def begin(self, frames, masks):
            Counting.calls += 1
            return super().begin(frames, masks)

    frames, masks = video
    settings = PARTS | {"inpainter": Counting(), "keep": tmp_path / "windows"}
    first = list(inpaint_stream(frames, masks, **settings))
    calls = Counting.calls
    assert calls > 3
    second = list(inpaint_stream(frames, masks, **settings))
    assert Counting.calls == calls
    np.testing.assert_array_equal(first, second)


def test_windows_of_something_else_are_refused(video, tmp_path) -> None:
    frames, masks = video
    settings = PARTS | {"inpainter": "telea", "keep": tmp_path / "windows"}
    list(inpaint_stream(frames, masks, **settings))
    with pytest.raises(InputError, match="other settings"):
        list(inpaint_stream(frames, masks, **(settings | {"dilate": 2})))
    with pytest.raises(InputError, match="other settings"):
        list(inpaint_stream(frames, masks, **(settings | {"policy": "heads4"})))
    with pytest.raises(InputError, match="another video or mask"):
        list(inpaint_stream(255 - frames, masks, **settings))
    with pytest.raises(InputError, match="random policy"):
        inpaint_stream(frames, masks, **(settings | {"policy": "random"}))
    window = sorted((tmp_path / "windows").glob("*.safetensors"))[1]
    window.write_bytes(window.read_bytes()[:40])
    with pytest.raises(InputError, match="is damaged"):
        list(inpaint_stream(frames, masks, **settings))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="no folder of kept windows"):
        inpaint_stream(frames, masks, **(settings | {"keep": tmp_path / "mine"}))
