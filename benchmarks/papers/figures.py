"""Figures 7 and 8 as measured here, with the published curves beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from videoinpaint.benchmarks.report.charts import Line, lines_chart


def iterations(results: Mapping[str, Any]) -> bytes:
    """PSNR, SSIM and GFLOPs by the number of iterations: measured on the left axis, as printed on the right one."""
    panels = []
    rows = list(results["scenarios"].get("", {}).items())
    known = {one["row"]: one["values"] for one in results["printed"]}
    for metric, title in (("psnr", "PSNR (dB)"), ("ssim65", "SSIM"), ("gflops", "GFLOPs a clip")):
        measured = [row["means"].get(metric) for _, row in rows]
        printed = [known.get(name, {}).get(metric) for name, _ in rows]
        panels.append((title, [Line("measured", measured), Line("published", printed, other_axis=True)]))
    return lines_chart(panels, [str(count) for count in range(len(rows))], "iterations")


def trajectories(results: Mapping[str, Any]) -> bytes:
    """alpha, beta and gamma by iteration, measured and as far as the text names them."""
    panels = []
    rows = list(results["scenarios"].get("", {}).items())
    known = {one["row"]: one["values"] for one in results["printed"]}
    for weight in ("alpha", "beta", "gamma"):
        measured = [row["means"].get(weight) for _, row in rows]
        printed = [known.get(name, {}).get(weight) for name, _ in rows]
        panels.append((weight, [Line("measured", measured), Line("published", printed)]))
    return lines_chart(panels, [name.rpartition(" ")[2] for name, _ in rows], "iteration")
