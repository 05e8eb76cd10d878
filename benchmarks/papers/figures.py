"""Figures 7 and 8 as measured here, with the published curves beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from videoinpaint.benchmarks.papers.clip_rl import ITERATIONS, WEIGHTS
from videoinpaint.benchmarks.papers.verdict import difference
from videoinpaint.benchmarks.report.charts import Line, lines_chart


def iterations(results: Mapping[str, Any]) -> bytes:
    """What iterations gain over none, paired over clips, in PSNR and SSIM, and how many times the GFLOPs they take.

    A line for each policy, and one as printed. Plain means would hide the gain behind the differences between clips.
    """
    rows = results["scenarios"].get("", {})
    bare, *others = rows
    known = {one["row"]: one["values"] for one in results["printed"]}
    panels = []
    for metric, title in (("psnr", "PSNR gained (dB)"), ("ssim65", "SSIM gained"), ("gflops", "GFLOPs, times as many")):
        lines = []
        for group in _groups(others, len(ITERATIONS) - 1):
            name = group[0].partition(", ")[2] or "measured"
            lines.append(Line(name, [_gain(rows[row], rows[bare], metric) for row in [bare, *group]]))
        printed = [known.get(row, {}).get(metric) for row in [bare, *others[: len(ITERATIONS) - 1]]]
        lines.append(Line("published", [_than(value, printed[0], metric) for value in printed]))
        panels.append((title, lines))
    return lines_chart(panels, [str(count) for count in ITERATIONS], "iterations")


def _gain(row: Mapping[str, Any], bare: Mapping[str, Any], metric: str) -> Mapping[str, float] | float | None:
    """Over no iteration: a difference with its interval, of costs the ratio of means."""
    if metric == "gflops":
        values = [[clip.get(metric, np.nan) for clip in one["clips"].values()] for one in (row, bare)]
        ratio = float(np.mean(values[0]) / np.mean(values[1]))
        return ratio if np.isfinite(ratio) else None
    return difference(row["clips"], bare["clips"], metric)[0]


def _than(value: float | None, first: float | None, metric: str) -> float | None:
    if value is None or first is None:
        return None
    return value / first if metric == "gflops" else value - first


def trajectories(results: Mapping[str, Any]) -> bytes:
    """alpha, beta and gamma by iteration, a line for each policy, and as far as the text names them."""
    rows = results["scenarios"].get("", {})
    known = {one["row"]: one["values"] for one in results["printed"]}
    policies: dict[str, list[str]] = {}
    for row in rows:
        policies.setdefault(row.rpartition(", ")[0], []).append(row)
    panels = []
    for weight in WEIGHTS:
        lines = [Line(name, [rows[row]["means"].get(weight) for row in own]) for name, own in policies.items()]
        first = next(iter(policies.values()))
        lines.append(Line("published", [known.get(row, {}).get(weight) for row in first]))
        panels.append((weight, lines))
    longest = max(map(len, policies.values()))
    return lines_chart(panels, [str(count + 1) for count in range(longest)], "iteration")


def _groups(rows: Sequence[str], size: int) -> list[Sequence[str]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
