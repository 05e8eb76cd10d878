"""Parts can be anybody's: an error inside one is told as that part's, with the place in its author's file."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoinpaint.errors import InputError, PluginError, VideoInpaintError
from videoinpaint.naming import stable_name

if TYPE_CHECKING:
    from torch import Tensor

_OURS = __name__.partition(".")[0]
_TOLD_ALREADY = (VideoInpaintError, MemoryError, BrokenPipeError)
"""What passes as it is: it says what to do, is nobody's mistake, or means that nobody reads what is printed."""

_LONGEST = 300


@contextmanager
def told_as(kind: str, part: Any, method: str, *given: Tensor) -> Iterator[None]:
    """Call a method of a part inside: what goes wrong there is told as that part's.

    Our own parts are no plug-ins: what they raise by mistake stays as it is, with its traceback.

    Args:
        kind: what the part is ("inpainter").
        part: whose method it is.
        method: its name.
        given: tensors that it gets, which others keep.

    Raises:
        VideoInpaintError, MemoryError, BrokenPipeError: as the part raised it.
        InputError: the part wrote into what it was given.
        PluginError: somebody else's part raised another `Exception`, which is chained.
    """
    # Torch counts what is written into a tensor, and so this costs nothing; what NumPy writes into its memory only
    # videoinpaint.testing sees.
    before = [one._version for one in given if not one.is_inference()]
    try:
        yield
    except _TOLD_ALREADY:
        raise
    except Exception as error:
        module = type(part).__module__
        if _package(module) == _OURS:
            raise
        raise PluginError(f"{kind} {stable_name(part)!r}: {method} raised {told(error, module)}") from error
    if before != [one._version for one in given if not one.is_inference()]:
        raise InputError(
            f"{kind} {stable_name(part)!r}: {method} writes into what it is given, which others keep: work on a "
            "clone() of it"
        )


def is_ours(part: Any) -> bool:
    """Whether a part is of this package, and what it stands around (`inner`), too."""
    inner = getattr(part, "inner", None)
    return _package(type(part).__module__) == _OURS and (inner is None or is_ours(inner))


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
