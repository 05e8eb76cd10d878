"""Parts of a source of clips, as texts name them: ``SOURCE[:1000]``, ``SOURCE[1000:]``, ``SOURCE[random:200:7]``."""

from __future__ import annotations

import re

import numpy as np

from videoinpaint.clips.sources.sequences import SequenceSource
from videoinpaint.clips.studio.draws import Draws
from videoinpaint.clips.types import ClipSource
from videoinpaint.errors import InputError

SKIP_SHORT = "skip-short"
FORMS = f"[START:STOP], [random:COUNT] or [random:COUNT:SEED], [{SKIP_SHORT}]"

_PART = re.compile(r"(?P<source>.+)\[(?P<part>[^\[\]]*)\]", re.DOTALL)
_SLICE = re.compile(r"(?P<start>-?[0-9]{0,9}):(?P<stop>-?[0-9]{0,9})")
_RANDOM = re.compile(r"random:(?P<count>[0-9]{1,9})(:(?P<seed>[0-9]{1,9}))?")


def split_part(spec: str) -> tuple[str, str] | None:
    """The source's own text and the part in the last brackets; None where the text ends in no brackets."""
    found = _PART.fullmatch(spec)
    return None if found is None else (found["source"], found["part"])


def part_of(source: ClipSource, part: str) -> SequenceSource:
    """Some of a source's clips.

    Args:
        source: one of files.
        part: ``START:STOP`` as Python slices (both may be left out, or be negative), in the order of ``names()``;
            ``random:COUNT:SEED``, so many clips drawn without repetition, the same on every machine (seed 0 unless
            given), kept in the source's order; or ``skip-short``: all, and those that turn out to be shorter than a
            window are left out before any work starts.

    Raises:
        InputError: another text, a part without clips, or a source that makes its clips up.
    """
    if not isinstance(source, SequenceSource):
        raise InputError(f"[{part}] takes a part of clips in files; {source.name!r} is no such source")
    names, title = source.names(), f"{source.name}[{part}]"
    if part == SKIP_SHORT:
        return source.only(names, title, skip_short=True)
    if found := _SLICE.fullmatch(part):
        start, stop = (int(text) if text not in ("", "-") else None for text in (found["start"], found["stop"]))
        chosen = names[start:stop]
    elif found := _RANDOM.fullmatch(part):
        count = int(found["count"])
        if count > len(names):
            raise InputError(f"{title} asks for {count} clips: {source.name} has {len(names)}")
        chosen = _drawn(names, count, int(found["seed"] or 0))
    else:
        raise InputError(f"{title} is no part of a source: write {FORMS}")
    if not chosen:
        raise InputError(f"{title} holds no clip: {source.name} has {len(names)}")
    return source.only(chosen, title)


def _drawn(names: list[str], count: int, seed: int) -> list[str]:
    """So many names, by the package's own draws, which no version of NumPy changes."""
    draws, left = Draws(np.random.default_rng(seed)), list(range(len(names)))
    places = {left.pop(draws.below(len(left))) for _ in range(count)}
    return [name for place, name in enumerate(names) if place in places]
