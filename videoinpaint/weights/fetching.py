"""Weights made available, and files of weights verified."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from videoinpaint.errors import CorruptWeightsError, MissingWeightsError
from videoinpaint.weights.hashes import check_recorded, sha256
from videoinpaint.weights.loading import load_tensors
from videoinpaint.weights.lookup import cache_dir, entry_of, find, known_hashes, path_of, remedy_of


def fetch(name: str, **options: Any) -> Path:
    """Make the weights ``name`` available: the present file, or a download with progress that resumes where it stopped.

    The other files of the same network (``WeightEntry.parts``) are fetched along with it. Where the registry knows no
    hash, that of the first download is recorded beside the file, and checked whenever it is read.

    Raises:
        MissingWeightsError: it cannot be downloaded; the message says what to do instead.
        CorruptWeightsError: what arrived has another hash (it is deleted).
    """
    entry = entry_of(name)
    for part in entry.parts:
        fetch(part, **options)
    if (found := find(entry)) is not None:
        return found
    if entry.url is None:
        raise MissingWeightsError(f"the weights {name!r} cannot be downloaded: {remedy_of(entry)}")
    from videoinpaint.weights.download import download

    return download(_resolve(entry.url), cache_dir() / entry.filename, entry.sha256, remedy_of(entry), **options)


def _resolve(url: str) -> str:
    if url.startswith("torchvision:"):
        import torchvision.models

        return str(getattr(torchvision.models, url.partition(":")[2]).IMAGENET1K_V1.url)
    if shared := re.fullmatch(r"https://drive\.google\.com/file/d/([\w-]+)/view.*", url):
        # The page behind the link asks for a click where a file is large; this address answers the click beforehand.
        return f"https://drive.usercontent.google.com/download?id={shared[1]}&export=download&confirm=t"
    return url


def verify(name: str, explicit: str | Path | None = None) -> Path:
    """Check that the file of ``name`` is present, has the known hash (where one is known) and holds finite numbers.

    Raises:
        CorruptWeightsError: it is not what the registry promises.
    """
    entry, path = entry_of(name), path_of(name, explicit)
    expected = known_hashes(entry).get(path)
    if expected and not (actual := sha256(path)).startswith(expected):
        raise CorruptWeightsError(f"{path} has sha256 {actual}, expected {expected}: delete it and get it again")
    check_recorded(path)
    if not load_tensors(name, path):
        raise CorruptWeightsError(f"{path} holds no tensors")
    return path
