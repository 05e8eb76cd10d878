"""Files that appear whole or not at all: written beside their place under another name, and moved there at the end."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Draft:
    """A file, or a folder, that is being written; for writers that live longer than one block.

    Args:
        path: where it will be. What is there now stays until :meth:`keep`.

    Attributes:
        path: what to write to. Its name begins with a dot and ends like the final one, which often says the format.
    """

    def __init__(self, path: str | Path) -> None:
        self.target = Path(path)
        self.path = self.target.with_name(f".{self.target.stem}.{uuid.uuid4().hex[:12]}.part{self.target.suffix}")

    def keep(self) -> None:
        """Put it in its place, instead of what was there."""
        if self.target.is_dir() and not self.target.is_symlink():
            shutil.rmtree(self.target)
        os.replace(self.path, self.target)

    def discard(self) -> None:
        """Remove what was written so far, if anything is left of it."""
        if self.path.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """The path to write to within the block; at its end the file, or the folder, is in its place.

    Folders above it are made. An error inside the block leaves what was there before, and nothing else.

    >>> with write_atomically("picture.png") as draft:  # doctest: +SKIP
    ...     image.save(draft)
    """
    draft = Draft(path)
    draft.target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield draft.path
        draft.keep()
    finally:
        draft.discard()


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write bytes, whole or not at all; returns the path."""
    with write_atomically(path) as draft:
        draft.write_bytes(content)
    return Path(path)


def write_text(path: str | Path, content: str) -> Path:
    """Write text in UTF-8, whole or not at all; returns the path."""
    return write_bytes(path, content.encode())


def write_json(
    path: str | Path,
    content: Any,
    *,
    indent: int | None = 2,
    default: Callable[[Any], Any] | None = None,
    allow_nan: bool = False,
) -> Path:
    """Write JSON, whole or not at all; returns the path.

    Args:
        path: where.
        content: plain values.
        indent: spaces a level; None for one line.
        default: turns what JSON does not know into something that it does.
        allow_nan: write NaN and infinities, which JSON does not have but Python reads.

    Raises:
        TypeError, ValueError: JSON does not know something in the content; nothing is written.
    """
    return write_text(path, json.dumps(content, indent=indent, default=default, allow_nan=allow_nan) + "\n")
