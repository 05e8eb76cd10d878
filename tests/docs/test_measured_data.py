"""Tables of the documentation name the clips and holes that they were measured on, which are those of today."""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import tyro

from videoinpaint.benchmarks.protocol.suite import make_suite, pairing

ROOT = Path(__file__).resolve().parents[2]
CLIPS = ROOT.parent / "shared" / "clips" / "eval"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"^ {4}(?:\w+=\S+ )*python -m videoinpaint\.benchmarks\.(\S+) ((?:.*\\\n)*.*)$", re.MULTILINE)
DIGEST = re.compile(r"\b[0-9a-f]{16}\b")
SUITE = ("num_frames", "height", "width", "limit", "seed")
FOOTAGE = "86905f8988e9b72c"
"""Digest of the clips' frames without holes, where the tables were measured: another processor, or another version of a
decoder, may round pixels otherwise, and then no pairing can be compared."""


def digests(page: Path) -> set[str]:
    """What the page names as pairings."""
    return set(DIGEST.findall(page.read_text(encoding="utf-8")))


def commands(page: Path) -> list[tuple[str, str]]:
    """Modules and flags of the page's commands that name the evaluation clips as `--clips` or `--suites`."""
    found = COMMAND.findall(page.read_text(encoding="utf-8"))
    named = re.compile(r"--(clips|suites) \.\./shared/clips/eval( |$)")
    told = [(module, words.split(" #")[0].replace("\\\n", " ")) for module, words in found]
    return [(module, words) for module, words in told if named.search(words)]


def asked(module: str, words: str) -> Any:
    """The flags that a benchmark is started with."""
    benchmark = importlib.import_module(f"videoinpaint.benchmarks.{module}")
    flags = re.findall(r"tables\.main\((\w+)", inspect.getsource(benchmark))
    return tyro.cli(getattr(benchmark, flags[0]), args=shlex.split(words))


@functools.cache
def footage() -> str:
    """The digest of all clips' frames at a size of the tables."""
    content = hashlib.sha256()
    for pair in make_suite(CLIPS, "square", num_frames=24, height=120, width=216):
        content.update(pair.frames.tobytes())
    return content.hexdigest()[:16]


@pytest.mark.parametrize("page", [page for page in PAGES if digests(page)], ids=lambda page: page.stem)
def test_a_table_that_names_its_pairing_was_measured_on_the_data_of_today(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not CLIPS.is_dir():
        pytest.skip("no ../shared/clips here")
    if footage() != FOOTAGE:
        pytest.skip("this machine decodes or scales the footage otherwise")
    monkeypatch.chdir(ROOT)
    found = set()
    for module, words in commands(page):
        flags = asked(module, words)
        known = {field.name: getattr(flags, field.name) for field in fields(flags)}
        if {"masks", "num_frames"} <= set(known):
            for masks in (flags.masks,) if isinstance(flags.masks, str) else flags.masks:
                suite = make_suite(CLIPS, masks, **{name: known[name] for name in SUITE if name in known})
                found.add(pairing([(pair.name, pair.digest) for pair in suite])["digest"])
    assert digests(page) <= found
