"""Cuts between scenes, on drawn scenes whose cuts are known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from videoinpaint.clips import make_clips
from videoinpaint.motion.cuts import is_cut

NOTHING = np.zeros((120, 216), bool)


def scene(index: int, frames: int = 6, kind: str = "fast") -> np.ndarray:
    source = make_clips(f"studio:{kind}")
    return source.load(source.names()[index], frames, 120, 216).frames


@pytest.mark.parametrize("index", range(6))
@pytest.mark.parametrize("kind", ["easy", "fast", "hard"])
def test_no_cut_within_a_scene(index: int, kind: str) -> None:
    frames = scene(index, kind=kind)
    assert not any(is_cut(a, b, NOTHING, NOTHING) for a, b in pairwise(frames))


def test_a_cut_between_scenes_whatever_the_holes_hide() -> None:
    rng = np.random.default_rng(0)
    a, b = np.full((120, 216, 3), (30, 60, 120), np.uint8), np.full((120, 216, 3), (190, 150, 60), np.uint8)
    a, b = (np.clip(x + rng.normal(0, 10, x.shape), 0, 255).astype(np.uint8) for x in (a, b))
    assert is_cut(a, b, NOTHING, NOTHING)
    hole = NOTHING.copy()
    hole[40:80, 60:160] = True
    patched = a.copy()
    patched[hole] = b[hole]
    assert not is_cut(a, patched, hole, NOTHING)
    assert not is_cut(a, patched, NOTHING, hole)
    assert is_cut(patched, b, hole, NOTHING)
    assert not is_cut(a, b, ~NOTHING, NOTHING)  # nothing to compare


@pytest.mark.filterwarnings("error")
def test_frames_that_show_but_a_rim_are_compared_as_far_as_it_goes() -> None:
    rng = np.random.default_rng(0)
    dark = rng.integers(0, 60, (240, 432, 3), dtype=np.uint8)
    light = rng.integers(190, 255, (240, 432, 3), dtype=np.uint8)
    for rim in (2, 3, 6):
        hole = np.ones((240, 432), bool)
        hole[:rim] = False
        assert is_cut(dark, light, hole, hole) == (rim > 3)  # of thinner ones no cell has enough


def test_a_pan_is_no_cut() -> None:
    wide = np.kron(
        np.random.default_rng(1).integers(0, 256, (12, 40, 3), dtype=np.uint8), np.ones((10, 10, 1), np.uint8)
    )
    a, b = wide[:, :216], wide[:, 20:236]
    assert not is_cut(a, b, NOTHING, NOTHING)
    assert is_cut(a, 255 - a // 4, NOTHING, NOTHING)
