"""Names and values as records hold them: the same in every process."""

from __future__ import annotations

import difflib
import functools
import inspect
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from videoinpaint.errors import InputError, UnexpectedArgumentError

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{5,}")

_NO_INK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters without ink that Python calls printable; those that only format it does not."""

_NAMED = 5
"""Unknown names that an error tells: a file may hold millions, and each is looked for among those that are known."""


def stable_name(part: Any) -> str:
    """What a part is called in records and checkpoints: the same in every run and process.

    A text or a path is itself, a class or a function ``module:name``; a part goes by its `name`, else by its text, and
    by its class where that text holds an address.
    """
    if isinstance(part, str | Path):
        return str(part)
    if isinstance(part, functools.partial):
        return stable_name(part.func)
    if inspect.isclass(part) or inspect.isroutine(part):
        return f"{part.__module__}:{part.__qualname__}"
    for text in (getattr(part, "name", None), str(part)):
        if is_stable(text):
            return str(text)
    return stable_name(type(part))


def one_line(text: Any) -> str:
    """A name as tables and terminals can show it: on one line, without control characters and halves of characters."""
    return " ".join("".join(c for c in str(text) if c.isprintable() or c.isspace()).split())


def as_seen(name: Any) -> str:
    """A name on one line without what leaves nothing to see: joiners, fillers, variation selectors, outer blanks."""
    visible = one_line(_NO_INK.sub("", unicodedata.normalize("NFC", str(name))))
    return unicodedata.normalize("NFC", visible)  # what a joiner kept apart is one character now


def is_stable(name: Any) -> bool:
    """Whether a name is a text that can be the same in another process: not empty, without a memory address."""
    return isinstance(name, str) and bool(name.strip()) and not _ADDRESS.search(name)


def plain(value: Any) -> Any:
    """A value as JSON's own types; objects are under their :func:`stable_name`."""
    return json.loads(json.dumps(value, default=_json_default))


def _json_default(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else stable_name(value)


def check_names(given: Sequence[str] | Mapping[str, Any], known: Sequence[str], owner: str, kind: str) -> None:
    """Refuse names that are not known, with those that come close.

    Raises:
        InputError: there is one.
    """
    if told := _unknown(given, known):
        raise InputError(f"{owner} has no {kind} {told}")


def check_arguments(given: Mapping[str, Any], known: Sequence[str], owner: str) -> None:
    """Refuse keyword arguments that are not known, in Python's words: TorchRL, for one, tries `frameskip`.

    Raises:
        UnexpectedArgumentError: there is one.
    """
    if told := _unknown(given, known):
        raise UnexpectedArgumentError(f"{owner} got an unexpected keyword argument {told}")


def _unknown(given: Sequence[str] | Mapping[str, Any], known: Sequence[str]) -> str:
    unknown = [name for name in given if name not in known]
    told = []
    for name in unknown[:_NAMED]:
        close = difflib.get_close_matches(name, known, 3)
        told.append(f"{name!r}" + (f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""))
    more = f" and {len(unknown) - _NAMED:,} more" if len(unknown) > _NAMED else ""
    return f"{', '.join(told)}{more}: use some of {', '.join(known)}" if told else ""
