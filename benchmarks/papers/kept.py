"""What an experiment has measured so far: a file a clip, so that an interrupted run goes on where it was."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from videoinpaint.benchmarks.protocol.envelope import plain
from videoinpaint.errors import InputError
from videoinpaint.files import read_json, write_json

SETTINGS = "settings.json"


class Kept:
    """The records of one experiment in a folder, with the settings that they belong to.

    Args:
        folder: made if it is not there.
        settings: everything that changes the numbers of a clip: suite, size, parts, versions. How many clips there are
            is no part of it, so that a look can grow into the whole.

    Raises:
        InputError: the folder holds records of other settings, or files of something else.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder, self.settings = folder, plain(settings)
        path = folder / SETTINGS
        if path.is_file():
            self._check(read_json(path, "the settings of an experiment"))
        elif folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"{folder} holds files, but no experiment: name another folder with --output")
        else:
            write_json(path, self.settings)

    def _check(self, found: Mapping[str, Any]) -> None:
        """Raise InputError where records in the folder were measured otherwise."""
        for name in [*self.settings, *(name for name in found if name not in self.settings)]:
            if found.get(name) != self.settings.get(name):
                raise InputError(
                    f"{self.folder} holds records with {name}={found.get(name)!r}, asked for is "
                    f"{self.settings.get(name)!r}: name another folder with --output, or remove this one"
                )

    def path(self, scenario: str, seed: int) -> Path:
        """Of a clip's file."""
        return self.folder / "clips" / f"{_slug(scenario) or 'all'}-{seed:06d}.json"

    def load(self, scenario: str, seed: int, digest: str) -> dict[str, Any]:
        """What is known of a clip: ``{"digest", "clip", "attributes", "records": {row: record}}``; {} for nothing.

        Raises:
            InputError: the file is damaged, or belongs to other pixels.
        """
        path = self.path(scenario, seed)
        if not path.is_file():
            return {}
        found = read_json(path, "the records of a clip")
        if found.get("digest") != digest or not isinstance(found.get("records"), dict):
            raise InputError(f"{path} holds records of other pixels than those of seed {seed}: remove it")
        return found

    def save(self, scenario: str, seed: int, content: Mapping[str, Any]) -> None:
        """Write a clip's records, whole or not at all."""
        write_json(self.path(scenario, seed), plain(content))


def _slug(name: str) -> str:
    """A name as part of a file's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
