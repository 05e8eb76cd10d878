"""The command line's frame: help, version, errors, and the light subcommands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.cli import COMMANDS, main
from videoinpaint.cli.evaluate import Evaluate
from videoinpaint.clips.files.video import read_video
from videoinpaint.version import __version__

Fails = Callable[..., str]


def test_version_is_printed_without_loading_torch() -> None:
    code = "import sys; from videoinpaint.cli import main; main(['--version']); print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["videoinpaint", __version__, "False"]


@pytest.mark.parametrize("name", ["inpaint", "clips", "weights", "pretrain", "demo", "leaderboard", "bench"])
def test_help_is_printed_without_loading_torch(name: str) -> None:
    code = "import atexit, sys; from videoinpaint.cli import main; "
    code += f"atexit.register(lambda: print('torch' in sys.modules)); main([{name!r}, '--help'])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"usage: videoinpaint {name}" in result.stdout
    assert result.stdout.split()[-1] == "False"


def test_the_package_is_the_command() -> None:
    command = [sys.executable, "-m", "videoinpaint"]
    shown = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["videoinpaint", __version__]
    ended = subprocess.run([*command, "nosuch"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "unknown command 'nosuch'" in ended.stderr


@pytest.mark.parametrize(("chosen", "spins"), [({}, "0"), ({"GOMP_SPINCOUNT": "7"}, "7")])
def test_threads_sleep_while_they_wait_unless_the_user_says_otherwise(chosen: dict[str, str], spins: str) -> None:
    unset = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    command = [sys.executable, "-c", "from videoinpaint.cli import main; main(['weights', 'list']); import torch"]
    told = subprocess.run(
        command, capture_output=True, text=True, check=True, env=unset | chosen | {"OMP_DISPLAY_ENV": "VERBOSE"}
    ).stderr
    said = re.findall(r"GOMP_SPINCOUNT = '(\d+)'", told)
    if not said:
        pytest.skip("torch has no GNU OpenMP here")
    assert set(said) == {spins}


def test_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == shown
    assert all(f"  {name}" in shown and summary in shown for name, summary in COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: videoinpaint {name}" in shown
    assert len(shown.splitlines()) > 8
    assert "{None}" not in shown


def test_each_example_of_inpaint_stands_on_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["inpaint", "--help"])
    shown = capsys.readouterr().out
    assert shown.count("videoinpaint inpaint holiday.mp4") == 3
    assert shown.count("\nvideoinpaint inpaint holiday.mp4") == 3


@pytest.mark.parametrize("words", [["weights", "fetch"], ["pretrain", "detector"], ["weights", "verify"]])
def test_nested_commands_explain_themselves(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0
    assert "usage: videoinpaint " + " ".join(words) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("module", "name", "words", "flags"),
    [
        ("evaluate", "Evaluate", [], ["output", "report", "data"]),
        ("train", "Train", [], ["output", "bank"]),
        ("demo", "Demo", [], ["output"]),
        ("clips", "Clips", [], ["preview"]),
        ("bench", "Bench", ["ciri-table2"], ["output", "ablation"]),
        ("trials", "Fit", ["fit", "~/folders"], ["output"]),
        ("pretrain", "Aligner", ["aligner"], ["output", "folder"]),
        ("pretrain", "OneShot", ["one-shot"], ["output", "folder", "init"]),
        ("pretrain", "Inpainter", ["inpainter"], ["init", "detector_weights", "completion_weights"]),
    ],
)
def test_a_tilde_is_the_home_of_the_user_in_every_flag_that_is_a_path(
    module: str, name: str, words: list[str], flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Any] = []
    command = getattr(import_module(f"videoinpaint.cli.{module}"), name)
    monkeypatch.setattr(command, "run", lambda self: ran.append(self))  # noqa: PLW0108 - `append` alone is never bound
    monkeypatch.setenv("HOME", str(tmp_path))
    given = [word for flag in flags for word in ("--" + flag.replace("_", "-"), f"~/{flag}")]
    assert main([module, *words, *given]) == 0
    assert [getattr(ran[0], flag) for flag in flags] == [tmp_path / flag for flag in flags]
    assert getattr(ran[0], "folders", (tmp_path / "folders",)) == (tmp_path / "folders",)


def test_unknown_command_lists_the_known_ones(fails: Fails) -> None:
    line = fails("impaint")
    assert "impaint" in line
    assert all(name in line for name in COMMANDS)


def test_unknown_flag_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["clips", "--no-such-flag"])
    assert stop.value.code == 2
    assert "--no-such-flag" in capsys.readouterr().err


def test_weights_list_tells_what_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("inpainter-compact", "detector-compact", "policy-trained-budget", "alexnet"))
    row = next(line for line in shown.splitlines() if line.startswith("lpips-alex"))
    assert "here" in row  # the lpips package is a dependency


def test_weights_verify_and_unknown_names(fails: Fails, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "verify", "lpips-alex"]) == 0
    assert capsys.readouterr().out.startswith("ok  lpips-alex")
    assert "alexnet" in fails("weights", "verify", "alexnot")
    assert "alexnet" in fails("weights", "fetch", "alexnot")


def test_clips_lists_names_and_sizes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for clip in ("one", "two"):
        (tmp_path / clip).mkdir()
        for frame in range(3):
            Image.new("RGB", (40, 30)).save(tmp_path / clip / f"{frame}.png")
    assert main(["clips", str(tmp_path), "--names", "1"]) == 0
    shown = capsys.readouterr().out
    assert "2 clips" in shown
    assert "one  3 frames of 40x30" in shown
    assert "two" not in shown
    assert "1 more" in shown


def test_clips_preview_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    words = ["clips", "studio:easy", "--preview", str(path), "--count", "2", "--num-frames", "3"]
    assert main([*words, "--height", "48", "--width", "64", "--masks", "square"]) == 0
    picture = np.asarray(Image.open(path))
    assert picture.shape[1] == 3 * 64 + 2 * 4  # three frames and the gaps between them
    assert picture.shape[0] > 2 * 48
    assert list(tmp_path.iterdir()) == [path]
    assert "studio-easy-000001" in capsys.readouterr().out


def test_clips_preview_shows_a_mask_over_its_video(
    video: Path, hole: NDArray[np.uint8], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    black, sheet = tmp_path / "black.png", tmp_path / "sheet.png"
    Image.fromarray((1 - hole) * np.uint8(255)).save(black)
    words = ["clips", str(video), "--masks", str(black), "--preview", str(sheet), "--height", "48", "--width", "64"]

    def tinted() -> NDArray[np.bool_]:
        """Which pixels of the first frame are not the video's own."""
        first = np.asarray(Image.open(sheet))[-48:, :64].astype(int)
        return np.abs(first - read_video(video)[0][0]).sum(axis=2) > 60

    assert main(words) == 0
    shown = capsys.readouterr()
    assert "hole: 89.6 % of the frame" in shown.out
    assert "--invert" in shown.err
    assert (tinted() != hole).mean() > 0.9
    assert main([*words, "--invert"]) == 0
    assert "hole: 10.4 % of the frame" in capsys.readouterr().out
    assert (tinted() == hole).mean() > 0.99


def test_clips_preview_video(tmp_path: Path) -> None:
    path = tmp_path / "grid.mp4"
    words = ["clips", "--preview", str(path), "--count", "1", "--num-frames", "4", "--height", "48", "--width", "64"]
    assert main(words) == 0
    frames, fps = read_video(path)
    assert len(frames) == 4
    assert fps == 12
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["clips", "no/such/folder"], "no/such/folder"),
        (["clips", "nonsense"], "nonsense"),
        (["clips", "--masks", "nonsense"], "nonsense"),
        (["clips", "--preview", "out.gif"], "out.gif"),
        (["clips", "--preview", "no/folder/out.png"], "no/folder"),
        (["clips", "--preview", "out.png", "--num-frames", "0"], "num_frames"),
        (["pretrain", "inpainter", "--clips", "no/such/clips"], "no/such/clips"),
        (["pretrain", "inpainter", "--output", "weights.bin"], "weights.bin"),
        (["pretrain", "inpainter", "--iterations", "0"], "iterations"),
        (["pretrain", "inpainter", "--learning-rate", "1e308"], "learning_rate"),
        (["pretrain", "detector", "--seed", "-1"], "seed"),
        (["pretrain", "detector", "--preset", "paper"], "never published"),
        (["pretrain", "detector", "--inpainter", "none"], "none"),
        (["pretrain", "inpainter", "--preset", "paper"], "--arch"),
        (["pretrain", "inpainter", "--arch", "dstt", "--height", "50"], "50x96"),
        (["pretrain", "inpainter", "--arch", "dstt", "--bfloat16"], "--bfloat16"),
        (["pretrain", "inpainter", "--arch", "sttn", "--nested-heads", "12"], "scales"),
        (["pretrain", "inpainter", "--arch", "sttn", "--device", "meta"], "meta"),
        (["pretrain", "inpainter", "--nested-heads", "12"], "--nested-heads"),
        (["pretrain", "flow-completion", "--num-frames", "1"], "two frames"),
        (["pretrain", "flow-completion", "--height", "50"], "multiples of 8"),
        (["pretrain", "residue", "--num-frames", "1000000"], "num_frames"),
        (["pretrain", "aligner", "--width", "999999"], "width"),
        (["pretrain", "one-shot", "--batch", "0"], "at once"),
        (["train", "--ent-coef", "nan"], "ent_coef"),
        (["train", "--learning-rate", "1e308"], "learning_rate"),
        (["train", "--compute-price", "1e308"], "compute_price"),
        (["train", "--seed", "-5"], "seed"),
        (["train", "--num-envs", "1000000"], "num_envs"),
        (["train", "--num-frames", "10000", "--width", "16000", "--height", "16000"], "pixels"),
        (["train", "--device", "meta"], "meta"),
        (["evaluate", "--num-envs", "100000"], "num_envs"),
        (["evaluate", "--first-seed", "-3"], "seed"),
        (["evaluate", "--first-seed", "99999999999999999999"], "seed"),
        (["evaluate", "--episodes", "999999999999"], "episodes"),
        (["pretrain", "inpainter", "--larger", "4x128"], "4x128x224"),
        (["pretrain", "inpainter", "--larger", "4x128x22\u00b2"], "4x128x224"),
        (["pretrain", "detector", "--inpainter-weights", "none.safetensors"], "none.safetensors"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    words: list[str], named: str, fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert named in fails(*words)
    assert not list(tmp_path.iterdir())


def test_pretrain_inpainter_writes_weights_that_load(tmp_path: Path, fails: Fails) -> None:
    from videoinpaint.inpainters import make_inpainter

    output = tmp_path / "inpainter.safetensors"
    words = [
        "pretrain",
        "inpainter",
        "--bfloat16",
        "--iterations",
        "1",
        "--num-frames",
        "2",
        "--height",
        "32",
        "--width",
        "48",
    ]
    assert main([*words, "--output", str(output)]) == 0
    assert make_inpainter("compact", weights=str(output)).name == "compact"
    assert (tmp_path / "inpainter" / "checkpoint.pt").is_file()
    before = output.read_bytes()
    assert "masks='square' (was 'mixed')" in fails(*words, "--masks", "square", "--output", str(output))
    assert output.read_bytes() == before


def test_evaluate_plays_what_ships_once():
    def names(*policies: str) -> list[str]:
        return [one.name for one in Evaluate(env_id="VideoInpaintRegions-v1", policies=policies).contestants()]

    assert names("shipped", "random") == ["trained-regions", "random"]
    assert names("shipped", "trained-regions", "random") == ["trained-regions", "random"]
