"""The files of a submission's folder, as bytes: read once, and no link followed. See docs/leaderboard.md."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from videoinpaint.errors import InputError

DESCRIPTION, EPISODES, README = "submission.yml", "episodes.jsonl", "README.md"
LARGEST = {DESCRIPTION: 2**16, EPISODES: 2**26, README: 2**20}
"""Bytes that are read of each file."""
HIGHEST = 1e15
"""No number of a submission is larger: the largest are operations, in units of 1e9."""


def contents(folder: Path) -> dict[str, bytes]:
    """The description and the episodes of a folder, by name, as they are now.

    Raises:
        InputError: one is missing, a link, or too large.
    """
    return {name: _bytes(folder / name) for name in (DESCRIPTION, EPISODES)}


def hash_of(held: Mapping[str, bytes]) -> str:
    """A sha256 over the description and the episodes of :func:`contents`: what a verification is about."""
    content = hashlib.sha256()
    for name in (DESCRIPTION, EPISODES):
        content.update(held[name])
        content.update(b"\0")
    return content.hexdigest()


def text_of(file: Path, held: Mapping[str, bytes] | None = None) -> str:
    """A file of a submission as text: as it was held, else as it is now.

    Raises:
        InputError: it is missing, a link, too large, or not in UTF-8.
    """
    try:
        return (_bytes(file) if held is None else held[file.name]).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no text in UTF-8") from error


def _bytes(file: Path) -> bytes:
    """A file of a submission: no link, which could lead anywhere, and not too large."""
    if file.is_symlink() or not file.is_file():
        raise InputError(f"{file} is missing, or a link: a submission is a folder with {DESCRIPTION} and {EPISODES}")
    with file.open("rb") as stream:
        content = stream.read(LARGEST[file.name] + 1)
    if len(content) > LARGEST[file.name]:
        raise InputError(f"{file} is larger than {LARGEST[file.name]} bytes")
    return content
