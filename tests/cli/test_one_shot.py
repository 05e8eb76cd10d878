"""`videoinpaint inpaint --propagator`: one mask of the first frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import videoinpaint
from videoinpaint.cli import main
from videoinpaint.cli.environment import EnvironmentFlags
from videoinpaint.cli.preview import TINT
from videoinpaint.clips import make_clips, read_masks
from videoinpaint.clips.files.video import read_video, write_video

Fails = Callable[..., str]
CHEAP = ("--inpainter", "telea", "--detector", "none", "--policy", "heads4", "--iterations", "1", "--device", "cpu")


@pytest.fixture
def moving(tmp_path: Path, frames: NDArray[np.uint8]) -> tuple[Path, NDArray[np.bool_]]:
    """The frames with a green rectangle that moves, and where it is."""
    target = np.zeros(frames.shape[:3], bool)
    for index in range(len(frames)):
        target[index, 16:32, 12 + 3 * index : 32 + 3 * index] = True
    write_video(
        tmp_path / "moving.mkv", np.where(target[..., None], (0, 255, 0), frames).astype(np.uint8), 10, lossless=True
    )
    Image.fromarray(target[0].astype(np.uint8) * 255).save(tmp_path / "first.png")
    return tmp_path / "moving.mkv", target


def test_a_moving_target_goes(
    moving: tuple[Path, NDArray[np.bool_]],
    frames: NDArray[np.uint8],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    video, target = moving
    words = ["inpaint", video, "--mask", tmp_path / "first.png", "--propagator", "flow", "--lossless", *CHEAP]
    words += ["--output", tmp_path / "out.mkv", "--save-masks", tmp_path / "found"]
    assert main([str(word) for word in words]) == 0
    told = capsys.readouterr()
    assert "6 frames of 64x48" in told.out
    assert "may miss" not in told.err
    repaired, _ = read_video(tmp_path / "out.mkv")
    green = (repaired == (0, 255, 0)).all(axis=-1)
    assert green[target].mean() < 0.2
    found = read_masks(tmp_path / "found")
    assert found.shape == target.shape
    np.testing.assert_array_equal(found[0], target[0])
    far = np.ones_like(target)
    far[:, 8:40, 4:] = False
    np.testing.assert_array_equal(repaired[far], frames[far])


def test_masks_of_several_frames(
    moving: tuple[Path, NDArray[np.bool_]], tmp_path: Path, capsys: pytest.CaptureFixture[str], fails: Fails
) -> None:
    video, target = moving
    Image.fromarray(target[5].astype(np.uint8) * 255).save(tmp_path / "last.png")
    empty = tmp_path / "empty.png"
    Image.fromarray(np.zeros_like(target[0], np.uint8)).save(empty)
    first, last, other = f"0={tmp_path}/first.png", f"5={tmp_path}/last.png", f"4={empty}"

    def words(*masks: str | Path) -> list[str]:
        end = ["--output", tmp_path / "out.mkv", "--propagator", "held", *CHEAP]
        return [str(word) for word in ["inpaint", "--mask", *masks, video, *end]]

    assert main([*words(first, last), "--save-masks", str(tmp_path / "found")]) == 0
    assert "frame 5, hole: " in capsys.readouterr().out
    found = read_masks(tmp_path / "found")
    for frame, given in enumerate((0, 0, 0, 5, 5, 5)):
        np.testing.assert_array_equal(found[frame], target[given])
    assert main(words(tmp_path / "first.png")) == 0
    assert "% of the frame; the masks of other frames follow from it\n" in capsys.readouterr().out
    assert main(["inpaint", f"--mask={tmp_path}/first.png", *words()[2:]]) == 0
    assert main(["inpaint", f"--mask={first}", last, *words()[2:]]) == 0
    capsys.readouterr()
    assert main(words(other, first)) == 0
    assert "frame 4, nothing is marked" in capsys.readouterr().out
    (tmp_path / "7=odd.png").write_bytes((tmp_path / "first.png").read_bytes())
    assert main(words(tmp_path / "7=odd.png")) == 0

    assert "frames count from 0 to 5" in fails(*words(first, f"6={empty}"))
    assert "two masks" in fails(*words(first, first))
    assert "all masks are empty" in fails(*words(other, f"0={empty}"))
    assert "one picture" in fails(*words(first, f"3={tmp_path}/found"))
    assert "--propagator" in fails("inpaint", video, "--mask", first, last, "--output", tmp_path / "out.mkv")
    assert "says no frame" in fails(
        "inpaint", video, f"--mask={tmp_path}/first.png", last, "--output", tmp_path / "o.mkv"
    )


def test_what_repairs_by_default_bears_wrong_masks(moving: tuple[Path, NDArray[np.bool_]], tmp_path: Path) -> None:
    video, target = moving
    words = ["inpaint", video, "--mask", tmp_path / "first.png", "--propagator", "held", "--lossless", *CHEAP[2:]]
    assert main([str(word) for word in [*words, "--output", tmp_path / "out.mkv"]]) == 0
    settings = {"detector": "none", "policy": "heads4", "iterations": 1, "device": "cpu", "propagator": "held"}
    frames, _ = read_video(video)
    given = {name: videoinpaint.inpaint(frames, target[0], inpainter=name, **settings) for name in ("ciri", "compact")}
    np.testing.assert_array_equal(read_video(tmp_path / "out.mkv")[0], given["ciri"])
    assert (given["ciri"] != given["compact"]).any()


def test_a_mask_that_loses_its_target_is_one_line(
    moving: tuple[Path, NDArray[np.bool_]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "losing.py").write_text(
        "import torch\n"
        "from videoinpaint.inpainters.propagators import GivenTracker\n"
        "class Losing:\n"
        "    name = 'losing'\n"
        "    def start(self, frames, first):\n"
        "        kept = torch.ones(len(frames), 1, 1, 1)\n"
        "        kept[3:5] = 0\n"
        "        return GivenTracker(kept * first)\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ["inpaint", moving[0], "--mask", tmp_path / "first.png", "--propagator", "losing:Losing", *CHEAP]
    assert main([str(word) for word in [*words, "--output", tmp_path / "out.mkv"]]) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "may miss" in line]
    assert line.startswith("warning: ")
    assert "is gone in frames 3-4" in line


def test_flags_that_do_not_go_together(
    video: Path, mask: Path, hole: NDArray[np.uint8], tmp_path: Path, fails: Fails
) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    for index in range(6):
        Image.fromarray(hole * np.uint8(255)).save(masks / f"{index}.png")
    empty = tmp_path / "empty.png"
    Image.fromarray(np.zeros_like(hole)).save(empty)
    before = sorted(tmp_path.iterdir())

    def line(holes: Path, *words: str | Path) -> str:
        return fails("inpaint", video, "--mask", holes, "--output", tmp_path / "out.mp4", *CHEAP, *words)

    assert "--save-masks needs --propagator" in line(mask, "--save-masks", tmp_path / "found")
    assert "--remove-residues needs --propagator" in line(mask, "--remove-residues")
    assert "use ciri" in line(mask, "--propagator", "held", "--remove-residues")
    assert "one picture" in line(masks, "--propagator", "held")
    assert "empty" in line(empty, "--propagator", "held")
    assert "exists already" in line(mask, "--propagator", "held", "--save-masks", masks)
    assert "--progressive" in line(mask, "--propagator", "held", "--progressive")
    assert "unknown propagator" in line(mask, "--propagator", "telepathy")
    assert "unknown propagator" in line(tmp_path / "none.png", "--propagator", "telepathy")  # before masks are read
    assert sorted(tmp_path.iterdir()) == before


def test_environments_of_targets_from_the_command_line(fails: Fails) -> None:
    flags = EnvironmentFlags(env_id="VideoInpaintOneShot-v0", propagator="held", num_frames=3, height=48, width=64)
    env = gymnasium.make(flags.env_id, **flags.env_kwargs())
    assert env.reset(seed=0)[1]["mask"] == "held"
    line = fails("evaluate", "--policies", "heads4", "--propagator", "held", "--episodes", "2")
    assert "propagator" in line


def test_a_preview_shows_targets(tmp_path: Path) -> None:
    size = ["--num-frames", "3", "--height", "48", "--width", "64"]
    words = ["clips", "one_shot", "--preview", str(tmp_path / "sheet.png"), "--count", "1", *size]
    assert main(words) == 0
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB"))
    clip = make_clips("one_shot").load(make_clips("one_shot").names()[0], 3, 48, 64)
    assert clip.objects is not None
    assert clip.observed is not None
    red = (0.4 * clip.observed[0] + 0.6 * TINT).astype(np.uint8)
    wanted = np.where(clip.objects[0][..., None] > 0, red, clip.observed[0])
    windows = np.lib.stride_tricks.sliding_window_view(sheet, (48, 64, 3))[:, :, 0]
    assert (windows == wanted).all(axis=(2, 3, 4)).any()
