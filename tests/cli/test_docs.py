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
PAGES = ["README.md", "docs/index.md", "docs/cli.md", "docs/clips.md", "docs/design.md"]


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
    assert callable(tyro.cli(module.COMMAND, args=words).run)


def test_there_are_documented_commands_for_everything() -> None:
    assert {line.split()[1] for line in commands()} == set(COMMANDS)


def test_the_readme_shows_the_example_that_is_run_by_a_test() -> None:
    code = (ROOT / "examples" / "ten_lines.py").read_text(encoding="utf-8").split('"""', 2)[2].strip()
    assert code in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if not target.startswith("http")]
    assert [target for target in targets if not ((ROOT / page).parent / target).exists()] == []
