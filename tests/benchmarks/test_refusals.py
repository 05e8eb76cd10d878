"""What commands of the benchmarks refuse: in one line, before anything is measured."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from videoinpaint.benchmarks.protocol import tables

Ends = Callable[..., str]


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ends:
    """Runs a command of the benchmarks that must end with exit code 2 and one line on stderr, and gives that line."""

    def run(module: str, *words: str | Path) -> str:
        monkeypatch.setattr(sys, "argv", [module, *map(str, words)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(Path(tables.__file__).parents[1] / f"{module}.py"), run_name="__main__")
        assert end.value.code == 2
        shown = capsys.readouterr().err
        assert shown.startswith("error: ")
        assert shown.count("\n") == 1
        return shown

    return run


@pytest.mark.parametrize(
    ("module", "flag", "value", "told"),
    [
        ("repair/dilation", "--num-frames", "0", "num_frames"),
        ("repair/dilation", "--height", "0", "height"),
        ("repair/dilation", "--limit", "0", "limit"),
        ("repair/dilation", "--device", "abacus", "cannot use device"),
        ("repair/cuts", "--height", "0", "height"),
        ("repair/cuts", "--pairs", "0", "pairs"),
        ("repair/cuts", "--limit", "-1", "limit"),
        ("repair/ciri_residue", "--limit", "0", "limit"),
        ("repair/ciri_residue", "--clips", "studio", "has no target: name one-shot clips"),
        ("networks/throughput", "--rounds", "0", "rounds"),
        ("networks/throughput", "--envs", "0", "envs"),
        ("networks/throughput", "--policy", "nobody", "nobody"),
        ("policies/price", "--episodes", "0", "episodes"),
        ("policies/price", "--heads", "0", "heads"),
        ("policies/price", "--prices", "-1", "prices"),
        ("policies/references", "--episodes", "0", "episodes"),
        ("policies/references", "--choice-episodes", "0", "choice_episodes"),
        ("repair/quality", "--device", "abacus", "cannot use device"),
        ("repair/quality", "--num-frames", "1", "num_frames"),
        ("policies/controls", "--height", "0", "height"),
        ("policies/controls", "--limit", "-1", "limit"),
    ],
)
def test_numbers_and_devices(module: str, flag: str, value: str, told: str, ends: Ends) -> None:
    assert told in ends(module, flag, value)


@pytest.mark.parametrize("flag", ["--limit", "--iterations"])
def test_numbers_of_a_command_that_needs_clips(flag: str, ends: Ends) -> None:
    assert flag[2:] in ends("repair/ciri", "--clips", "studio", flag, "0")


def test_help_tells_the_command_as_it_is_started() -> None:
    module = "videoinpaint.benchmarks.repair.cuts"
    shown = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True).stdout
    assert shown.startswith(f"usage: python -m {module} ")


def test_what_is_no_picture_is_not_drawn(tmp_path: Path, ends: Ends) -> None:
    assert "end the name in .gif or .png" in ends("report/pictures", tmp_path / "loop.bmp")


def test_a_process_that_is_no_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["timed_player", "--help"])
    runpy.run_path(str(Path(tables.__file__).parents[1] / "networks/timed_player.py"), run_name="__main__")
    assert "networks.against" in capsys.readouterr().out


@dataclass(frozen=True)
class Flags:
    output: Path | None = None
    threads: int = 1


def test_the_place_of_results_is_looked_at_first_and_may_begin_with_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = []

    def run(flags: Flags) -> dict[str, int]:
        measured.append(flags)
        return {"found": 1}

    def asked(output: str | Path) -> None:
        monkeypatch.setattr(sys, "argv", ["measure", "--output", str(output)])
        tables.main(Flags, run, lambda _: None, "")

    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file" / "out.json", tmp_path / "file" / "deeper" / "out.json"):
        with pytest.raises(SystemExit):
            asked(place)
        assert capsys.readouterr().err.startswith("error: ")
    assert not measured
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    asked("~/results/out.json")
    assert json.loads((tmp_path / "results" / "out.json").read_text()) == {"found": 1}
