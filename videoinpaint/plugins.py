"""Parts can be anybody's: an error inside one is told as that part's, with the place in its author's file."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from videoinpaint.errors import PluginError, VideoInpaintError
from videoinpaint.naming import stable_name

_OURS = __name__.partition(".")[0]
_TOLD_ALREADY = (VideoInpaintError, MemoryError, BrokenPipeError)
"""What passes as it is: it says what to do, is nobody's mistake, or means that nobody reads what is printed."""

_LONGEST = 300


@contextmanager
def told_as(kind: str, part: Any, method: str) -> Iterator[None]:
    """Call a method of a part inside: what goes wrong there is told as that part's.

    Our own parts are no plug-ins: what they raise by mistake stays as it is, with its traceback.

    Args:
        kind: what the part is ("inpainter").
        part: whose method it is.
        method: its name.

    Raises:
        VideoInpaintError, MemoryError, BrokenPipeError: as the part raised it.
        PluginError: somebody else's part raised another `Exception`, which is chained.
    """
    try:
        yield
    except _TOLD_ALREADY:
        raise
    except Exception as error:
        module = type(part).__module__
        if _package(module) == _OURS:
            raise
        raise PluginError(f"{kind} {stable_name(part)!r}: {method} raised {told(error, module)}") from error


def told(error: BaseException, module: str) -> str:
    """An error in words, and behind them where in a module's package it arose, if it did there.

    Args:
        error: that was raised.
        module: of whoever is to look at it.
    """
    text = " ".join(str(error).split())
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    places = [
        f" ({_short(frame.f_code.co_filename)}:{line})"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _package(str(frame.f_globals.get("__name__"))) == _package(module)
    ]
    return named + (places[-1] if places else "")


def _package(module: str) -> str:
    return module.partition(".")[0]


def _short(file: str) -> str:
    """A file as it is named from the folder where the process runs, if it lies in there."""
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file
