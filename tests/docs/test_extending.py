"""docs/extending.md, step by step as a reader does it: its files are written, its code and its commands are run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from videoinpaint.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
BLOCK = re.compile(r"^```(python|sh|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\w+\.(?:py|toml))\n")


def install(folder: Path) -> None:
    """``pip install .``, without the network and into a folder of its own, which Python then searches."""
    offline = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", "installed", "."], check=True)
    sys.path.append(str(folder / "installed"))


@pytest.mark.timeout(600)
def test_a_newcomer_can_follow_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    names: dict[str, object] = {}
    done = {"python": 0, "sh": 0, "toml": 0}
    written = []
    before = set(gymnasium.registry)
    try:
        for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
            done[kind] += 1
            if title := FILE.match(text):
                written.append(title[1])
                (tmp_path / title[1]).write_text(text, encoding="utf-8")
                if title[1] == "pyproject.toml":
                    install(tmp_path)
            elif kind == "python":
                exec(compile(text, f"{PAGE.name}, block {done[kind]}", "exec"), names)
            else:
                for line in text.splitlines():
                    program, *words = shlex.split(line)
                    assert program == "videoinpaint"
                    assert main(words) == 0, line
    finally:
        for id_ in set(gymnasium.registry) - before:
            del gymnasium.registry[id_]
        for module in [name for name in sys.modules if name.startswith("my_")]:
            del sys.modules[module]
    assert len(written) == 9, "six parts, an environment, a reward, and the package"
    assert done["python"] > len(written)
    assert done["sh"] >= 3
    assert (tmp_path / "sheet.png").is_file()
    assert (tmp_path / "runs" / "bars" / "policy.safetensors").is_file()
