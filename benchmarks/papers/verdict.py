"""Whether a published order comes out here: a rule over paired intervals, so that nobody words a verdict by hand.

A claim says that one row of a published table stands above another in one metric. Here both rows were measured on the
same clips, and the interval of their paired difference decides:

* it lies on the published side of zero: the order is *reproduced*;
* it lies on the other side, or both rows are the same on every clip: *not reproduced*;
* it holds zero, there are too few clips for an interval, or a row was not measured: it *cannot be said*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from videoinpaint.benchmarks.protocol.statistics import (
    CONFIDENCE,
    FEWEST,
    Interval,
    paired_difference,
    significant,
)

REPRODUCED, NOT_REPRODUCED, CANNOT_BE_SAID = "order reproduced", "not reproduced", "cannot be said"
SMALLER, LARGER, ALIKE = "smaller than published", "larger than published", "as published, within the interval"

Row = Mapping[str, Mapping[str, float]]
"""Clip -> metric -> value."""


@dataclass(frozen=True)
class Claim:
    """A published order.

    Attributes:
        a, b: names of the two measured rows.
        metric: measured in both.
        published: what was printed for a minus what was printed for b; only its sign has to come out.
        scenario: of the clips, "" for all.
        paired: whether both rows were measured on the same clips; if not, `b_scenario` says on which b was.
        b_scenario: see `paired`.
        sign_only: the publication says which is higher but not by how much: `published` is +1 or -1.
    """

    a: str
    b: str
    metric: str
    published: float
    scenario: str = ""
    paired: bool = True
    b_scenario: str = ""
    sign_only: bool = False


def difference(a: Row, b: Row, metric: str, *, paired: bool = True) -> tuple[Interval | None, bool, str]:
    """What is known of row a minus row b.

    Args:
        a, b: measured rows.
        metric: which.
        paired: compare on the clips that both have; else means of two groups of clips (Welch's interval).

    Returns:
        the interval, with NaN for its ends where there are fewer than ``FEWEST`` clips, or None where nothing is
        measured in both; whether the rows are the same on all of those clips; and why there is no interval, or "".
    """
    if not paired:
        return _between_groups(_values(a, metric), _values(b, metric))
    common = [clip for clip in a if clip in b and _known(a[clip], metric) and _known(b[clip], metric)]
    if not common:
        return None, False, "not measured in both rows"
    first, second = (np.array([row[clip][metric] for clip in common]) for row in (a, b))
    few = f"only {len(common)} of the {FEWEST} clips that an interval needs" if len(common) < FEWEST else ""
    return paired_difference(first, second), bool((first == second).all()), few


def _between_groups(first: ArrayLike, second: ArrayLike) -> tuple[Interval | None, bool, str]:
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if not len(x) or not len(y):
        return None, False, "one of the two groups of clips is empty"
    mean = float(x.mean() - y.mean())
    if min(len(x), len(y)) < FEWEST:
        few = f"only {min(len(x), len(y))} of the {FEWEST} clips that an interval needs"
        return {"mean": mean, "low": float("nan"), "high": float("nan")}, False, few
    if not x.std() and not y.std():
        return {"mean": mean, "low": mean, "high": mean}, mean == 0, ""
    ends = stats.ttest_ind(x, y, equal_var=False).confidence_interval(CONFIDENCE)
    return {"mean": mean, "low": float(ends.low), "high": float(ends.high)}, False, ""


def judged(claim: Claim, a: Row, b: Row, unmeasured: str = "") -> dict[str, Any]:
    """The verdict on a claim, see the module.

    Args:
        claim: of which.
        a, b: its rows.
        unmeasured: why its metric is not measured at all here, if it is not.

    Returns:
        the claim's fields, ``difference`` (an interval or None), ``verdict``, ``size`` (how the difference compares
        with the published one, where the order is reproduced or the interval at least excludes the published size) and
        ``why`` (why nothing can be said).
    """
    interval, same, why = difference(a, b, claim.metric, paired=claim.paired)
    told = {"scenario": claim.scenario, "a": claim.a, "b": claim.b, "metric": claim.metric,
            "published": None if claim.sign_only else claim.published, "published_sign": int(np.sign(claim.published)),
            "difference": interval}  # fmt: skip
    if claim.b_scenario:
        told["b_scenario"] = claim.b_scenario
    if claim.published == 0:
        return told | {"verdict": CANNOT_BE_SAID, "size": "", "why": "the published values are equal"}
    if interval is None or why:
        return told | {"verdict": CANNOT_BE_SAID, "size": "", "why": unmeasured or why}
    size = "" if claim.sign_only else _size(interval, claim.published)
    if same:
        return told | {"verdict": NOT_REPRODUCED, "size": size, "why": "both rows are the same on every clip"}
    if not significant(interval):
        return told | {"verdict": CANNOT_BE_SAID, "size": size, "why": "the interval holds zero"}
    agrees = (interval["mean"] > 0) == (claim.published > 0)
    return told | {"verdict": REPRODUCED if agrees else NOT_REPRODUCED, "size": size if agrees else "",
                   "why": "" if agrees else "the order is the other way round"}  # fmt: skip


def _size(interval: Interval, published: float) -> str:
    """Seen in the published direction: is the published difference above, below or inside the interval?"""
    low, high = sorted((interval["low"] * np.sign(published), interval["high"] * np.sign(published)))
    return SMALLER if high < abs(published) else LARGER if low > abs(published) else ALIKE


def overall(findings: Sequence[Mapping[str, Any]]) -> str:
    """One verdict over several: an order of rows holds if every pair of it does, and falls with one pair.

    Pairs of which a row was not measured say nothing either way; they are counted.

    Returns:
        "order reproduced (all 4 pairs)", "not reproduced (1 of 4 pairs the other way round or without difference, 2
        reproduced)", "cannot be said (2 of 4 pairs reproduced, none contradicted; 1 more not measured)".
    """
    measured = [one for one in findings if one["difference"] is not None]
    count, missing = len(measured), len(findings) - len(measured)
    more = f"; {missing} more not measured" if missing and count else ""
    good, bad = (sum(one["verdict"] == kind for one in measured) for kind in (REPRODUCED, NOT_REPRODUCED))
    if not count:
        return f"{CANNOT_BE_SAID} ({'no pair was measured' if missing else 'nothing published to compare with'})"
    if bad:
        told = f"{bad} of {count} pairs the other way round or without difference, {good} reproduced"
        return f"{NOT_REPRODUCED} ({told}{more})"
    if good == count:
        return f"{REPRODUCED} ({f'all {count} pairs' if count > 1 else 'the one pair'}{more})"
    return f"{CANNOT_BE_SAID} ({good} of {count} pairs reproduced, none contradicted{more})"


def _known(metrics: Mapping[str, Any], metric: str) -> bool:
    value = metrics.get(metric)
    return value is not None and bool(np.isfinite(value))


def _values(row: Row, metric: str) -> list[float]:
    return [metrics[metric] for metrics in row.values() if _known(metrics, metric)]
