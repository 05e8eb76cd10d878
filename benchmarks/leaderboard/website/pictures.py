"""Pictures of a board: what its best entries made of the suite's first clips, by playing their recorded actions."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.benchmarks.leaderboard.board.board_entry import ORACLE
from videoinpaint.benchmarks.leaderboard.board.methods import by_method
from videoinpaint.benchmarks.leaderboard.board.rows import Run
from videoinpaint.benchmarks.leaderboard.judging.measuring import Arena
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite
from videoinpaint.naming import one_line

SHOWN = 4
"""Entries beside the oracle."""
_QUALITY = 80


def add_pictures(
    board: dict[str, Any],
    runs: Sequence[Run],
    references: Mapping[str, Sequence[dict[str, Any]]],
    suite: FrozenSuite,
    count: int,
    done: Callable[[], Any] = lambda: None,
) -> None:
    """Fill in a board's clips.

    Args:
        board: made by :func:`videoinpaint.benchmarks.leaderboard.board.ranking.rank` of these runs and references.
        runs: of the submissions.
        references: episodes with actions, by name.
        suite: that all played.
        count: of clips, from the suite's first.
        done: called after every repair.
    """
    players = players_of(board, runs, references)
    arena = Arena(suite)
    try:
        for frozen in suite.episodes[:count]:
            pictures: dict[str, str] = {}
            shape: tuple[int, ...] = (0, 0, 0)
            for name, actions in players.items():
                shown = arena.show(frozen.seed, actions[frozen.seed])
                shape = shown["reference"].shape
                pictures |= {part: strip(shown[part]) for part in ("reference", "damaged") if part not in pictures}
                pictures[name] = strip(shown["repaired"])
                done()
            size = {"frames": shape[0], "height": shape[1], "width": shape[2]}
            board["clips"].append({"seed": frozen.seed, "clip": one_line(frozen.clip), "pictures": pictures} | size)
    finally:
        arena.close()


def strip(frames: NDArray[np.uint8]) -> str:
    """Frames ``(T, H, W, 3)`` side by side as the address of a JPEG."""
    content = io.BytesIO()
    Image.fromarray(np.concatenate(list(frames), axis=1)).save(content, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


def players_of(
    board: Mapping[str, Any], runs: Sequence[Run], references: Mapping[str, Sequence[dict[str, Any]]]
) -> dict[str, dict[int, Any]]:
    """Name -> seed -> actions, of the best ranked entries and of references that recorded theirs."""
    methods = by_method(runs, references)
    ranked = [entry["name"] for entry in board["entries"] if entry["rank"] is not None]
    found = {name: {one["seed"]: one["actions"] for one in methods[name][0].public} for name in ranked[:SHOWN]}
    if all(one.get("actions") for one in references[ORACLE]):
        found[ORACLE] = {one["seed"]: one["actions"] for one in references[ORACLE]}
    return found
