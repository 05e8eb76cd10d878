"""Names of what is being written, by which what a killed process left can be told from what another still writes.

A draft of a file ``STEM.SUFFIX`` is ``.STEM.hPLACE.PID.RANDOM.part.SUFFIX`` beside it. The process's number means
something only where that process runs: a disk can be shared by machines, and by containers that each count their own
processes. So PLACE stands for the machine, since it was started, and its count. Of this place's drafts those are stale
whose process runs no more; any other, and one of version 0.1.0, which named no place, is stale once nobody has written
to it for `ABANDONED`.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LONGEST = 255
"""Bytes of a file's name on the file systems in use."""

ABANDONED = 24 * 3600
"""Seconds without a change after which a draft has no writer, wherever that ran: clocks of machines differ."""

_ENDING = r"\.(?:h([0-9a-f]{10})\.)?(\d+)\.[0-9a-f]{12}\.part"


def draft_name(target: Path) -> str:
    """A new name for a draft of the file, or folder, that this process writes. Nobody can guess it and leave a link."""
    ending = f".h{_here()}.{os.getpid()}.{uuid.uuid4().hex[:12]}.part{target.suffix}"
    return _beginning(target, ending) + ending


def remove_stale(path: str | Path) -> None:
    """Remove drafts of a file whose writers are no more: a killed run cannot remove its own."""
    target = Path(path)
    ending = re.compile(_ENDING + re.escape(target.suffix) + r"\Z")
    _remove_stale(target.parent, ending, lambda match: match.string == _beginning(target, match[0]) + match[0])


def remove_stale_within(folder: str | Path) -> None:
    """The same for whatever was being written in a folder, which no other process writes to; it may be missing."""
    if os.path.isdir(folder):
        ending = re.compile(_ENDING + r"(\.[^.]+)?\Z")
        _remove_stale(Path(folder), ending, lambda match: match.string.startswith("."))


def _remove_stale(folder: Path, ending: re.Pattern[str], is_draft: Callable[[re.Match[str]], bool]) -> None:
    for found in folder.iterdir():
        match = ending.search(found.name)
        if match and is_draft(match):
            with suppress(OSError):  # another process may remove it, too
                stale = not _runs(int(match[2])) if match[1] == _here() else _abandoned(found)
                if stale:
                    shutil.rmtree(found) if found.is_dir() and not found.is_symlink() else found.unlink()


def _beginning(target: Path, ending: str) -> str:
    """How the name of a draft begins: as much of the target's as the disk takes with that ending."""
    stem = os.fsencode(target.stem)[: max(0, LONGEST - 1 - len(os.fsencode(ending)))]
    return "." + stem.decode(errors="ignore")


@functools.cache
def _here() -> str:
    """Where a process's number is its own: this machine since it was started, and, on Linux, this PID namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        place = f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except (OSError, ValueError):
        place = platform.node()
    return hashlib.sha256(place.encode(errors="replace")).hexdigest()[:10]


def _abandoned(draft: Path) -> bool:
    """Whether nothing was written to a file, or into a folder or below it, for `ABANDONED`."""
    below = draft.rglob("*") if draft.is_dir() and not draft.is_symlink() else ()
    return max(os.lstat(path).st_mtime for path in (draft, *below)) < time.time() - ABANDONED


def _runs(process: int) -> bool:
    if os.name == "nt":  # there the call below would end the process
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
