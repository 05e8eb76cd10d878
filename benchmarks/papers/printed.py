"""Published rows and orders in the form in which they are compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from videoinpaint.benchmarks.papers.experiment import Printed
from videoinpaint.benchmarks.papers.verdict import Claim

NAMES = {"ssim65": "ssim", "psnr_hole": "psnr", "ssim_hole": "ssim", "mask_j_and_f": "j_and_f", "heads": "avg_active"}
"""Metric as measured -> as the published tables call it, where that differs."""

SCALES = {"mask_j_and_f": 0.01}
"""By what a published value is multiplied."""


def values(row: Mapping[str, Any], metrics: Iterable[str], names: Mapping[str, str] = NAMES) -> dict[str, float]:
    """A published row's values under the names of our metrics; what was not printed is left out."""
    found = {metric: row.get(names.get(metric, metric)) for metric in metrics}
    return {metric: value * SCALES.get(metric, 1) for metric, value in found.items() if value is not None}


def orders(printed: Sequence[Printed], pairs: Iterable[tuple[str, str, str]], metrics: Iterable[str]) -> list[Claim]:
    """The claims that printed rows make on measured ones.

    Args:
        printed: rows that stand for measured ones (`Printed.row`).
        pairs: scenario and two measured rows; pairs without two printed rows, or with equal values, make no claim.
        metrics: in which.
    """
    table = {(one.scenario, one.row): one.values for one in printed if one.row}
    chosen = list(metrics)
    return [
        Claim(a, b, metric, first[metric] - second[metric], scenario)
        for scenario, a, b in pairs
        for first, second in [(table.get((scenario, a), {}), table.get((scenario, b), {}))]
        for metric in chosen
        if metric in first and metric in second and first[metric] != second[metric]
    ]
