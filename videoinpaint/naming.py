"""Names and values as records hold them: the same in every process."""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from videoinpaint.errors import InputError


def stable_name(value: Any) -> str:
    """What an object is called in records: the same in every process, unlike its `repr`.

    Its ``name`` if it has one, ``module:qualname`` of a class or function, or else of its class; a path or a device is
    its text.
    """
    if isinstance(value, Path | torch.device):
        return str(value)
    if isinstance(value, functools.partial):
        return stable_name(value.func)
    name = getattr(value, "name", None)
    if isinstance(name, str) and name:
        return name
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}:{named.__qualname__}"


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
    told = []
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, 3)
            told.append(f"{name!r}" + (f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""))
    if told:
        raise InputError(f"{owner} has no {kind} {', '.join(told)}: use some of {', '.join(known)}")
