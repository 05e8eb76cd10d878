"""What the leaderboard's page shows of a board: rows, columns, players, and the sentence on top."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from videoinpaint.benchmarks.leaderboard.website import plots
from videoinpaint.benchmarks.protocol.tables import DIGITS, TITLES
from videoinpaint.metrics.measures import HIGHER_IS_BETTER, METRICS
from videoinpaint.naming import one_line

SCORES = {
    "return": "return of an episode",
    "quality_gain": "quality gained by the final repair, under fixed weights",
}


@dataclass(frozen=True)
class Mark:
    """Something that verification gives."""

    key: str
    name: str
    meaning: str


MARKS = (
    Mark("replayed", "replayed", "The recorded actions, played again here, gave every number of the submission."),
    Mark("re_run", "re-run", "The policy itself, in a process that sees observations only, chose those actions again."),
    Mark("held_out", "held-out", "The policy was also run on secret episodes, which its authors could not know."),
)


@dataclass(frozen=True)
class Measure:
    """A metric of the final repair: its title, digits, and +1 where higher is better, -1 where lower is."""

    title: str
    digits: int
    better: int


MEASURES = {
    key: Measure(TITLES[key], DIGITS.get(key, 4), 1 if key in HIGHER_IS_BETTER else -1) for key in (*METRICS, "vfid")
}
"""In the order of the page."""

IN_TABLE = ("psnr_hole", "ssim_hole", "lpips_hole")
"""Those with a column in the table."""


@dataclass(frozen=True)
class Row:
    """An entry as the page shows it.

    Attributes:
        entry: of the board.
        slug: its address within the page.
        place: its rank, "1=" where it is shared, "" without one.
    """

    entry: Mapping[str, Any]
    slug: str
    place: str

    @property
    def name(self) -> str:
        """On one line."""
        return one_line(self.entry["name"]) or "(no name)"

    @property
    def group(self) -> str:
        """Which part of the table it stands in."""
        return group_of(self.entry)

    @property
    def marks(self) -> list[tuple[Mark, bool]]:
        """Every mark, and whether it was given."""
        return [(mark, bool(self.entry["marks"].get(mark.key))) for mark in MARKS]

    @cached_property
    def trajectories(self) -> tuple[list[plots.Trajectory], list[int]]:
        """See :func:`videoinpaint.benchmarks.leaderboard.website.plots.trajectories`."""
        return plots.trajectories(self.entry["episodes"])

    @cached_property
    def clips(self) -> list[dict[str, Any]]:
        """A row for each clip: its mean score over the training seeds, the lowest, the highest; held-out clips last."""
        grouped: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
        for episode in self.entry["episodes"]:
            key = (bool(episode.get("held_out")), episode["seed"], episode["clip"])
            grouped.setdefault(key, []).append(episode)
        return [_clip(key, episodes) for key, episodes in sorted(grouped.items(), key=lambda item: item[0][:2])]


GROUPS = {
    "ranked": ("Ranked", "the policy itself was run again by whoever verifies"),
    "unranked": (
        "Not ranked",
        "not verified to the end: the numbers, or the actions behind them, are the authors\u2019 own",
    ),
    "reference": ("References", "what a policy has to beat, and what it could reach; always on the public episodes"),
}
"""Parts of the table, from the top: heading and explanation."""


def group_of(entry: Mapping[str, Any]) -> str:
    """A key of `GROUPS`."""
    return "ranked" if entry["ranked"] else "reference" if entry["kind"] == "reference" else "unranked"


def rows_of(entries: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Ranked first, by rank; then the others, group by group, by score."""
    order = list(GROUPS)
    ties = Counter(entry["rank"] for entry in entries if entry["ranked"])
    rows: list[Row] = []
    for entry in sorted(
        entries, key=lambda e: (order.index(group_of(e)), e["rank"] or 0, -e["score"]["mean"], str(e["name"]))
    ):
        base = re.sub(r"[^a-z0-9]+", "-", str(entry["name"]).lower()).strip("-")[:60] or "entry"
        taken = {row.slug for row in rows}
        slug = next(s for s in (base, *(f"{base}-{n}" for n in range(2, len(entries) + 2))) if s not in taken)
        place = f"{entry['rank']}{'=' if ties[entry['rank']] > 1 else ''}" if entry["ranked"] else ""
        rows.append(Row(entry, slug, place))
    return rows


def groups_of(rows: Sequence[Row]) -> list[tuple[str, str, str, list[Row]]]:
    """Key, heading, explanation and rows of each part of the table that is not empty."""
    parts = [(key, *told, [row for row in rows if row.group == key]) for key, told in GROUPS.items()]
    return [part for part in parts if part[3]]


@dataclass(frozen=True)
class Column:
    """A column of numbers in the table.

    Attributes:
        title: of the column.
        hint: what it is, in a sentence.
        values: an interval for each row, or None; a plain number is an interval without ends.
        ranked: how many rows, the first ones, are ranked.
        digits: after the point.
        better: +1 where higher is better, -1 where lower is, 0 where neither.
        signed: a difference, drawn against zero.
        percent: shown as a percentage.
        wide: with the ends of its intervals written out.
    """

    title: str
    hint: str
    values: Sequence[Mapping[str, Any] | None]
    ranked: int
    digits: int
    better: int = 1
    signed: bool = False
    percent: bool = False
    wide: bool = False

    def text(self, value: float) -> str:
        """A number as the column shows it."""
        if self.percent:
            return f"{value:.0%}"
        return plots.minus(f"{value:{'+' if self.signed else ''},.{self.digits}f}")

    @cached_property
    def scale(self) -> tuple[float, float] | None:
        """Ends of the bars of all rows; None where there is no interval."""
        found = [value for value in self.values if value and value.get("low") is not None]
        numbers = [value[end] for value in found for end in ("low", "high", "mean")] + [0.0] * self.signed
        return (min(numbers), max(numbers)) if found and max(numbers) > min(numbers) else None

    def share(self, value: float) -> str:
        """Where a number lies on the scale, in percent."""
        low, high = self.scale or (0.0, 1.0)
        return f"{100 * (value - low) / (high - low):.1f}"

    @cached_property
    def best(self) -> float | None:
        """The best mean of the ranked rows, where one is better than another."""
        means = [value["mean"] for value in self.values[: self.ranked] if value]
        return (max if self.better > 0 else min)(means) if self.better and len(set(means)) > 1 else None


def columns_of(score: str, rows: Sequence[Row], stops: bool = False) -> list[Column]:
    """The table's columns that hold a number.

    Args:
        score: what is ranked, a key of `SCORES`.
        rows: in their order.
        stops: whether an iteration may be one that leaves everything as it is.
    """
    ranked = sum(row.group == "ranked" for row in rows)
    entries = [row.entry for row in rows]
    costs = [entry["cost"] for entry in entries]

    def plain(values: Sequence[float | None]) -> list[dict[str, float] | None]:
        return [None if value is None else {"mean": value} for value in values]

    columns = [
        Column("Score", f"{SCORES.get(score, 'score')}: interquartile mean with its 95% interval",
               [entry["score"] for entry in entries], ranked, 4, wide=True),
        Column("Against best fixed", "the same episodes compared one by one: an interval without zero is a difference",
               [entry.get("difference") for entry in entries], ranked, 4, signed=True, wide=True),
        Column("Chance better", "how probable it is that a run is better than best fixed on a random clip",
               plain([entry.get("probability_of_improvement") for entry in entries]), ranked, 0, percent=True),
        Column("Normal\u00adised", "0 is random, 1 is the oracle",
               plain([entry.get("normalised") for entry in entries]), ranked, 2),
        *(Column(m.title, f"{'higher' if m.better > 0 else 'lower'} is better",
                 [entry["measures"].get(key) for entry in entries], ranked, m.digits, m.better)
          for key, m in MEASURES.items() if key in IN_TABLE),
        Column("Iterations" if stops else "Passes", "mean iterations of an episode",
               plain([entry.get("iterations") for entry in entries]), ranked, 1, 0),
        Column("GFLOPs", "of an episode, everything: preparation, passes, detector",
               plain([cost.get("gflops_total") for cost in costs]), ranked, 0, -1),
        Column("s / frame", "seconds for a frame", plain([c.get("seconds_per_frame") for c in costs]), ranked, 3, -1),
    ]  # fmt: skip
    return [column for column in columns if any(column.values)]


def summary_of(rows: Sequence[Row]) -> str:
    """What the ranking says, in two sentences."""
    ranked = [row for row in rows if row.group == "ranked"]
    if not ranked:
        return "No entry is ranked yet."
    first = [row.name for row in ranked if row.entry["rank"] == ranked[0].entry["rank"]]
    told = f"{first[0]} is first."
    if len(first) > 1:
        told = f"{', '.join(first[:-1])} and {first[-1]} share the first place: these episodes cannot tell them apart."
    better = sum(((row.entry.get("difference") or {}).get("low") or 0) > 0 for row in ranked)
    count = "None" if not better else "All" if better == len(ranked) else str(better)
    verb = "is" if better < 2 else "are"
    return f"{told} {count} of the {len(ranked)} ranked entries {verb} clearly better than the best fixed setting."


def tiles_of(clip: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """A clip's strips: the damaged one, repairs from the best rank on, the original."""
    pictures = clip["pictures"]
    inner = [row for row in rows if row.entry["name"] in pictures and row.entry["name"] not in ("damaged", "reference")]
    tiles = [
        {"row": row, "name": row.name, "alt": f"Repair by {row.name}", "source": pictures[row.entry["name"]],
         "score": _score_of(row, clip["seed"])}
        for row in inner
    ]  # fmt: skip
    for key, name, place in (("damaged", "Before", 0), ("reference", "Original", len(tiles) + 1)):
        if key in pictures:
            alt = f"{'Damaged' if key == 'damaged' else 'Original'} clip"
            tiles.insert(place, {"row": None, "name": name, "alt": alt, "source": pictures[key], "score": None})
    sizes = {key: int(clip[key]) for key in ("frames", "width", "height")}
    return {"seed": clip["seed"], "clip": clip["clip"], "tiles": tiles} | sizes


def _score_of(row: Row, seed: int) -> float | None:
    """An entry's mean score on a public clip."""
    played = [clip["mean"] for clip in row.clips if clip["seed"] == seed and not clip["held_out"]]
    return played[0] if played else None


def _clip(key: tuple[Any, ...], episodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    scores = [episode["score"] for episode in episodes]
    found = [value for e in episodes if (value := e.get("measures", {}).get("psnr_hole")) is not None]
    return {
        "held_out": key[0], "seed": key[1], "clip": key[2],
        "mean": math.fsum(scores) / len(scores), "low": min(scores), "high": max(scores),
        "psnr_hole": math.fsum(found) / len(found) if found else None,
        "iterations": math.fsum(len(e.get("controls", [])) for e in episodes) / len(episodes),
    }  # fmt: skip
