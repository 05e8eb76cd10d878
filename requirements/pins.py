"""Writes the two files of pinned versions beside it.

``python requirements/pins.py newest``: ``constraints.txt``, the newest versions of everything that go together, as pip
resolves them today (nothing is installed); what ``make`` installs. ``python requirements/pins.py lowest``:
``lowest.txt``, the lower bounds of ``pyproject.toml``; what ``make lowest`` installs. Needs nothing but pip.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("pip", "setuptools")
"""What installs the rest, pinned too."""

NEWEST = """\
# Every direct and indirect version that `make` installs: tested together by `make test`.
# Made by `make lock`, on {where}. Do not edit: run it again, then `make test`.
# A constraints file: what another system or Python needs beyond these is left to pip.
"""
LOWEST = """\
# The lower bounds of pyproject.toml, which `make lowest` runs the tests against; what they need in turn is left to pip.
# Made by `make lowest.txt`. Do not edit: change pyproject.toml, run it again, then `make lowest`.
"""


def project() -> dict[str, Any]:
    """The table ``[project]`` of ``pyproject.toml``."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def newest() -> str:
    """``name==version`` of all that the project and its extras need, by name, as pip resolves it now."""
    extras = ",".join(project()["optional-dependencies"])
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    # No constraint of ours: the point is to leave the present ones behind.
    report = subprocess.run([*command, f"{ROOT}[{extras}]", *TOOLS], check=True, stdout=subprocess.PIPE, text=True)
    found = [entry["metadata"] for entry in json.loads(report.stdout)["install"]]
    pins = {_canonical(entry["name"]): entry["version"] for entry in found}
    del pins[_canonical(project()["name"])]
    where = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return NEWEST.format(where=where) + "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))


def lowest() -> str:
    """``name==bound`` of every requirement, extras included.

    Raises:
        SystemExit: a requirement has no lower bound.
    """
    pins = {}
    groups = [project()["dependencies"], *project()["optional-dependencies"].values()]
    for requirement in chain.from_iterable(groups):
        match = re.match(r"([\w.-]+)\s*>=\s*([\w.]+)", requirement)
        if match is None:
            raise SystemExit(f"pyproject.toml: {requirement!r} has no lower bound: write NAME>=VERSION")
        pins[_canonical(match[1])] = match[2]
    return LOWEST + "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Write the file that the argument names, whole or not at all."""
    writers = {"newest": ("constraints.txt", newest), "lowest": ("lowest.txt", lowest)}
    if len(sys.argv) != 2 or sys.argv[1] not in writers:
        raise SystemExit(f"usage: python requirements/pins.py {'|'.join(writers)}")
    name, writer = writers[sys.argv[1]]
    path = ROOT / "requirements" / name
    draft = path.with_suffix(".part")
    draft.write_text(writer())
    os.replace(draft, path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
