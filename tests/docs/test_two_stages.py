"""docs/two_stages.md: the recipe at toy size is run as the page has it, and its table says what the presets are."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from videoinpaint.cli import main
from videoinpaint.inpainters.published.recipes import COMPLETION, PAPER

PAGE = (Path(__file__).parents[2] / "docs" / "two_stages.md").read_text(encoding="utf-8")


def test_the_recipe_at_toy_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [block] = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines():
        program, *words = shlex.split(line)
        assert program == "videoinpaint"
        assert main(words) == 0, line
    scores = json.loads((tmp_path / "stage2" / "scores.json").read_text())
    passes = [record["length"] for policy in scores["policies"] for record in policy["records"]]
    assert min(passes) > 1, "the loop is seen at work"
    assert "stage1/dstt.safetensors" in json.dumps(scores), "the record names the weights of the first stage"


def test_the_table_says_what_the_presets_are() -> None:
    rows = re.findall(r"^\| (.*?) \| ([\d,]+) \| ([\de.-]+) \| (.*?) \| (\d+) \| (\d+)", PAGE, re.MULTILINE)
    told = {name: rest for name, *rest in rows}
    recipes = PAPER | {"ProPainter's flow completion": COMPLETION["paper"]["propainter"]}
    for name, recipe in recipes.items():
        row = next(rest for names, rest in told.items() if f"`{name}`" in names or names == name)
        iterations, rate, falls, batch, frames = row
        assert int(iterations.replace(",", "")) == recipe.iterations
        assert float(rate) == recipe.learning_rate
        assert f"{recipe.steps[0]:,}" in falls
        assert (int(batch), int(frames)) == (recipe.batch, recipe.local)
