"""The leaderboard as one HTML page out of board.json: nothing to load beside it, from this or another host.

Tables and drawings are there without JavaScript, which adds sorting, filtering, playing and a choice of colours.
Everything in a board is from outside: texts are escaped, pictures must be data, and the page's own policy
(Content-Security-Policy) runs one script, by its hash. Rendering is a function of the board alone, so that a committed
page can be compared with what its board gives.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from videoinpaint.benchmarks.leaderboard.board.ranking import FORMAT
from videoinpaint.benchmarks.leaderboard.website import plots, view
from videoinpaint.errors import InputError
from videoinpaint.files import read_json, write_text
from videoinpaint.naming import one_line

PAGE = "index.html"
TITLE = b"<title>Leaderboard: "
"""By which a page of a board is known."""
NEEDED = ("name", "kind", "ranked", "rank", "marks", "score", "measures", "cost", "episodes", "profile", "pareto")
TEMPLATES = Path(__file__).parent / "templates"
PICTURES = ("data:image/jpeg;base64,", "data:image/png;base64,", "data:image/webp;base64,")
COLOURS = 6
"""Lines that a plot tells apart by colour."""
BROAD, NARROW = (900, 430), (350, 420)
"""Sizes of a drawing on a screen and on a phone, in user units."""


def write_page(board: Path, folder: Path) -> Path:
    """Write ``folder/index.html``, whole or not at all; returns its path.

    Args:
        board: the file that `videoinpaint leaderboard rank` wrote.
        folder: is made.

    Raises:
        InputError: the board cannot be read or lacks what the page needs, the page cannot be written, or the folder has
            another page of that name.
    """
    target = folder / PAGE
    if target.is_file() and TITLE not in target.read_bytes():
        raise InputError(f"{target} is another page, not a leaderboard's: name another folder")
    return write_text(target, render(read_board(board)))


def read_board(path: Path) -> dict[str, Any]:
    """A board, looked at before anything is drawn.

    Raises:
        InputError: it cannot be read, is of another format, has no entry, or a picture that is none.
    """
    what = "what `videoinpaint leaderboard rank` wrote"
    board = read_json(path, what)
    if board.get("format") != FORMAT:
        raise InputError(f"{path} is not {what}: its format is {board.get('format')!r}, not {FORMAT!r}")
    entries, clips = board.get("entries"), board.get("clips", [])
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path} holds no entries: rank a submission at least")
    for entry in entries:
        missing = [key for key in NEEDED if key not in entry]
        if missing:
            raise InputError(f"{path}: entry {entry.get('name')!r} lacks {', '.join(missing)}: rank again")
    if not isinstance(clips, list) or not all(_has_pictures(clip) for clip in clips):
        raise InputError(f"{path}: its pictures are not JPEG, PNG or WebP data: rank again with --pictures")
    return board


def _has_pictures(clip: Any) -> bool:
    pictures = clip.get("pictures") if isinstance(clip, dict) else None
    return isinstance(pictures, dict) and all(
        isinstance(source, str) and source.startswith(PICTURES) for source in pictures.values()
    )


def render(board: Mapping[str, Any]) -> str:
    """The page as text.

    Args:
        board: as :func:`read_board` gives it.

    Raises:
        InputError: the board lacks something, or holds something that is of another kind.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"minus": plots.minus, "line": one_line}
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    try:
        rows = view.rows_of(board["entries"])
        return environment.get_template("page.html.j2").render(
            board=board,
            rows=rows,
            groups=view.groups_of(rows),
            columns=view.columns_of(board["score"], rows, bool(board["suite"].get("skips"))),
            marks=view.MARKS,
            measures=view.MEASURES,
            score=view.SCORES.get(board["score"], board["score"]),
            summary=view.summary_of(rows),
            paretos=[plots.pareto(rows, *size) for size in (BROAD, NARROW)],
            profiles=[plots.profiles(rows, *size) for size in (BROAD, NARROW)],
            bright=[row.slug for row in rows if row.entry["profile"]][: COLOURS - 1],
            clips=[view.tiles_of(clip, rows) for clip in board.get("clips", [])],
            style=(TEMPLATES / "page.css").read_text(encoding="utf-8"),
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    except (jinja2.UndefinedError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the board cannot be drawn ({type(error).__name__}: {error}): rank again") from error
