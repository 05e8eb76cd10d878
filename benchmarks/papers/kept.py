"""What an experiment has measured so far: a file a clip, so that an interrupted run goes on where it was."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from videoinpaint.benchmarks.papers.experiment import BenchFlags, policy_identity
from videoinpaint.benchmarks.protocol.envelope import plain
from videoinpaint.errors import InputError
from videoinpaint.files import read_json, write_json

SETTINGS, CLIPS = "settings.json", "clips"
LONGEST = 120
"""Characters of a folder's name; what is cut off is told by a hash."""
FILES = ("policies", "weights", "ablation")
"""Flags that may name files."""


def folder_name(name: str, flags: BenchFlags) -> str:
    """The folder of an experiment: its name, then the flags that were given and change its numbers.

    So other parts and sizes do not meet in one folder: ``table5-fusion-boundary-inpainter-telea``. Of a file there is
    the beginning of its hash, as a network trained anew under the same path is another one.
    """
    words = [name]
    for one in fields(BenchFlags):
        value = getattr(flags, one.name)
        if one.name not in ("episodes", "output") and value != one.default:
            told = _file_told if one.name in FILES else str
            words += [one.name, *map(told, value if isinstance(value, tuple) else (value,))]
    whole = _slug(" ".join(words))
    return whole if len(whole) <= LONGEST else f"{whole[:LONGEST]}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def _file_told(name: str | Path) -> str:
    """A name, or that of a file with its hash."""
    identity = policy_identity(str(name))
    return identity if identity == str(name) else f"{Path(name).stem} {identity.partition(':')[2][:8]}"


class Kept:
    """The records of one experiment in a folder, with the settings that they belong to.

    Args:
        folder: made if it is not there.
        settings: everything that changes the numbers of a clip: suite, size, parts, versions. How many clips there are
            is no part of it, so that a look can grow into the whole.

    Settings without a finished clip, of a run that was interrupted before its first, give way to these.

    Raises:
        InputError: the folder holds records of other settings, or files of something else.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder, self.settings = folder, plain(settings)
        path = folder / SETTINGS
        if any((folder / CLIPS).glob("[!.]*.json")) and path.is_file():
            self._check(read_json(path, "the settings of an experiment", remedy="name another folder with --output"))
        elif not path.is_file() and folder.is_dir() and any(folder.iterdir()):
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
        return self.folder / CLIPS / f"{_slug(scenario) or 'all'}-{seed:06d}.json"

    def load(self, scenario: str, seed: int, digest: str) -> dict[str, Any]:
        """What is known of a clip: ``{"digest", "clip", "attributes", "records": {row: record}}``; {} for nothing.

        Raises:
            InputError: the file is damaged, or belongs to other pixels.
        """
        path = self.path(scenario, seed)
        if not path.is_file():
            return {}
        remedy = "remove it, and the clip is measured again"
        found = read_json(path, "the records of a clip", remedy=remedy)
        if not all(isinstance(found.get(name), dict) for name in ("records", "attributes")):
            raise InputError(f"{path} is damaged: {remedy}")
        if found.get("digest") != digest:
            raise InputError(f"{path} holds records of other pixels than those of seed {seed}: {remedy}")
        return found

    def save(self, scenario: str, seed: int, content: Mapping[str, Any]) -> None:
        """Write a clip's records, whole or not at all."""
        write_json(self.path(scenario, seed), plain(content))


def _slug(name: str) -> str:
    """A name as part of a file's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
