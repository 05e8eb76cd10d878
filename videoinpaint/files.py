"""Files that appear whole or not at all: written beside their place under another name, and moved there at the end.

And what every reader of a small file and every writer of a shared folder needs: JSON that may hold anything, and locks.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from videoinpaint.drafts import LONGEST, draft_name, remove_stale
from videoinpaint.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: there two runs in one folder are the user's own affair
    fcntl = None  # type: ignore[assignment]

Shape = TypeVar("Shape", dict, list)

_REFUSALS = {
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EFBIG", "ENAMETOOLONG", "ENOTDIR", "EISDIR", "EEXIST",
                 "ELOOP", "EINVAL", "EIO", "ENOTEMPTY")
    if hasattr(errno, name)
}  # fmt: skip


class Draft:
    """A file, or a folder, that is being written; for writers that live longer than one block.

    Args:
        path: where it will be. What is there now stays until :meth:`keep`.

    Attributes:
        path: what to write to, beside the target; :mod:`videoinpaint.drafts` has its name, by which what a killed
            process left can be told.
    """

    def __init__(self, path: str | Path) -> None:
        self.target = Path(path)
        self.path = self.target.with_name(draft_name(self.target))

    def create(self, folder: bool = False) -> None:
        """Make it, empty, where nothing was before: an existing file is an error, and no link is followed."""
        if folder:
            self.path.mkdir()
        else:
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666))

    def keep(self) -> None:
        """Put it in its place, instead of what was there.

        A folder that was there is moved aside before it is removed: a process that is killed meanwhile leaves the old
        one, the new one or none, and never a part of one. Only a folder replaces a folder, and whoever writes one
        knows that the old one is its own.

        Raises:
            InputError: this is a file and a folder is there, which stays.
        """
        if not self.path.is_dir():
            check_no_folder(self.target)
        if not self.target.is_dir() or self.target.is_symlink():
            os.replace(self.path, self.target)
            return
        old = Draft(self.target)
        os.replace(self.target, old.path)
        try:
            os.replace(self.path, self.target)
        except OSError:
            os.replace(old.path, self.target)
            raise
        old.discard()

    def discard(self) -> None:
        """Remove what was written so far, if anything is left of it."""
        if self.path.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)


@contextmanager
def write_atomically(path: str | Path, *, folder: bool = False) -> Iterator[Path]:
    """The path to write to within the block; at its end the file, or the folder, is in its place.

    Folders above it are made. An error inside the block leaves what was there before, and nothing else.

    Args:
        path: where it will be.
        folder: it is a folder, which is there, empty, when the block begins; else an empty file is. It replaces a
            folder with all that this holds: see first that it is one that you wrote.

    Raises:
        InputError: it cannot be written: no room, no permission, a name that the disk does not take, a folder where a
            file is to be.

    >>> with write_atomically("picture.png") as draft:  # doctest: +SKIP
    ...     image.save(draft)
    """
    draft = Draft(path)
    try:
        if not folder:
            check_no_folder(draft.target)
        with writing(path):
            draft.target.parent.mkdir(parents=True, exist_ok=True)
            draft.create(folder)
            yield draft.path
            draft.keep()
    finally:
        with suppress(OSError):
            draft.discard()


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Tell what the disk refuses within the block in one line.

    Raises:
        InputError: instead of an `OSError` about the disk; others pass.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, InputError) or error.errno not in _REFUSALS:
            raise
        shown = str(path) if len(str(path)) <= LONGEST else str(path)[:LONGEST] + "..."
        raise InputError(f"cannot write {shown}: {error.strerror}; name another place, or make room there") from error


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write bytes, whole or not at all; returns the path."""
    with write_atomically(path) as draft:
        draft.write_bytes(content)
    return Path(path)


def write_text(path: str | Path, content: str) -> Path:
    """Write text in UTF-8, whole or not at all; returns the path. What UTF-8 has not is written as an escape."""
    return write_bytes(path, content.encode(errors="backslashreplace"))


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


def read_json(
    path: str | Path,
    what: str,
    kind: type[Shape] = dict,  # type: ignore[assignment]
    remedy: str = "name another file",
) -> Shape:
    """A JSON file, which may hold anything.

    Args:
        path: of the file.
        what: it should be, for the message ("a training run").
        kind: of the outermost value.
        remedy: what to do about a file that is damaged.

    Raises:
        InputError: it cannot be read, is no JSON, is nested too deeply, or its outermost value is of another kind.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(f"{path} cannot be read as {what} ({reason}): {remedy}") from error
    if not isinstance(content, kind):
        found = type(content).__name__
        raise InputError(f"{path} is not {what}: it holds a {found}, not a {kind.__name__}; {remedy}")
    return content


@contextmanager
def locked(path: str | Path, message: str, *, wait: bool = False) -> Iterator[None]:
    """Hold a file, or a folder, which exists, so that no second process does within its own block.

    The lock goes with the process, however that ends. File systems that have no locks are not locked.

    Args:
        path: what to hold. Nothing is written to it.
        message: what to say where another process holds it.
        wait: say it on stderr, and wait for that one.

    Raises:
        InputError: it is held by another, and `wait` is not set.
    """
    if fcntl is None:
        yield
        return
    place = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if not wait:
                raise InputError(message) from error
            print(message, file=sys.stderr)
            fcntl.flock(place, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.ENOLCK, errno.EBADF, errno.ENOSYS, errno.EINVAL):
                raise
        yield
    finally:
        os.close(place)


def check_no_folder(path: str | Path) -> None:
    """Raise InputError where a folder is and a file is to be written."""
    if os.path.isdir(path):
        raise InputError(f"cannot write {path}: it is a folder; name a file")


def behind_link(path: Path) -> Path:
    """Where a file of this name is really written: to what a link stands for, and not in place of the link.

    For what a user names to be written. What a program names in somebody else's folder is put in place of a link.
    """
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def check_place(path: str | Path) -> None:
    """See that a file of this name can be made, by making one beside it; and remove what killed runs left of it.

    Raises:
        InputError: the folder is missing or cannot be written, or the disk does not take the name.
    """
    draft = Draft(path)
    try:
        with writing(path):
            with suppress(FileNotFoundError):
                os.lstat(path)  # a draft's name is shortened where the file's own would be too long
            draft.create()
    finally:
        with suppress(OSError):
            draft.discard()
    remove_stale(path)


def check_new(path: Path) -> None:
    """As :func:`check_place`, for a file or a folder with which missing folders above it are made.

    Raises:
        InputError: it cannot be made.
    """
    while not path.parent.exists():
        path = path.parent
    check_place(path)


def user_path(path: str | Path) -> Path:
    """A path as a user writes it, ``~`` resolved.

    Raises:
        InputError: it can name no file: a user who does not exist, a name too long for the disk, a zero byte.
    """
    try:
        found = Path(path).expanduser()
        found.is_dir()  # raises where the name itself is the trouble
        return found
    except (RuntimeError, ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        shown = str(path) if len(str(path)) <= LONGEST else str(path)[:LONGEST] + "..."
        raise InputError(f"{shown!r} names no file: {reason}; name another path") from error
