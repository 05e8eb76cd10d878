"""Each experiment takes the flags that change its numbers, says which, and refuses the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from videoinpaint.benchmarks.papers.about import ABOUT, COMMON, EVERYWHERE, SPECIAL
from videoinpaint.benchmarks.papers.commands import execute
from videoinpaint.benchmarks.papers.experiment import BenchFlags
from videoinpaint.cli import main
from videoinpaint.errors import InputError

SMALL = ("--num-frames", "3", "--height", "48", "--width", "96", "--episodes", "1")
Told = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Told:
    """What the command says to bad words, on one line; it leaves nothing behind."""

    def told(*words: str) -> str:
        assert main(["bench", *words, "--output", str(tmp_path / "out")]) == 2
        assert not (tmp_path / "out").exists()
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return told


@pytest.mark.parametrize(
    "words",
    [
        ("iivi-table1", "--inpainter", "tela"),
        ("table2", "--ablation", "nofile"),
        ("table2", "--fusion=boundary"),
        ("table1", "--steps", "100"),
        ("table2", "--policy", "default"),
        ("ciri-table1", "--weights", "nofile"),
        ("figure8", "--width_factor", "1"),
    ],
)
def test_flags_of_other_experiments_are_refused_with_those_that_count(words: tuple[str, ...], refused: Told) -> None:
    told = refused(*words)
    assert f"bench {words[0]} does not take --" in told
    for flag in (*COMMON, *ABOUT[words[0]].takes):
        assert f"--{flag.replace('_', '-')}" in told.partition(": it takes ")[2]


@pytest.mark.parametrize("name", ["tabel2", "Table2", "ciri-table"])
def test_a_mistyped_experiment_is_told_in_one_line_with_all_names(name: str, refused: Told) -> None:
    told = refused(name)
    assert told.startswith(f"error: no experiment '{name}': use one of ")
    assert told.partition(": use one of ")[2].split(", ") == list(ABOUT)


def test_they_are_refused_in_python_too(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="table2 does not take --steps"):
        execute("table2", BenchFlags(steps=5, output=tmp_path))


@pytest.mark.parametrize("name", ABOUT)
def test_help_of_an_experiment_has_its_flags_and_its_differences(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", name, "--help"])
    told = capsys.readouterr().out
    options = told[told.index("options") :]
    shown = {flag for flag in (*COMMON, *SPECIAL) if f"--{flag.replace('_', '-')} " in options}
    assert shown == {*COMMON, *ABOUT[name].takes}
    plain = " ".join(told.split())
    assert ABOUT[name].differences in plain
    assert EVERYWHERE in plain


def test_the_overview_has_a_line_for_each_and_the_caveat_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", "--help"])
    assert not stop.value.code
    told = capsys.readouterr().out
    lines = told.splitlines()
    assert len(lines) < 40
    for name, about in ABOUT.items():
        assert sum(line.split()[:1] == [name] and about.title in line for line in lines) == 1
    assert " ".join(told.split()).count(EVERYWHERE) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("table5", "--suite", "studio-mixed-v1"), "fast background change, large missing area, in this order"),
        (("figure5", "--suite", "studio-mixed-v1"), "bench figure5 takes 5 --suite"),
        (("ciri-table1", "--suite", "studio-mixed-v1"), "needs a one-shot suite"),
        (("table1", "--device", "cuda:99"), "cannot use device 'cuda:99'"),
        (("table1", "--episodes", "1000000"), "ask for 1 to 24"),
        (("iivi-table1", "--width-factor", "0"), "width_factor must be above 0"),
        (("iivi-table1", "--width-factor", "0.5", "--preset", "paper"), "width_factor has no effect"),
        (("table2", "--weights", "nofile"), "no weight file at nofile"),
    ],
)
def test_values_out_of_range_are_refused_by_name(words: tuple[str, ...], told: str, refused: Told) -> None:
    assert told in refused(*words)


def test_a_network_that_one_trained_is_measured(tmp_path: Path) -> None:
    file, out = tmp_path / "dstt.safetensors", tmp_path / "out"
    train = ("--arch", "dstt", "--clips", "studio:easy", "--masks", "object", "--iterations", "1", "--batch", "1")
    assert main(["pretrain", "inpainter", *train, "--height", "48", "--width", "96", "--output", str(file)]) == 0
    words = ("--inpainter", "dstt", "--weights", str(file), *SMALL, "--output", str(out))
    assert main(["bench", "table1", *words]) == 0
    (path,) = out.glob("*/table1.json")
    results = json.loads(path.read_text())
    assert "dstt, three passes" in results["scenarios"][""]
    assert results["random_weights"] == []
    settings = results["settings"]
    assert settings["inpainter"] == "dstt"
    assert settings["weights"].startswith("sha256:")
