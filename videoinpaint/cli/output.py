"""What the command line writes: places checked before the work, progress while it lasts, masks beside the video."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoinpaint.errors import InputError
from videoinpaint.files import behind_link, check_new, check_place, locked, user_path, write_atomically
from videoinpaint.threads import behind

if TYPE_CHECKING:
    from videoinpaint.clips.files.video import VideoWriter

PAUSE = 5.0
"""Seconds between lines of progress where there is no terminal."""

UNFINISHED = ".unfinished"
"""What a folder of masks holds until the repair is done, so that an interrupted run can be started again."""

_MASK = re.compile(r"\d{5,}\.png")
_MARKS = re.compile(r"[:,#+\[\]]")
"""What may stand between the parts of such a text; in a path as well."""

_LEAST_BYTES = {False: 0.02, True: 0.5}
"""Bytes a pixel and frame that even a still video takes, by whether it is lossless."""


def check_spared(path: Path, files: Iterable[str | Path], folders: Iterable[str | Path] = ()) -> None:
    """See that what is written replaces nothing that is read.

    Args:
        path: where.
        files: that are read; what is no file counts for nothing.
        folders: of which every picture and video may be read, likewise.

    Raises:
        InputError: it would.
    """
    from videoinpaint.clips.files.images import IMAGE_SUFFIXES
    from videoinpaint.clips.files.video import VIDEO_SUFFIXES

    if not path.exists():
        return
    for one in map(user_path, files):
        if one.is_file() and one.samefile(path):
            raise InputError(f"{path} is itself read, as {one}: name another output")
    if path.suffix.lower() not in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        return
    for one in map(user_path, folders):
        if one.is_dir() and path.resolve().is_relative_to(one.resolve()):
            raise InputError(f"{path} lies in {one}, which is read: name another output")


def paths_in(spec: str) -> list[str]:
    """What of a text that names clips or masks, as ``one_shot:FOLDER#MASKS``, could be a path: all of its parts."""
    ends = [0, *(match.end() for match in _MARKS.finditer(spec))]
    starts = [*(match.start() for match in _MARKS.finditer(spec)), len(spec)]
    return [spec[first:last] for first in ends for last in starts if first < last]


def check_output(path: Path, pixels: int, lossless: bool) -> None:
    """See that a video can be written, before any work.

    Args:
        path: where; through a link, where that leads.
        pixels: of all its frames together.
        lossless: every bit is to be kept.

    Raises:
        InputError: it is a folder, or its folder takes no file of this name, or has no room.
    """
    path = behind_link(user_path(path))
    if path.is_dir():
        raise InputError(f"{path} is a folder: name a file to write")
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: make the folder {path.parent} first")
    check_place(path)
    needed, free = int(pixels * _LEAST_BYTES[lossless]), shutil.disk_usage(path.parent).free
    if free < needed:
        raise InputError(
            f"cannot write {path}: it will take {needed / 1e6:.1f} MB or more, {free / 1e6:.1f} MB are free; "
            "make room, or name another place"
        )


@contextmanager
def kept_windows(folder: Path, output: Path) -> Iterator[None]:
    """Hold the folder of finished windows within the block, and remove it when all is done.

    Meanwhile no other run adds windows to it, or removes it.

    Args:
        folder: made if it is not there.
        output: the video, for messages.

    Raises:
        InputError: another run holds it.
    """
    if not folder.exists():
        folder.mkdir()
    with locked(folder, f"another repair of {output} is running: wait for its end, or name another output"):
        try:
            yield
            shutil.rmtree(folder)
        finally:
            with suppress(OSError):
                folder.rmdir()  # it is empty where a run failed before it kept anything


def check_masks_folder(folder: Path) -> None:
    """Raise InputError if masks could not be written to a folder, or if it holds what is not an interrupted run's."""
    folder = user_path(folder)
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    there = found if UNFINISHED not in found else [name for name in found - {UNFINISHED} if not _MASK.fullmatch(name)]
    if there or (folder.exists() and not folder.is_dir()):
        raise InputError(f"{folder} exists already: name a new folder for the masks")
    check_new(folder)


def save_masks(masks: Any, folder: Path) -> None:
    """Write masks ``(T, H, W)`` in [0, 1] as black and white pictures, white above one half, of an unfinished run."""
    from PIL import Image

    with write_atomically(user_path(folder), folder=True) as draft:
        (draft / UNFINISHED).touch()
        for index, mask in enumerate(masks):
            Image.fromarray((mask > 0.5).astype("uint8") * 255).save(draft / f"{index:05d}.png")


def keep_masks(folder: Path) -> None:
    """Tell that the run which saved these masks is done: no other may replace them."""
    (user_path(folder) / UNFINISHED).unlink(missing_ok=True)


def write_all(frames: Iterator[Any], writer: VideoWriter, total: int) -> None:
    """Write frames while the next are repaired, and show progress; on any error the unfinished file is deleted."""
    with writer, progress("repairing", total) as advance, behind(writer.write) as write:
        for frame in frames:
            write(frame)
            advance()


@contextmanager
def progress(what: str, total: int, unit: str = "frames") -> Iterator[Any]:
    """A function to call after each frame: a live bar on a terminal, elsewhere a line on stderr every few seconds."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(what, total, unit)
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def _lines(what: str, total: int, unit: str) -> Any:
    begun = told = time.monotonic()
    done = 0

    def advance() -> None:
        nonlocal done, told
        done, now = done + 1, time.monotonic()
        if now - told >= PAUSE and done < total:
            told = now
            left = (now - begun) / done * (total - done)
            line = f"{what}: {done} of {total} {unit}, {now - begun:.0f} s, {left:.0f} s left"
            print(line, file=sys.stderr, flush=True)

    return advance
