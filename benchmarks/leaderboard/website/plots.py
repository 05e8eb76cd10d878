"""Where everything lies in the leaderboard's drawings; `templates/plots.j2` writes it down as SVG.

Only sums that do not depend on the processor (`math.fsum`), and coordinates of one digit: the same board gives the same
bytes on every machine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.ticker import LogLocator, MaxNLocator

from videoinpaint.benchmarks.leaderboard.board.asked import SKIPPED
from videoinpaint.controls import HIGH, LOW, NAMES

LETTER = 6.4
"""Mean width of a letter at the size of labels, 12 user units."""
LONGEST = 22
"""Letters of a label."""
WIDE = 3.0
"""A factor between the largest and the smallest cost from which the axis is logarithmic."""


@dataclass(frozen=True)
class Scale:
    """Numbers of an axis to user units of the drawing."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        share = (at - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, count: int) -> list[tuple[float, str]]:
        """Positions and texts of round numbers on the axis."""
        if self.log:
            values = LogLocator(subs=(1, 2, 5)).tick_values(self.low, self.high)
        else:
            values = MaxNLocator(nbins=count, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
        room = 1e-9 * (self.high - self.low)
        inside = [float(v) for v in values if self.low - room <= v <= self.high + room]
        digits = 0 if self.log else _digits(inside)
        return [(self(v), minus(f"{v + 0.0:,.{digits}f}")) for v in inside]


def minus(text: str) -> str:
    """A number with the sign of typography instead of a hyphen, and no sign before a zero."""
    return text.replace("-", "\u2212") if re.search("[1-9]", text) else text.lstrip("+-")


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation, the same on every processor."""
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def shortened(name: str) -> str:
    """A name that leaves room for the drawing."""
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "\u2026"


@dataclass
class Frame:
    """A drawing's size, and its plot area within."""

    width: int
    height: int
    left: float
    top: float
    right: float
    bottom: float
    x_ticks: list[tuple[float, str]] = field(default_factory=list)
    y_ticks: list[tuple[float, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Point:
    """An entry in the plot of score against cost, with its label and, where that is far, a line to it."""

    row: Any
    x: float
    y: float
    low: float
    high: float
    label: str
    at: tuple[float, float, str] | None
    line: tuple[float, float, float, float] | None


@dataclass
class Pareto:
    """Score against total GFLOPs: points, and the steps of the front."""

    frame: Frame
    points: list[Point]
    front: str
    log: bool


def pareto(rows: Sequence[Any], width: int, height: int) -> Pareto | None:
    """The plot of score against total GFLOPs; None where no costs were measured.

    Args:
        rows: of the page; entries without a cost are left out.
        width, height: of the drawing, in user units.
    """
    known = [row for row in rows if (row.entry["cost"].get("gflops_total") or 0) > 0]
    if len(known) < 2:
        return None
    costs = [row.entry["cost"]["gflops_total"] for row in known]
    scores = [row.entry["score"] for row in known]
    frame = Frame(width, height, 52, 14, width - 14, height - 44)
    log = max(costs) / min(costs) > WIDE
    low, high = (min(costs) / 1.15, max(costs) * 1.15) if log else _padded(costs, 0.08)
    x = Scale(low, high, frame.left, frame.right, log)
    y = Scale(*_padded([s[end] for s in scores for end in ("low", "high", "mean") if s.get(end) is not None], 0.06),
              frame.bottom, frame.top)  # fmt: skip
    frame.x_ticks, frame.y_ticks = x.ticks(5), y.ticks(6)
    names = [shortened(row.name) for row in known]
    places = [(x(cost), y(score["mean"])) for cost, score in zip(costs, scores)]
    labels = _labels(frame, [(*place, name) for place, name in zip(places, names)])
    points = [
        Point(row, *place, y(_end(score, "low")), y(_end(score, "high")), name, *label)
        for row, place, score, name, label in zip(known, places, scores, names, labels)
    ]
    return Pareto(frame, points, _front(points, frame), log)


def _front(points: Sequence[Point], frame: Frame) -> str:
    """From the cheapest to the best: no entry lies above the steps."""
    best = sorted((p.x, p.y) for p in points if p.row.entry["pareto"])
    if not best:
        return ""
    return f"M{best[0][0]} {best[0][1]}" + "".join(f"H{x}V{y}" for x, y in best[1:]) + f"H{frame.right}"


def _labels(
    frame: Frame, points: Sequence[tuple[float, float, str]]
) -> list[tuple[tuple[float, float, str] | None, tuple[float, float, float, float] | None]]:
    """A place for each label where it covers no point and no other label; None where there is no room."""
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y, _ in points]
    found: list[Any] = [(None, None)] * len(points)
    for index in sorted(range(len(points)), key=lambda i: points[i][:2]):
        x, y, text = points[index]
        for reach in (10, 16, 24, 34, 46, 60, 76, 94):
            place = _first_free(frame, taken, x, y, len(text) * LETTER, reach)
            if place:
                taken.append(place[3])
                left, top, right, bottom = place[3]
                to = (round(min(max(x, left), right), 1), round(min(max(y, top), bottom), 1))
                line = None if reach == 10 else (x, y, *to)
                found[index] = ((round(place[0], 1), round(place[1], 1), place[2]), line)
                break
    return found


def _first_free(frame: Frame, taken: Sequence[Any], x: float, y: float, wide: float, reach: float) -> Any:
    slant = reach * 0.75
    for dx, dy in ((reach, 0), (-reach, 0), (slant, -slant), (slant, slant), (-slant, -slant), (-slant, slant),
                   (0, -reach - 2), (0, reach + 4)):  # fmt: skip
        left = x + dx if dx > 0 else x + dx - wide if dx < 0 else x - wide / 2
        box = (left, y + dy - 8, left + wide, y + dy + 7)
        inside = frame.left + 2 <= box[0] and box[2] <= frame.right and frame.top <= box[1] and box[3] <= frame.bottom
        if inside and reach > 10 and _crosses((x, y), box, taken):
            continue
        if inside and not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
            anchor = "start" if dx > 0 else "end" if dx < 0 else "middle"
            return x + dx, y + dy + 4, anchor, box
    return None


def _crosses(start: tuple[float, float], box: Sequence[float], taken: Sequence[Any]) -> bool:
    """Whether the line from a point to its label touches what is taken by others."""
    to = (min(max(start[0], box[0]), box[2]), min(max(start[1], box[1]), box[3]))
    way = [tuple(a + (b - a) * i / 12 for a, b in zip(start, to)) for i in range(1, 12)]
    others = [other for other in taken if not (other[0] <= start[0] <= other[2] and other[1] <= start[1] <= other[3])]
    return any(b[0] < x < b[2] and b[1] < y < b[3] for x, y in way for b in others)


@dataclass
class Profiles:
    """Share of episodes at or above each score: a path a row."""

    frame: Frame
    paths: list[tuple[Any, str]]


def profiles(rows: Sequence[Any], width: int, height: int) -> Profiles | None:
    """The performance profiles; None where the board has none."""
    known = [row for row in rows if len(row.entry["profile"]) > 1]
    if not known:
        return None
    thresholds = [point[0] for row in known for point in row.entry["profile"]]
    frame = Frame(width, height, 46, 14, width - 12, height - 44)
    x = Scale(min(thresholds), max(thresholds), frame.left, frame.right)
    y = Scale(0, 1, frame.bottom, frame.top)
    frame.x_ticks = x.ticks(6)
    frame.y_ticks = [(y(share), f"{share:.0%}") for share in (0, 0.25, 0.5, 0.75, 1)]
    return Profiles(frame, [(row, _path((x(a), y(b)) for a, b in row.entry["profile"])) for row in known])


@dataclass
class Trajectory:
    """A control by iteration: its mean, and a band of one standard deviation around it."""

    name: str
    frame: Frame
    line: str
    band: str
    dots: list[tuple[float, float, str]]


def trajectories(episodes: Sequence[Mapping[str, Any]]) -> tuple[list[Trajectory], list[int]]:
    """What a policy asked for, iteration by iteration, as CLIP-RL's Figure 8 shows it.

    Returns:
        a drawing for each control, and one of skipped cells where they were recorded; and how many episodes got to each
        iteration. Both are empty without recorded controls.
    """
    played = [episode["controls"] for episode in episodes if episode.get("controls")]
    counts = [sum(len(steps) > i for steps in played) for i in range(max(map(len, played), default=0))]
    ranges = {name: (float(LOW[i]), float(HIGH[i])) for i, name in enumerate(NAMES)}
    if any(SKIPPED in step for steps in played for step in steps):
        ranges[SKIPPED] = (0.0, 1.0)
    found = [_trajectory(name, ends, played, len(counts)) for name, ends in ranges.items() if counts]
    return [one for one in found if one is not None], counts


def _trajectory(
    name: str, ends: tuple[float, float], played: Sequence[Sequence[Mapping[str, Any]]], count: int
) -> Trajectory | None:
    """One control over `count` iterations; iterations in which nobody asked for any are left out."""
    frame = Frame(180, 132, 34, 10, 174, 108)
    x = Scale(1, max(count, 2), frame.left + 8, frame.right - 8)
    y = Scale(*ends, frame.bottom, frame.top)
    frame.x_ticks = [(x(i + 1), str(i + 1)) for i in range(count)] if count <= 8 else x.ticks(4)
    frame.y_ticks = y.ticks(5)
    asked = [
        [steps[i][name] for steps in played if len(steps) > i and steps[i][name] is not None] for i in range(count)
    ]
    stats = [(i, *mean_and_spread(values)) for i, values in enumerate(asked, 1) if values]
    if not stats:
        return None
    high = [(x(i), y(min(m + s, y.high))) for i, m, s in stats]
    low = [(x(i), y(max(m - s, y.low))) for i, m, s in stats]
    if len(stats) == 1:  # a band needs width to be seen
        high, low = ([(px + d, py) for px, py in ends for d in (-5, 5)] for ends in (high, low))
    digits = 1 if name == "heads" else 2
    dots = [(x(i), y(m), f"iteration {i}: {m:.{digits}f} \u00b1 {s:.{digits}f}") for i, m, s in stats]
    line = _path((px, py) for px, py, _ in dots)
    return Trajectory(name, frame, line, _path([*high, *reversed(low)]) + "Z", dots)


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def _end(interval: Mapping[str, float | None], end: str) -> float:
    value = interval["mean"] if interval.get(end) is None else interval[end]
    assert value is not None
    return float(value)


def _padded(values: Sequence[float], share: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * share or abs(high) * share or 1.0
    return low - room, high + room


def _digits(values: Sequence[float]) -> int:
    """Fewest digits that tell neighbouring ticks apart."""
    for digits in range(6):
        if all(abs(round(v, digits) - v) < 1e-9 * max(1.0, abs(v)) for v in values):
            return digits
    return 6
