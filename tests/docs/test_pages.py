"""What README and pages show: code that runs, code that parses, links that lead somewhere, what must be said."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from videoinpaint.cli import main
from videoinpaint.inpainters import AROUND_PUBLISHED, PUBLISHED

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")) if path.is_file()
)
# docs/extending.md has a test of its own.
RUN = ["README.md", "docs/clips.md", "docs/environment.md", "docs/one_shot.md"]
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", RUN)
def test_the_code_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = CODE.findall(text_of(page))
    assert blocks
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"{page}, block {number}", "exec"), names)


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_parse_and_links_lead_somewhere(page: str) -> None:
    text = text_of(page)
    for block in CODE.findall(text):
        ast.parse(block)
    targets = [target for target in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in target]
    assert [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()] == []


def test_the_readme_fits_two_screens() -> None:
    assert len(text_of("README.md").splitlines()) <= 120


def test_the_readme_shows_the_example_that_is_run_by_a_test() -> None:
    code = (ROOT / "examples" / "ten_lines.py").read_text(encoding="utf-8").split('"""', 2)[2].strip()
    assert code in text_of("README.md")


def test_weights_that_nobody_has_run_are_listed_as_experimental(capsys: pytest.CaptureFixture[str]) -> None:
    main(["weights", "list"])
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")}
    official = {*PUBLISHED, "focal-hrnet", "focal-vit", "cutie", "propainter-raft", "propainter-flow-completion", "i3d"}
    assert {name for name, line in lines.items() if "experimental" in line} == official
    ours = {"inpainter-compact", "detector-compact", "ciri-compact"}
    assert ours <= set(lines)


@pytest.mark.parametrize("page", ["README.md", "docs/cli.md", "docs/index.md", "docs/models/published.md"])
def test_published_networks_are_called_experimental_where_they_are_listed(page: str) -> None:
    assert "experimental" in text_of(page).lower()


def test_ciri_around_published_networks_is_called_experimental() -> None:
    row = next(line for line in text_of("docs/models/ciri.md").splitlines() if AROUND_PUBLISHED[0] in line)
    assert "experimental" in row
