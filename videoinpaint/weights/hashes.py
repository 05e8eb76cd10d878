"""Hashes of files: of a fetched one it is recorded beside it, and tells when the file has changed since."""

from __future__ import annotations

import hashlib
from pathlib import Path

from videoinpaint.errors import CorruptWeightsError


def recorded_hash(path: Path) -> Path:
    """Where the hash of a fetched file is recorded: ``<file>.sha256``."""
    return path.with_name(path.name + ".sha256")


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_recorded(path: Path) -> None:
    """Compare a file with the hash recorded beside it when it was first fetched (``<file>.sha256``), if there is one.

    Raises:
        CorruptWeightsError: the file has changed since, or what was recorded is no longer there to read.
    """
    record = recorded_hash(path)
    if not record.is_file():
        return
    expected, *_ = record.read_text(errors="replace").split() or ["nothing"]
    if (actual := sha256(path)) != expected:
        raise CorruptWeightsError(
            f"{path} has sha256 {actual}, {expected} was recorded when it was fetched: delete both and get it again, "
            f"or delete {record.name} if you changed the file yourself"
        )
