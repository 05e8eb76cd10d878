"""Where an experiment keeps what it measured: no two commands of the documentation meet, and none loses anything."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import tyro

from videoinpaint.benchmarks.papers.commands import execute
from videoinpaint.benchmarks.papers.experiment import BenchFlags
from videoinpaint.benchmarks.papers.kept import LONGEST, folder_name
from videoinpaint.cli import bench, main

PAGES = [Path(__file__).parents[2] / "docs" / f"{name}.md" for name in ("reproduction", "benchmarks", "two_stages")]
SMALL = ("--inpainter", "telea", "--num-frames", "3", "--height", "48", "--width", "88")


def documented() -> list[list[str]]:
    """The words of every command after `videoinpaint bench` that the pages have."""
    found = [line for page in PAGES for line in re.findall(r"videoinpaint bench ([a-z]+[^`\n]*)", page.read_text())]
    return [shlex.split(line) for line in dict.fromkeys(found)]


def test_commands_that_are_told_one_after_the_other_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videoinpaint.benchmarks.papers.kept.policy_identity", lambda name: name)  # files of readers
    commands = documented()
    assert len(commands) > 25
    shared = {"figure6": "table2", "figure7": "table3"}
    settings: dict[str, dict[str, Any]] = {}
    for words in commands:
        flags = tyro.cli(bench.COMMAND, args=bench.prepared(words), config=(tyro.conf.DisallowNone,)).flags()
        told = asdict(replace(flags, output=Path(), episodes=1))
        assert settings.setdefault(folder_name(shared.get(words[0], words[0]), flags), told) == told
    assert {"table5", "table5-fusion-boundary", "table5-inpainter-telea-fusion-boundary"} <= set(settings)


def test_names_of_folders_fit_a_disk(tmp_path: Path) -> None:
    many = [BenchFlags(policies=tuple(f"heads{n}" for n in range(2, end))) for end in (60, 61)]
    names = [folder_name("table1", flags) for flags in many]
    assert len(set(names)) == 2
    assert max(map(len, names)) <= LONGEST + 9
    file = tmp_path / "dstt.safetensors"
    told = []
    for content in (b"one", b"two"):
        file.write_bytes(content)
        told.append(folder_name("table1", BenchFlags(weights=str(file))))
    assert told[0] != told[1]
    assert all(name.startswith("table1-weights-dstt-") for name in told)


def run_table2(output: Path, episodes: int) -> int:
    return main(["bench", "table2", *SMALL, "--episodes", str(episodes), "--output", str(output)])


def test_what_is_meant_without_a_flag_may_be_named(tmp_path: Path) -> None:
    given = {"inpainter": "telea", "num_frames": 3, "height": 48, "width": 88, "episodes": 1, "output": tmp_path}
    execute("table2", BenchFlags(**given))
    execute("table2", BenchFlags(suites=("studio-mixed-v1",), **given))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_look_at_fewer_episodes_leaves_the_larger_table(tmp_path: Path) -> None:
    for episodes in (2, 1, 3):
        assert run_table2(tmp_path, episodes) == 0
    found = {
        path.name: json.loads(path.read_text())["settings"]["episodes"] for path in tmp_path.glob("*/table2*.json")
    }
    assert found == {"table2.json": 3, "table2-first-1.json": 1}


def records(output: Path) -> dict[str, Any]:
    """What is kept of each clip, without the times."""
    found = {path.name: json.loads(path.read_text()) for path in output.glob("*/clips/[!.]*.json")}
    for clip in found.values():
        for record in clip["records"].values():
            del record["seconds_per_frame"]
    return found


def interrupted(words: Sequence[str]) -> int:
    """The command in a process of its own, interrupted as soon as the second clip is written: its exit code."""
    # Whoever runs the tests in the background may have them ignore Ctrl-C, and what they start, too.
    code = """if True:
        import os, signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from videoinpaint.benchmarks.papers.kept import Kept
        from videoinpaint.cli import main
        save, written = Kept.save, []
        def pressed(self, scenario, seed, content):
            save(self, scenario, seed, content)
            written.append(seed)
            if len(written) == 2:
                os.kill(os.getpid(), signal.SIGINT)
        Kept.save = pressed
        sys.exit(main())
    """
    return subprocess.run([sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL, check=False).returncode


def test_an_interrupted_run_goes_on_with_the_same_records(tmp_path: Path) -> None:
    words = ["bench", "table2", *SMALL, "--episodes", "4", "--output", str(tmp_path / "a")]
    assert interrupted(words) == 130
    begun = records(tmp_path / "a")
    assert len(begun) == 2
    assert run_table2(tmp_path / "a", 4) == 0
    assert run_table2(tmp_path / "b", 4) == 0
    whole = records(tmp_path / "a")
    assert len(whole) == 4
    assert {name: whole[name] for name in begun} == begun
    assert whole == records(tmp_path / "b")
