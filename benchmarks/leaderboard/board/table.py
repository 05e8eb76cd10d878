"""A board as a table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from videoinpaint.benchmarks.protocol import tables


def show_board(board: Mapping[str, Any]) -> None:
    """Print what `rank` made."""
    rows = [
        [
            one["name"],
            tables.number(one["rank"]),
            tables.interval(one["score"], 4),
            tables.interval(one["difference"], 4, signed=True),
            tables.number(one["probability_of_improvement"], 2),
            tables.number(one["cost"]["gflops_total"], 0),
            "; ".join(one["flags"]),
        ]
        for one in board["entries"]
    ]
    suite = board["suite"]
    which = f"{suite['held_out']} held-out episodes" if suite["held_out"] else f"{suite['episodes']} episodes"
    columns = ["method", "rank", board["score"], "to best fixed", "P(better)", "GFLOPs", "flags"]
    caption = "interquartile means with 95% intervals; entries with the same rank cannot be told from its best"
    tables.show(f"{suite['name']} of {suite['env_id']}, {which}", columns, rows, caption)
