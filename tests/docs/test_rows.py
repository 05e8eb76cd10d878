"""The table of the papers' rows in docs/reproduction.md: modules, commands and flags that it names exist."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from videoinpaint.cli import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reproduction.md").read_text().partition("## Row by row")[2]
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line.startswith("| ")]
ROWS = [[cell.strip("| ") for cell in row] for row in ROWS if row[0] not in ("what", "---")]
STATES = ("works", "differs", "cannot be had here")


def code(cell: str) -> str:
    """What stands in a cell's backquotes."""
    found = re.fullmatch(r"`([^`]+)`", cell)
    return found[1] if found else ""


def commands() -> dict[tuple[str, ...], set[str]]:
    """The flags that the table gives to each command, by the command's words."""
    found: dict[tuple[str, ...], set[str]] = {}
    for row in ROWS:
        words = shlex.split(code(row[2]).replace("#", "\\#"))
        if words[:1] in (["videoinpaint"], ["python"]):
            take = 3 if words[0] == "python" or words[1] in ("bench", "pretrain", "weights") else 2
            flags = {word for word in words if word.startswith("--")}
            found.setdefault(tuple(words[:take]), set()).update(flags)
    return found


def test_rows_have_four_cells_and_a_state() -> None:
    assert len(ROWS) >= 106
    for row in ROWS:
        assert len(row) == 4, row
        assert row[3].startswith(STATES), row
        state, _, why = row[3].partition(": ")
        assert why or state == "works", f"{row[0]}: why?"
        assert row[2] or state != "works", f"{row[0]}: no command"


def test_the_counts_are_those_of_the_rows() -> None:
    told = [int(number) for number in re.findall(r"\b\d+\b", PAGE.split("*Works*")[0])]
    assert told == [len(ROWS), *(sum(row[3].startswith(state) for row in ROWS) for state in STATES)]


@pytest.mark.parametrize("path", sorted({code(row[1]) for row in ROWS if row[1]}))
def test_modules_exist(path: str) -> None:
    assert path
    assert (ROOT / path).is_file()


@cache
def help_of(words: tuple[str, ...]) -> str:
    """What a command says of itself; the source of a module."""
    if words[0] == "python":
        room, _, rest = words[2].removeprefix("videoinpaint.").partition(".")
        return (ROOT / room / f"{rest.replace('.', '/')}.py").read_text()
    return ""


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_and_their_flags_exist(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    flags = commands()[words]
    if words[0] == "python":
        assert all(flag[2:].replace("-", "_") + ":" in help_of(words) for flag in flags)
        return
    with pytest.raises(SystemExit) as ended:
        main([*words[1:], "--help"])
    assert not ended.value.code
    told = capsys.readouterr().out
    assert {flag for flag in flags if not re.search(rf"{flag}(?![\w-])", told)} == set()
