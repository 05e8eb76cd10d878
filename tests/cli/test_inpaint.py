"""`videoinpaint inpaint` end to end, on a tiny video with Telea's fill."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.cli import main
from videoinpaint.cli.inpaint import Inpaint
from videoinpaint.clips.files.video import VideoWriter, read_video, write_video
from videoinpaint.errors import InputError
from videoinpaint.repair.defaults import POLICY

Fails = Callable[..., str]
CHEAP = ("--inpainter", "telea", "--detector", "none", "--policy", "heads4", "--iterations", "1", "--device", "cpu")


def inpaint(*words: str | Path) -> int:
    return main(["inpaint", *(str(word) for word in words), *CHEAP])


def test_lossless_keeps_known_pixels_bit_for_bit(
    video: Path, mask: Path, hole: NDArray[np.uint8], frames: NDArray[np.uint8], tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"
    assert inpaint(video, "--mask", mask, "--output", output, "--lossless") == 0
    repaired, fps = read_video(output)
    assert fps == 10
    assert repaired.shape == frames.shape
    np.testing.assert_array_equal(repaired[:, hole == 0], frames[:, hole == 0])
    inside = repaired[:, hole == 1].astype(int)
    assert not (inside == (0, 255, 0)).all(axis=-1).any()  # the painted green is gone
    assert np.abs(inside - frames[:, hole == 1]).mean() < 40


def test_mp4_keeps_size_count_rate_and_nearly_the_known_pixels(
    video: Path, mask: Path, hole: NDArray[np.uint8], frames: NDArray[np.uint8], tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    output.write_bytes(b"an older file")
    assert inpaint(video, "--mask", mask, "--output", output, "--fps", "5") == 0
    repaired, fps = read_video(output)
    assert (repaired.shape, fps) == (frames.shape, 5)
    assert np.abs(repaired[:, hole == 0].astype(int) - frames[:, hole == 0]).mean() < 6  # what H.264 costs
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "mask.png", "out.mp4"]


def test_folders_of_frames_and_masks_give_the_same(
    video: Path, mask: Path, hole: NDArray[np.uint8], tmp_path: Path
) -> None:
    damaged, _ = read_video(video)
    for name in ("frames", "masks"):
        (tmp_path / name).mkdir()
    for index, frame in enumerate(damaged):
        Image.fromarray(frame).save(tmp_path / "frames" / f"{index}.png")
        Image.fromarray(hole * np.uint8(255)).save(tmp_path / "masks" / f"{index}.png")
    assert inpaint(video, "--mask", mask, "--output", tmp_path / "a.mkv", "--lossless") == 0
    assert inpaint(tmp_path / "frames", "--mask", tmp_path / "masks", "--output", tmp_path / "b.mkv", "--lossless") == 0
    np.testing.assert_array_equal(read_video(tmp_path / "a.mkv")[0], read_video(tmp_path / "b.mkv")[0])


def test_a_policy_chooses_for_each_cell_of_a_grid(
    video: Path, mask: Path, hole: NDArray[np.uint8], frames: NDArray[np.uint8], tmp_path: Path, fails: Fails
) -> None:
    words = ["inpaint", video, "--mask", mask, "--detector", "none", "--device", "cpu"]

    def repaired(name: str, *more: str) -> NDArray[np.uint8]:
        line = [*words, "--output", tmp_path / name, "--lossless", "--policy", "heuristic", *more]
        assert main([str(word) for word in line]) == 0
        return read_video(tmp_path / name)[0]

    by_cell, whole = repaired("a.mkv", "--action-grid", "2", "3"), repaired("b.mkv")
    np.testing.assert_array_equal(by_cell[:, hole == 0], frames[:, hole == 0])
    assert (by_cell != whole).any()
    words += ["--output", tmp_path / "c.mp4", "--action-grid", "2"]
    assert "telea" in fails(*words, "3", "--policy", "heuristic", "--inpainter", "telea")
    assert "whole frames" in fails(*words, "3", "--policy", "heads4")
    assert "columns of action_grid" in fails(*words, "0", "--policy", "heuristic")
    assert "without a policy" in fails(*words, "3", "--inpainter", "internal")
    assert not list(tmp_path.glob("*c.mp4*"))


def picture(path: Path, pixels: NDArray[np.uint8]) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def test_bad_input_is_named_and_nothing_is_written(video: Path, mask: Path, tmp_path: Path, fails: Fails) -> None:
    output = tmp_path / "out.mp4"
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    short = tmp_path / "short"
    short.mkdir()
    for index in range(2):
        picture(short / f"{index}.png", np.eye(48, 64, dtype=np.uint8) * 255)
    other = picture(tmp_path / "other.png", np.eye(20, 30, dtype=np.uint8) * 255)
    empty = picture(tmp_path / "empty.png", np.zeros((48, 64), np.uint8))
    full = picture(tmp_path / "full.png", np.full((48, 64), 255, np.uint8))
    tiny = tmp_path / "tiny.mkv"
    write_video(tiny, np.zeros((3, 16, 16, 3), np.uint8), 10, lossless=True)
    before = sorted(tmp_path.iterdir())

    def line(source: Path, holes: Path, *words: str, target: Path = output) -> str:
        return fails("inpaint", source, "--mask", holes, "--output", target, *CHEAP, *words)

    assert "nowhere.mp4" in line(tmp_path / "nowhere.mp4", mask)
    assert "broken.mp4" in line(broken, mask)
    assert "nowhere.png" in line(video, tmp_path / "nowhere.png")
    assert "2 frames" in line(video, short)
    assert "30x20" in line(video, other)
    assert "empty" in line(video, empty)
    assert "everything" in line(video, full)
    assert "16x16" in line(tiny, mask)
    assert "itself" in line(video, mask, "--lossless", target=video)
    assert "out.gif" in line(video, mask, target=tmp_path / "out.gif")
    assert "folder" in line(video, mask, target=tmp_path / "no" / "out.mp4")
    assert "nonsense" in line(video, mask, "--inpainter", "nonsense")
    assert "nonsense" in line(video, mask, "--policy", "nonsense")
    assert "iterations" in line(video, mask, "--iterations", "0")
    assert "fps" in line(video, mask, "--fps", "-1")
    assert "dilate=100 pixels, let it grow by fewer" in line(video, mask, "--dilate", "100")
    assert "--codec ffv1, not hevc" in line(video, mask, "--lossless", "--codec", "hevc")
    for lossless in (["--lossless"], ["--codec", "ffv1"]):
        assert "--quality is not for" in line(video, mask, *lossless, "--quality", "10", target=tmp_path / "out.mkv")
    assert sorted(tmp_path.iterdir()) == before


def test_the_run_says_what_it_understood(
    video: Path, mask: Path, hole: NDArray[np.uint8], tmp_path: Path, fails: Fails, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(holes: Path, *words: str) -> tuple[str, str]:
        output = tmp_path / "out.mkv"
        assert inpaint(video, "--mask", holes, "--output", output, "--lossless", *words) == 0
        shown = capsys.readouterr()
        return shown.out.splitlines()[0], shown.err

    assert told(mask) == ("hole: 10.4 % of the frame, in 6 of 6 frames", "")
    black = picture(tmp_path / "black.png", (1 - hole) * np.uint8(255))
    line, warning = told(black)
    assert line == "hole: 89.6 % of the frame, in 6 of 6 frames"
    assert warning.startswith("warning: ")
    assert "--invert" in warning
    assert told(black, "--invert") == told(mask)
    grey = picture(tmp_path / "grey.png", hole * np.uint8(255) + np.roll(hole, 25, axis=1) * np.uint8(100))
    line, warning = told(grey)
    assert line == told(mask)[0]
    assert "10 % of the mask is neither black nor bright" in warning
    assert told(grey, "--threshold", "50") == ("hole: 20.8 % of the frame, in 6 of 6 frames", "")
    assert told(grey, "--object", "100") == told(mask)
    assert "0..254" in fails("inpaint", video, "--mask", mask, "--output", tmp_path / "o.mp4", "--threshold", "300")


def test_masks_that_grow_until_nothing_is_known_are_refused_before_a_frame_is_written(
    video: Path, mask: Path, tmp_path: Path, fails: Fails, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "masks").mkdir()
    for index in range(6):
        (tmp_path / "masks" / f"{index}.png").write_bytes(mask.read_bytes())
    words = ["--output", tmp_path / "out.mp4", *CHEAP, "--dilate", "1000"]
    assert "every pixel of every frame" in fails("inpaint", video, "--mask", mask, *words)
    assert "every pixel of frames 0 to 5" in fails("inpaint", video, "--mask", tmp_path / "masks", *words)
    assert not list(tmp_path.glob("*out*"))


def test_a_tilde_is_the_home_of_the_user(
    video: Path, mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for index, frame in enumerate(read_video(video)[0]):
        picture(tmp_path / "frames" / f"{index}.png", frame)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert inpaint("~/frames", "--mask", "~/mask.png", "--output", "~/out.mkv", "--lossless", "--resume") == 0
    assert len(read_video(tmp_path / "out.mkv")[0]) == 6
    assert not list((tmp_path / "elsewhere").iterdir())


def test_gaps_in_numbers_are_named(
    video: Path, mask: Path, tmp_path: Path, fails: Fails, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = read_video(video)[0]

    def folder(name: str, numbers: list[int]) -> Path:
        (tmp_path / name).mkdir()
        for index, number in enumerate(numbers):
            source = picture(tmp_path / name / f"{number}.png", frames[index])
            if name.startswith("masks"):
                source.write_bytes(mask.read_bytes())
        return tmp_path / name

    whole, broken = [1, 2, 3, 4, 5, 6], [1, 2, 5, 6, 7, 8]
    masks, gaps = folder("masks", whole), folder("masks_gaps", broken)
    output = ("--output", tmp_path / "out.mp4")
    assert "numbers 3 and 4 are missing" in fails("inpaint", video, "--mask", gaps, *output)
    assert "numbers 3 and 4 are missing" in fails("inpaint", folder("frames", whole), "--mask", gaps, *output)
    jumping = folder("jumping", broken)
    assert "but not of its masks" in fails("inpaint", jumping, "--mask", masks, *output)
    assert not (tmp_path / "out.mp4").exists()
    for holes in (gaps, mask):
        assert inpaint(jumping, "--mask", holes, *output) == 0
        assert "the video jumps there" in capsys.readouterr().err


def test_a_picture_of_a_folder_that_cannot_be_decoded(
    frames: NDArray[np.uint8], mask: Path, tmp_path: Path, fails: Fails, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and the work is done; or, with --strict, one line and no work."""
    (tmp_path / "in").mkdir()
    last = [picture(tmp_path / "in" / f"{index:04d}.png", frame) for index, frame in enumerate(frames)][-1]
    last.write_bytes(last.read_bytes()[:200])
    words = ("inpaint", tmp_path / "in", "--mask", mask, "--output", tmp_path / "out.mkv", "--lossless")
    assert "0005.png" in fails(*words, *CHEAP, "--strict")
    assert not (tmp_path / "out.mkv").exists()
    assert inpaint(*words[1:]) == 0
    shown = capsys.readouterr().err
    assert shown.startswith("warning: frame 5: ")
    assert shown.count("0005.png") == 1
    repaired = read_video(tmp_path / "out.mkv")[0]
    np.testing.assert_array_equal(repaired[-1][:16], frames[-2][:16])


def test_two_pictures_of_one_number_are_named(
    frames: NDArray[np.uint8], mask: Path, tmp_path: Path, fails: Fails
) -> None:
    (tmp_path / "in").mkdir()
    for index, frame in enumerate(frames):
        picture(tmp_path / "in" / f"{index:04d}.png", frame)
    for other in ("0002.jpg", "2.png"):
        picture(tmp_path / "in" / other, frames[2])
        line = fails("inpaint", tmp_path / "in", "--mask", mask, "--output", tmp_path / "out.mp4", *CHEAP)
        assert other in line
        assert "0002.png" in line
        (tmp_path / "in" / other).unlink()
    assert not (tmp_path / "out.mp4").exists()


def test_an_error_midway_leaves_the_old_file(
    video: Path, hole: NDArray[np.uint8], tmp_path: Path, fails: Fails
) -> None:
    damaged, _ = read_video(video)
    folder = tmp_path / "frames"
    folder.mkdir()
    for index, frame in enumerate(damaged):
        Image.fromarray(frame).save(folder / f"{index}.png")
    (folder / "5.png").unlink()
    Image.fromarray(np.full(hole.shape, 2.0, np.float32)).save(folder / "5.tif")  # decoded, but of no known scale
    output = tmp_path / "out.mp4"
    output.write_bytes(b"older")
    marked = picture(tmp_path / "m.png", hole * np.uint8(255))
    assert "5.tif" in fails("inpaint", folder, "--mask", marked, "--output", output, *CHEAP)
    assert output.read_bytes() == b"older"
    assert not list(tmp_path.glob("*.part*")) + list(tmp_path.glob(".*part*"))


def test_memory_does_not_grow_with_the_video(mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the video, no read asks for more than a few frames."""
    from videoinpaint.clips.files.sequences import ImageFolder

    folder = tmp_path / "long"
    folder.mkdir()
    for index in range(40):
        Image.new("RGB", (64, 48), (index, 90, 90)).save(folder / f"{index}.png")
    asked: list[int] = []
    read = ImageFolder.read

    def spy(self: ImageFolder, start: int, count: int, stride: int = 1) -> NDArray[np.uint8]:
        asked.append(count)
        return read(self, start, count, stride)

    monkeypatch.setattr(ImageFolder, "read", spy)
    assert inpaint(folder, "--mask", mask, "--output", tmp_path / "out.mp4") == 0
    assert len(read_video(tmp_path / "out.mp4")[0]) == 40
    assert max(asked) <= 16


def test_internal_trains_on_the_video_and_goes_on_from_its_checkpoint(
    video: Path, mask: Path, hole: NDArray[np.uint8], frames: NDArray[np.uint8], tmp_path: Path, fails: Fails,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = ["--mask", mask, "--lossless", "--inpainter", "internal", "--device", "cpu", "--folder", tmp_path / "run"]

    def repaired(name: str, steps: int) -> NDArray[np.uint8]:
        output = tmp_path / f"{name}.mkv"
        assert main([str(w) for w in ["inpaint", video, "--output", output, *words, "--steps", steps]]) == 0
        return read_video(output)[0]

    first = repaired("a", 6)
    assert "trained 6 steps" in capsys.readouterr().out
    np.testing.assert_array_equal(first[:, hole == 0], frames[:, hole == 0])
    assert not (first[:, hole == 1].astype(int) == (0, 255, 0)).all(axis=-1).any()
    np.testing.assert_array_equal(repaired("b", 6), first)
    assert "finished already" in capsys.readouterr().out
    line = fails("inpaint", video, "--mask", mask, "--output", tmp_path / "c.mkv", *CHEAP, "--lossless", "--steps", "6")
    assert "--steps" in line
    assert "only with --inpainter internal" in line
    assert "budget" in fails("inpaint", video, "--output", tmp_path / "c.mkv", *words, "--seconds", "0")
    assert not (tmp_path / "c.mkv").exists()


def test_the_command_and_the_function_follow_the_same_policy():
    assert Inpaint.__dataclass_fields__["policy"].default == POLICY


def test_an_interrupted_repair_goes_on(
    video: Path, mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Fails
) -> None:
    words = ("--mask", mask, "--lossless", "--window", "2", "--resume")
    output, windows = tmp_path / "a.mkv", tmp_path / "a.mkv.windows"

    def interrupted(self: VideoWriter, frames: NDArray[np.uint8], write=VideoWriter.write) -> None:  # type: ignore[no-untyped-def]
        write(self, frames)
        if len(list(windows.glob("*.safetensors"))) >= 2:  # the repair goes on beside the writing
            raise InputError("the power went out")

    with monkeypatch.context() as patch:
        patch.setattr(VideoWriter, "write", interrupted)
        assert "the power went out" in fails("inpaint", video, "--output", output, *words, *CHEAP)
    assert not output.exists()
    kept = {path.name: path.stat().st_mtime_ns for path in windows.glob("*.safetensors")}
    assert len(kept) >= 2
    again = fails("inpaint", video, "--output", output, *words, *CHEAP, "--dilate", "3")
    assert "other settings" in again
    assert kept == {path.name: path.stat().st_mtime_ns for path in windows.glob("*.safetensors")}
    assert inpaint(video, "--output", output, *words) == 0
    assert not windows.exists()
    assert inpaint(video, "--output", tmp_path / "b.mkv", *words[:-1]) == 0
    np.testing.assert_array_equal(read_video(output)[0], read_video(tmp_path / "b.mkv")[0])
    for flag in ("--window", "--reach", "--dilate"):
        assert flag in fails("inpaint", video, "--output", output, "--mask", mask, "--inpainter", "internal", flag, "4")
    assert "--resume" in fails(
        "inpaint", video, "--output", output, "--mask", mask, "--resume", "--propagator", "flow", "--device", "cpu"
    )
