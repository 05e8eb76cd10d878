"""`videoinpaint inpaint --inpainter internal --progressive`: a video just large enough to need two levels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.cli import main
from videoinpaint.clips.files.video import read_video

Fails = Callable[..., str]


def waves(count: int) -> NDArray[np.float64]:
    """Frames ``(count, 81, 963, 3)`` of a pattern that slides."""
    rows, columns = np.mgrid[:81, :963]
    return np.stack(
        [np.stack([120 + 80 * np.sin((columns + 9 * t) / 40), 2 * rows, rows * 0], -1) for t in range(count)]
    )


def test_a_large_video_is_repaired_in_levels(tmp_path: Path, video: Path, mask: Path, fails: Fails) -> None:
    frames = waves(2)
    hole = np.zeros((81, 963), np.uint8)
    hole[30:60, 400:440] = 255
    (tmp_path / "large").mkdir()
    for t, frame in enumerate(frames.astype(np.uint8)):
        Image.fromarray(np.where(hole[..., None] > 0, 0, frame).astype(np.uint8)).save(tmp_path / f"large/{t}.png")
    Image.fromarray(hole).save(tmp_path / "hole.png")
    words = ["--inpainter", "internal", "--progressive", "--lossless"]
    output = tmp_path / "out.mkv"
    at = ["inpaint", tmp_path / "large", "--mask", tmp_path / "hole.png", "--output", output, *words, "--steps", "1"]
    assert main([str(word) for word in [*at, "--folder", tmp_path / "levels"]]) == 0
    repaired = read_video(output)[0]
    assert repaired.shape == (2, 81, 963, 3)
    np.testing.assert_array_equal(repaired[:, hole == 0], frames.astype(np.uint8)[:, hole == 0])
    assert np.abs(repaired[:, hole > 0].astype(int) - frames[:, hole > 0]).mean() < 30
    assert sorted(path.name for path in (tmp_path / "levels").iterdir()) == ["level-0", "level-1"]
    small = ("inpaint", video, "--mask", mask, "--output", tmp_path / "no.mkv", *words)
    assert "need no levels" in fails(*small)
    assert "--steps" in fails(*small, "--seconds", "3")
    assert not (tmp_path / "no.mkv").exists()


def test_one_mask_of_a_large_video_is_followed_and_removed(tmp_path: Path, fails: Fails) -> None:
    frames = waves(3).astype(np.uint8)
    targets = np.zeros((3, 81, 963), np.uint8)
    for t in range(3):
        targets[t, 30:54, 400 + 20 * t : 440 + 20 * t] = 255
    (tmp_path / "large").mkdir()
    for t, frame in enumerate(frames):
        Image.fromarray(np.where(targets[t, :, :, None] > 0, 255, frame).astype(np.uint8)).save(
            tmp_path / f"large/{t}.png"
        )
    Image.fromarray(targets[0]).save(tmp_path / "first.png")
    output = tmp_path / "out.mkv"
    at = ["inpaint", tmp_path / "large", "--mask", tmp_path / "first.png", "--output", output, "--lossless"]
    at += ["--inpainter", "internal", "--progressive", "--device", "cpu", "--steps", "1", "0", "--propagator", "flow"]
    assert "--remove-residues" in fails(*at, "--remove-residues")
    assert main([str(word) for word in [*at, "--save-masks", tmp_path / "found"]]) == 0
    found = np.stack([np.array(Image.open(path)) > 0 for path in sorted((tmp_path / "found").glob("*.png"))])
    assert found.shape == targets.shape
    assert all(found[t][targets[t] > 0].mean() > 0.9 for t in range(3))
    assert found.mean() < 0.1
    repaired = read_video(output)[0]
    np.testing.assert_array_equal(repaired[~found], np.where(targets[..., None] > 0, 255, frames)[~found])
    inside = (targets > 0) & found
    assert np.abs(repaired[inside].astype(int) - frames[inside]).mean() < 30  # the white target was 255 everywhere
