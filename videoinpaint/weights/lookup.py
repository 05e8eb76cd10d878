"""What weights exist, and which file on this machine answers to each."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import pooch

from videoinpaint.errors import MissingWeightsError, UnknownNameError
from videoinpaint.files import user_path
from videoinpaint.weights.entries import WeightEntry, known_entries


@dataclass(frozen=True)
class WeightStatus:
    """An entry and the file that answers to it now, None if there is none."""

    entry: WeightEntry
    path: Path | None


WEIGHTS: dict[str, WeightEntry] = {entry.name: entry for entry in known_entries()}


def register(entry: WeightEntry) -> WeightEntry:
    """Add (or replace) an entry."""
    WEIGHTS[entry.name] = entry
    return entry


def cache_dir() -> Path:
    """The folder of fetched weights: ``$VIDEOINPAINT_CACHE/weights``, or the platform's cache folder."""
    root = os.environ.get("VIDEOINPAINT_CACHE")
    return (user_path(root) if root else Path(pooch.os_cache("videoinpaint"))) / "weights"


def entry_of(name: str) -> WeightEntry:
    """The entry called ``name``.

    Raises:
        UnknownNameError: there is none; the message lists those that exist.
    """
    if name not in WEIGHTS:
        raise UnknownNameError(f"unknown weights {name!r}: use one of {', '.join(sorted(WEIGHTS))}")
    return WEIGHTS[name]


def path_of(name: str, explicit: str | Path | None = None) -> Path:
    """The file that holds the weights ``name``, by the lookup order of this package.

    Raises:
        UnknownNameError: no such entry (not asked when ``explicit`` is given).
        MissingWeightsError: no file; the message names the command that gets it.
    """
    if explicit is not None:
        path = user_path(explicit)
        if not path.is_file():
            raise MissingWeightsError(f"no weight file at {path} (asked for {name!r}): check the path")
        return path
    found = find(entry_of(name))
    if found is None:
        raise MissingWeightsError(f"the weights {name!r} are not on this machine: {remedy_of(WEIGHTS[name])}")
    return found


def remedy_of(entry: WeightEntry) -> str:
    """How to get the file of an entry, for an error's message."""
    return entry.how_to_get.format(cache=cache_dir())


def find(entry: WeightEntry) -> Path | None:
    """The file of an entry: in the cache, or in a data package that is installed; None if there is none."""
    cached = cache_dir() / entry.filename
    if cached.is_file():
        return cached
    return next((path for path in (_in_package(module, inner) for module, inner, _ in entry.packages) if path), None)


def _in_package(module: str, inner: str) -> Path | None:
    """A file inside an installed package, found without importing the package."""
    spec = importlib.util.find_spec(module)
    folders = list(spec.submodule_search_locations or []) if spec else []
    return next((path for path in (Path(folder) / inner for folder in folders) if path.is_file()), None)


def list_weights() -> list[WeightStatus]:
    """Every entry, and where its file is now, by name."""
    return [WeightStatus(WEIGHTS[name], find(WEIGHTS[name])) for name in sorted(WEIGHTS)]


def known_hashes(entry: WeightEntry) -> dict[Path, str | None]:
    """The files that may answer to an entry, each with its hash or the leading digits of it that are known."""
    known = {cache_dir() / entry.filename: entry.sha256}
    return known | {found: digest for module, inner, digest in entry.packages if (found := _in_package(module, inner))}
