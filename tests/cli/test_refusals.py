"""What commands refuse, and when: one line before any work, with a remedy that works, and nothing spoilt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.cli import main
from videoinpaint.clips.files.video import read_video, write_video

Fails = Callable[..., str]
CHEAP = ("--inpainter", "telea", "--detector", "none", "--policy", "heads4", "--device", "cpu")
SIZE = ("--count", "1", "--num-frames", "2", "--height", "48", "--width", "64")


@pytest.fixture
def moving_mask(tmp_path: Path, hole: NDArray[np.uint8]) -> Path:
    """The rectangle as a video of six frames."""
    path = tmp_path / "mask.mkv"
    write_video(path, np.broadcast_to(hole[None, ..., None] * np.uint8(255), (6, *hole.shape, 3)), 10, lossless=True)
    return path


def test_what_is_read_is_not_replaced(video: Path, mask: Path, moving_mask: Path, tmp_path: Path, fails: Fails) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    frame = folder / "0.png"
    Image.fromarray(read_video(video)[0][0]).save(frame)
    (tmp_path / "link.mkv").symlink_to(video)
    grid = tmp_path / "grid.mp4"
    write_video(grid, read_video(video)[0], 10)
    before = {path: path.read_bytes() for path in (video, mask, moving_mask, frame, grid)}

    repair = ("inpaint", video, "--mask", moving_mask, "--lossless", *CHEAP, "--output")
    assert "mask.mkv is itself read" in fails(*repair, moving_mask)
    assert "is itself read" in fails(*repair, tmp_path / "link.mkv")
    assert "is itself read" in fails("clips", grid, "--preview", grid, *SIZE)
    assert "is itself read" in fails("clips", video, "--masks", f"first-frame:{mask}", "--preview", mask, *SIZE)
    assert "lies in" in fails("clips", folder, "--preview", frame, *SIZE)
    assert "lies in" in fails("clips", f"one_shot:{folder}", "--preview", frame, *SIZE)
    assert {path: path.read_bytes() for path in before} == before


def test_an_output_is_written_through_a_link(video: Path, mask: Path, tmp_path: Path) -> None:
    there, link = tmp_path / "there.mkv", tmp_path / "link.mkv"
    link.symlink_to(there)
    assert main(["inpaint", str(video), "--mask", str(mask), "--output", str(link), "--lossless", *CHEAP]) == 0
    assert link.is_symlink()
    assert len(read_video(there)[0]) == 6


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--codec", "divx"), "unknown codec"),
        (("--fps", "0"), "fps"),
        (("--quality", "99"), "quality"),
        (("--iterations", "0"), "iterations"),
        (("--device", "abacus"), "cannot use device"),
        (("--policy", "nobody"), "unknown policy"),
        (("--codec", "hevc", "--output", "out.m4v"), "end the name in"),
    ],
)
def test_flags_are_looked_at_before_all_masks_are_read(
    flags: tuple[str, ...], told: str, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Fails
) -> None:
    monkeypatch.chdir(tmp_path)
    line = fails("inpaint", video, "--mask", tmp_path / "none.png", "--output", tmp_path / "out.mp4", *CHEAP, *flags)
    assert told in line


def test_words_about_masks_that_do_not_fit_are_named(video: Path, mask: Path, tmp_path: Path, fails: Fails) -> None:
    output, masks = ("--output", tmp_path / "out.mkv"), ("--mask", mask, "other.png")
    for words in ((video, *output, *masks), (*output, *masks, video)):
        assert "says no frame: give several masks as 0=first.png" in fails("inpaint", *words, *CHEAP)
    follow = ("inpaint", video, "--mask", mask, "--propagator", "flow", "--output", tmp_path / "same.mkv", *CHEAP)
    assert "name a folder for the masks" in fails(*follow, "--save-masks", tmp_path / "same.mkv")


def test_an_empty_word_is_not_this_folder(
    video: Path, mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Fails
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (
        ("inpaint", "", "--mask", mask, "--output", "out.mp4"),
        ("inpaint", video, "--mask", "", "--output", "out.mp4"),
        ("inpaint", video, "--mask=", "--output", "out.mp4"),
        ("clips", ""),
    ):
        assert "an empty word" in fails(*words)
    assert not (tmp_path / "out.mp4").exists()


def test_a_remedy_is_not_what_was_given(
    video: Path, hole: NDArray[np.uint8], tmp_path: Path, fails: Fails, capsys: pytest.CaptureFixture[str]
) -> None:
    marked = tmp_path / "marked.png"
    Image.fromarray(hole * np.uint8(255)).save(marked)
    words = ["inpaint", str(video), "--mask", str(marked), "--output", str(tmp_path / "out.mkv"), "--lossless", *CHEAP]
    assert main([*words, "--invert"]) == 0
    assert "leave --invert out" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("not a bank")
    assert "name another folder" in fails("bank", "build", tmp_path / "other", "--episodes", "1")
    assert "build one by" in fails("bank", "show", tmp_path / "none")
    for nothing in (marked, tmp_path / "none"):
        assert "is no folder: name the one" in fails("leaderboard", "verify", nothing)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (("--height", "0"), "height"),
        (("--width", "-5"), "width"),
        (("--height", "100000"), "height"),
        (("--num-frames", "0"), "num_frames"),
        (("--count", "0"), "number of clips"),
        (("--seed", "-1"), "seed"),
        (("--names", "-1"), "names"),
        (("--fps", "nan"), "fps"),
    ],
)
def test_numbers_of_a_preview_have_ranges(flags: tuple[str, ...], name: str, tmp_path: Path, fails: Fails) -> None:
    assert name in fails("clips", "studio", "--preview", tmp_path / "sheet.mp4", *SIZE, *flags)
    assert not list(tmp_path.iterdir())


def test_numbers_of_a_demo_have_ranges(tmp_path: Path, fails: Fails) -> None:
    for flags in (("--seconds", "nan"), ("--seed", "-1"), ("--episodes", "1"), ("--steps", "0")):
        assert flags[0][2:] in fails("demo", *flags, "--output", tmp_path / "demo")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "other"),
    [
        (("--bank-episodes", "5"), "--bank"),
        (("--replay-trajectories", "4"), "--replay"),
        (("--replay-gib", "1"), "--replay"),
        (("--cell-credit",), "--action-grid"),
    ],
)
def test_flags_without_effect_are_refused(flags: tuple[str, ...], other: str, tmp_path: Path, fails: Fails) -> None:
    assert f"{flags[0]} has no effect without {other}" in fails("train", "--output", tmp_path / "run", *flags)
    assert not list(tmp_path.iterdir())


def test_data_are_of_a_suite(tmp_path: Path, fails: Fails) -> None:
    assert "--suite" in fails("evaluate", "--data", tmp_path)


def test_a_refused_value_does_not_spoil_the_folder(tmp_path: Path, fails: Fails) -> None:
    words = ("leaderboard", "evaluate", "fixed:4,0.6,0.9,0.4,0.2", "--output", tmp_path / "board", "--threads")
    assert "threads" in fails(*words, "0")
    assert not (tmp_path / "board" / "submission.yml").exists()
    small = ("--limit", "1", "--height", "48", "--width", "64", "--output", tmp_path / "papers")
    assert "num_frames" in fails("bench", "table3", *small, "--num-frames", "0")
    assert not (tmp_path / "papers").exists()
