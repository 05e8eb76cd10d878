"""The report's plots: small matplotlib figures as PNG bytes, drawn without a display. The page lays them out."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from videoinpaint.naming import one_line

INK, SOFT, GRID, ACCENT, REST = "#1f2933", "#64748b", "#e2e8f0", "#2563eb", "#a9b6c6"
COLOURS = (ACCENT, "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette, which colour-blind readers can tell apart; the trained policy takes the accent."""

METRICS = {
    "psnr_hole": ("PSNR inside the hole (dB)", "higher is better"),
    "psnr": ("PSNR (dB)", "higher is better"),
    "ssim": ("SSIM", "higher is better"),
    "lpips": ("LPIPS", "lower is better"),
    "perceptual": ("Perceptual L1", "lower is better"),
    "wta": ("Temporal loss", "lower is better"),
}
"""Metric -> its title and which way is better."""


def bars_chart(policies: Sequence[Mapping[str, Any]], key: str, title: str, digits: int = 3) -> bytes:
    """Bars of a quantity with its intervals, in the order given, from the top.

    Args:
        policies: entries with ``name``, ``trained`` and ``key: {mean, low, high}``.
        key: which quantity.
        title: of the plot.
        digits: after the point, in the labels.
    """
    figure, axes = _figure(5.2, 0.42 * len(policies) + 1.0)
    ordered = list(reversed(policies))
    places, means = range(len(ordered)), [p[key]["mean"] for p in ordered]
    axes.barh(places, means, color=[_colour(p) for p in ordered], height=0.62)
    reach = _reach(ordered, key)
    axes.errorbar(means, places, xerr=reach, fmt="none", ecolor=INK, elinewidth=1.2, capsize=3)
    axes.set_yticks(list(places), [_label(p["name"]) for p in ordered], parse_math=False)
    axes.margins(x=0.2)
    for place, mean, below, above in zip(places, means, *reach):
        right = mean >= 0
        axes.annotate(
            f"{mean:.{digits}f}", (mean + above if right else mean - below, place), xytext=(5 if right else -5, 0),
            textcoords="offset points", va="center", ha="left" if right else "right", color=INK, fontsize=9,
        )  # fmt: skip
    return _png(figure, axes, "x", title)


def differences_chart(policies: Sequence[Mapping[str, Any]], key: str, title: str) -> bytes:
    """Each policy's paired difference to the baseline as a point with its interval.

    Args:
        policies: entries with ``name``, ``trained`` and ``key: {mean, low, high}``, None for the baseline itself.
        key: which difference.
        title: of the plot.
    """
    figure, axes = _figure(5.2, 0.42 * len(policies) + 1.0)
    ordered = list(reversed(policies))
    axes.axvline(0, color=SOFT, linewidth=1)
    for place, policy in enumerate(ordered):
        if policy.get(key):
            axes.errorbar(policy[key]["mean"], place, xerr=_reach([policy], key), fmt="o", color=INK, ecolor=INK,
                          markerfacecolor=_colour(policy), markersize=8, capsize=3)  # fmt: skip
    axes.set_yticks(range(len(ordered)), [_label(p["name"]) for p in ordered], parse_math=False)
    axes.locator_params(axis="x", nbins=5)
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    return _png(figure, axes, "x", title)


def learning_chart(curve: Sequence[Mapping[str, float]]) -> bytes:
    """Mean return of the finished training episodes against environment steps.

    Args:
        curve: entries with ``step`` and ``return``.
    """
    figure, axes = _figure(7.6, 2.7)
    steps, returns = [p["step"] for p in curve], [p["return"] for p in curve]
    axes.plot(steps, returns, color=ACCENT, linewidth=2, marker="o", markersize=4 if len(curve) < 60 else 0)
    axes.set_xlabel("environment steps", color=SOFT, fontsize=9)
    return _png(figure, axes, "y", "Mean return of recent training episodes")


def iteration_chart(policies: Sequence[Mapping[str, Any]], metric: str) -> bytes:
    """A metric's mean after each iteration, a line per policy in the order of `COLOURS` (six at most).

    Args:
        policies: entries with ``by_iteration: {metric: [after 1, after 2, ...]}``.
        metric: which.
    """
    figure, axes = _figure(3.5, 2.7)
    lines = [policy["by_iteration"].get(metric, []) for policy in policies[: len(COLOURS)]]
    for order, values in reversed(list(enumerate(lines))):
        axes.plot(range(1, len(values) + 1), values, color=COLOURS[order], marker="o", markersize=5,
                  linewidth=2.4 if order == 0 else 1.5)  # fmt: skip
    longest = max(map(len, lines), default=1)
    axes.set_xticks(range(1, longest + 1))
    axes.set_xlim(0.8, longest + 0.2)
    title, better = METRICS.get(metric, (metric, ""))
    axes.set_xlabel(f"iteration   ({better})", color=SOFT, fontsize=9)
    return _png(figure, axes, "y", title)


@dataclass(frozen=True)
class Line:
    """A curve of a small plot.

    Attributes:
        name: in the legend.
        points: a number or ``{mean, low, high}`` for each place on the x axis; None for none.
    """

    name: str
    points: Sequence[Mapping[str, float] | float | None]


def lines_chart(panels: Sequence[tuple[str, Sequence[Line]]], ticks: Sequence[str], label: str) -> bytes:
    """Small plots next to each other, each with a few lines over the same places; the last line is dashed.

    Args:
        panels: title and lines of each, `COLOURS` as many at most.
        ticks: names of the places on the x axis.
        label: of the x axis.
    """
    figure = Figure(figsize=(3.6 * len(panels), 2.9), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        for order, (line, colour) in enumerate(zip(lines, COLOURS)):
            if any(point is not None for point in line.points):
                _line(axes, line, colour, "--" if order == len(lines) - 1 else "-")
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_xlim(-0.3, len(ticks) - 0.7)
        axes.set_xlabel(label, color=SOFT, fontsize=9)
        if axes.has_data():
            axes.legend(fontsize=8, frameon=False, loc="best")
        _styled(axes, "y", title)
    return _encoded(figure)


def _line(axes: Axes, line: Line, colour: str, style: str) -> None:
    places = [place for place, point in enumerate(line.points) if point is not None]
    points = [point if isinstance(point, Mapping) else {"mean": point} for point in line.points if point is not None]
    means = [float(point["mean"]) for point in points]
    below, above = ([abs(mean - _end(point.get(end), mean)) for mean, point in zip(means, points)]
                    for end in ("low", "high"))  # fmt: skip
    axes.errorbar(places, means, yerr=[below, above], color=colour, marker="o", markersize=4, linewidth=1.8,
                  capsize=3, linestyle=style, label=_label(line.name))  # fmt: skip


def _end(value: float | None, mean: float) -> float:
    """An interval's end; the mean itself where there is none."""
    return mean if value is None or not math.isfinite(value) else value


def _label(name: str, length: int = 26) -> str:
    """A text that leaves room for the plot: of a long one, usually a run's path, the end."""
    name = one_line(name)
    return name if len(name) <= length else "\u2026" + name[1 - length :]


def _colour(policy: Mapping[str, Any]) -> str:
    return ACCENT if policy.get("trained") else REST


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _reach(policies: Sequence[Mapping[str, Any]], key: str) -> list[list[float]]:
    """How far the intervals reach below and above the means, as matplotlib wants them; nowhere if there are none."""
    ends = [(p[key]["mean"], p[key].get("low"), p[key].get("high")) for p in policies]
    below = [0.0 if low is None else max(mean - low, 0.0) for mean, low, _ in ends]
    above = [0.0 if high is None else max(high - mean, 0.0) for mean, _, high in ends]
    return [below, above]


def _png(figure: Figure, axes: Axes, grid: Literal["x", "y"], title: str) -> bytes:
    """Finish a figure in the page's style and encode it."""
    _styled(axes, grid, title)
    return _encoded(figure)


def _styled(axes: Axes, grid: Literal["x", "y"], title: str) -> None:
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.tick_params(labelcolor=INK, labelsize=9, length=0)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_title(_label(title, 70), loc="left", fontsize=10.5, color=INK, parse_math=False)


def _encoded(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160, facecolor="white")
    return buffer.getvalue()
