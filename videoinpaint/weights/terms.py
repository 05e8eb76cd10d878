"""The terms of weights: told when a file is read, and handed on to whatever is trained from them."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from videoinpaint.weights.entries import WeightEntry, permissive

ORIGIN = "origin"
"""In the metadata of files that were trained here: the terms of the official file are not theirs."""
LICENCE = "licence"
"""In the metadata of any file: its terms; of files that were trained here those of what they began from."""
_LONGEST = 500
_announced: set[tuple[str, str]] = set()


def stated(entry: WeightEntry | None, metadata: Mapping[str, str]) -> str:
    """The terms of a file, in one line, where they ask for more than attribution; else "".

    Args:
        entry: what the registry says about the file's kind; None where it knows none.
        metadata: of the file.
    """
    official = "" if entry is None or ORIGIN in metadata else entry.licence
    text = metadata.get(LICENCE) or metadata.get("license") or official
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[:_LONGEST]
    return "" if permissive(line) else line


def announce(name: str, terms: str) -> None:
    """Say once on stderr under which terms weights come, if there are any to tell."""
    if terms and (name, terms) not in _announced:
        _announced.add((name, terms))
        print(f"videoinpaint: the weights {name!r} come under: {terms}", file=sys.stderr)


def handed_on(*terms: str) -> dict[str, str]:
    """What the metadata say of weights that were trained from others under such terms; "" are none."""
    return {LICENCE: "; ".join(told)} if (told := dict.fromkeys(filter(None, terms))) else {}
