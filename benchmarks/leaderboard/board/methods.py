"""Which runs are one row of a board, and what that row is called."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence

from videoinpaint.benchmarks.leaderboard.board.rows import Run

RESERVED = ("reference", "damaged")
"""Names of a clip's own pictures, beside which those of rows stand."""


def by_method(runs: Sequence[Run], references: Collection[str]) -> dict[str, list[Run]]:
    """Runs by the name of their row: those of one method, which are its training seeds.

    Of other authors it is another row, so that nobody's numbers or marks are changed by what somebody else sends in
    under the same name.

    Args:
        runs: of submissions.
        references: their names, which nobody else gets.
    """
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.submission.method, run.submission.authors), []).append(run)
    named: dict[str, list[Run]] = {}
    for (method, authors), found in groups.items():
        shared = sum(key[0] == method for key in groups) > 1
        named[_free(f"{method} ({authors})" if shared else method, [*RESERVED, *references, *named])] = found
    return named


def _free(name: str, taken: Sequence[str]) -> str:
    """A row's name, told apart from those that are taken, in whichever case or form of letters they are written."""
    while _letters(name) in map(_letters, taken):
        name += " (submitted)"
    return name


def _letters(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
