"""What the README and the pages tell people to type exists."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
import tyro

from videoinpaint.cli import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md"))]


def commands() -> list[str]:
    """Every line of a code block that begins with `videoinpaint`, and every such inline code with flags."""
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in PAGES]
    lines = [line for text in texts for block in text.split("```")[1::2] for line in block.splitlines()]
    inline = [code for text in texts for code in re.findall(r"`(videoinpaint [a-z]+ [^`]*--[^`]* [^`]+)`", text)]
    return sorted({line.strip() for line in [*lines, *inline] if line.strip().startswith("videoinpaint ")})


@pytest.mark.parametrize("line", commands())
def test_documented_commands_parse(line: str) -> None:
    _, name, *words = shlex.split(line)
    assert name in COMMANDS
    module = import_module(f"videoinpaint.cli.{name}")
    assert callable(tyro.cli(module.COMMAND, args=words, config=(tyro.conf.DisallowNone,)).run)  # as `main` has it


def test_there_are_documented_commands_for_everything() -> None:
    assert {line.split()[1] for line in commands()} == set(COMMANDS)
