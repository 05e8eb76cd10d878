"""Estimates with honest intervals: interquartile mean, bootstraps that respect clips and training seeds.

The first three follow Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (NeurIPS
2021). Scores are arrays ``(runs, tasks)``: a run is a training seed, a task a suite or a group of episodes. The paired
bootstrap is for what this package measures most, differences between two policies or networks on the same clips.

Every interval is a plain dict ``{"mean", "low", "high"}``, where "mean" is the statistic on the data itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from videoinpaint.errors import InputError

Interval = dict[str, float]
Statistic = Callable[[NDArray[np.float64]], float]

CONFIDENCE = 0.95
REPEATS = 5000
RANKING_REPEATS = 10_000
FEWEST = 5
"""Clips below which an interval over clips is not given."""
_AT_ONCE = 2_000_000


def interquartile_mean(values: ArrayLike) -> float:
    """The mean of the middle half of all values: 25% are trimmed from each end, whatever their run or task."""
    return float(stats.trim_mean(_finite(values).ravel(), 0.25))


def stratified_bootstrap(
    scores: ArrayLike,
    statistic: Statistic = interquartile_mean,
    *,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Interval:
    """A percentile interval of a statistic of ``scores (runs, tasks)``: runs are redrawn within each task.

    One run says nothing about how runs differ: its interval would have width zero, so it is NaN instead.

    Args:
        scores: ``(runs, tasks)``.
        statistic: of a resampled ``(runs, tasks)``.
        repeats: bootstrap samples.
        seed: of the resampling.

    Raises:
        InputError: another shape, no value, or NaN.
    """
    array = _matrix(scores)
    runs, tasks = array.shape
    mean = float(statistic(array))
    if runs < 2:
        return {"mean": mean, "low": float("nan"), "high": float("nan")}
    rng = np.random.default_rng(seed)
    columns = np.arange(tasks)
    drawn = [statistic(array[rng.integers(runs, size=(runs, tasks)), columns]) for _ in range(repeats)]
    return _interval(mean, np.asarray(drawn), CONFIDENCE)


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """P(X > Y) for a random run of each, averaged over tasks; ties count half (the Mann-Whitney statistic).

    Args:
        x: scores ``(runs, tasks)``.
        y: scores ``(runs of y, tasks)``.
    """
    a, b = _matrix(x), _matrix(y)
    if a.shape[1] != b.shape[1]:
        raise InputError(f"both need the same tasks, got {a.shape[1]} and {b.shape[1]}")
    difference = a[:, None, :] - b[None, :, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def mean_known(values: Sequence[float | None]) -> float | None:
    """The mean; None where one of the values is not known."""
    known = [float(value) for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def mean_interval(values: ArrayLike, *, repeats: int = REPEATS, seed: int = 0) -> Interval:
    """The mean over clips with its interval; ``values`` is ``(clips,)`` or ``(training seeds, clips)``.

    Clips are drawn first, then training seeds, both with replacement: a claim is meant for other clips and another
    training, not for these. Few clips make the plain percentile interval too short, so its ends are moved out to
    where Student's t puts them (Hesterberg, 2015: the expanded percentile interval).

    Fewer than ``FEWEST`` clips give an interval of NaN: resampling them cannot say how clips differ.
    """
    array = np.atleast_2d(_finite(values))
    seeds, clips = array.shape
    mean = float(array.mean())
    if clips < FEWEST:
        return {"mean": mean, "low": float("nan"), "high": float("nan")}
    rng = np.random.default_rng(seed)
    chosen = rng.integers(clips, size=(repeats, clips))
    counts = np.stack([np.bincount(row, minlength=clips) for row in chosen]) / clips
    by_seed = counts @ array.T  # (repeats, seeds): each training seed's mean over the drawn clips
    picks = rng.integers(seeds, size=(repeats, seeds))
    drawn = np.take_along_axis(by_seed, picks, axis=1).mean(axis=1)
    return _interval(mean, drawn, _expanded(clips))


def paired_difference(a: ArrayLike, b: ArrayLike, *, repeats: int = REPEATS, seed: int = 0) -> Interval:
    """The mean of ``a - b`` on the same clips with its interval; see :func:`mean_interval`.

    Args:
        a: ``(clips,)`` or ``(training seeds, clips)``.
        b: the same clips; one row if it has no training seed. Two methods with the same number of seeds are not
            paired by seed, because seed 1 of one has nothing to do with seed 1 of the other: b's rows are averaged.
    """
    first, second = np.atleast_2d(_finite(a)), np.atleast_2d(_finite(b))
    if first.shape[1] != second.shape[1]:
        raise InputError(f"a paired difference needs the same clips, got {first.shape[1]} and {second.shape[1]}")
    if len(second) == 1:
        return mean_interval(first - second, repeats=repeats, seed=seed)
    return _two_trained(first, second, repeats, seed)


def middle_interval(values: ArrayLike, *, repeats: int = RANKING_REPEATS, seed: int = 0) -> Interval:
    """The interquartile mean over training seeds and clips with its interval; otherwise as :func:`mean_interval`.

    Args:
        values: ``(clips,)`` or ``(training seeds, clips)``.
    """
    array = np.atleast_2d(_finite(values))
    zero = np.zeros((1, array.shape[1]))
    return middle_difference(array, zero, repeats=repeats, seed=seed)


def middle_difference(a: ArrayLike, b: ArrayLike, *, repeats: int = RANKING_REPEATS, seed: int = 0) -> Interval:
    """The difference of two interquartile means on the same clips with its interval: a paired hierarchical bootstrap.

    Every resample draws clips, the same for both, then training seeds of each, independently. Its ends are moved out
    as in :func:`mean_interval`; fewer than ``FEWEST`` clips give an interval of NaN.

    Args:
        a: ``(clips,)`` or ``(training seeds, clips)``.
        b: the same clips, with seeds of its own.
    """
    sides = [np.atleast_2d(_finite(one)) for one in (a, b)]
    clips = sides[0].shape[1]
    if sides[1].shape[1] != clips:
        raise InputError(f"a paired difference needs the same clips, got {clips} and {sides[1].shape[1]}")
    mean = interquartile_mean(sides[0]) - interquartile_mean(sides[1])
    if clips < FEWEST:
        return {"mean": mean, "low": float("nan"), "high": float("nan")}
    rng = np.random.default_rng(seed)
    drawn = np.empty(repeats)
    step = max(1, _AT_ONCE // (clips * max(len(side) for side in sides)))  # resamples at a time, which bounds memory
    for start in range(0, repeats, step):
        count = min(step, repeats - start)
        columns = rng.integers(clips, size=(count, 1, clips))
        middles = []
        for side in sides:
            rows = rng.integers(len(side), size=(count, len(side), 1))
            middles.append(stats.trim_mean(side[rows, columns].reshape(count, -1), 0.25, axis=1))
        drawn[start : start + count] = middles[0] - middles[1]
    return _interval(mean, drawn, _expanded(clips))


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> NDArray[np.float64]:
    """The share of all runs and clips at or above each threshold (Agarwal et al., Section 4.2, read upwards)."""
    values = _finite(scores).ravel()
    return (values[None, :] >= np.asarray(thresholds, dtype=np.float64)[:, None]).mean(axis=1)


def tied_ranks(scores: ArrayLike, differs: Callable[[int, int], bool]) -> list[int]:
    """Ranks from 1, where those that cannot be told from the best of their group share its rank.

    By falling score: the first leads a group; whoever comes next shares the leader's rank, unless it differs from the
    leader: then it leads the next group, and its rank is one more than how many stand before it.

    Args:
        scores: one each; equal ones stand in the order given.
        differs: whether two of them, by index, the better one first, are told apart.
    """
    values = np.atleast_1d(_finite(scores))
    order = np.argsort(-values, kind="stable").tolist()
    ranks = [0] * len(order)
    leader = order[0]
    for place, one in enumerate(order, 1):
        if place == 1 or differs(leader, one):
            leader, ranks[one] = one, place
        else:
            ranks[one] = ranks[leader]
    return ranks


def pareto_front(costs: ArrayLike, scores: ArrayLike) -> list[bool]:
    """Which entries no other one beats: costs no more and scores no less, and one of the two strictly."""
    cost, score = np.atleast_1d(_finite(costs)), np.atleast_1d(_finite(scores))
    no_worse = (cost[None, :] <= cost[:, None]) & (score[None, :] >= score[:, None])
    better = (cost[None, :] < cost[:, None]) | (score[None, :] > score[:, None])
    return [not bool(row.any()) for row in no_worse & better]


def significant(interval: Interval) -> bool:
    """Whether an interval of a difference excludes zero."""
    return interval["low"] > 0 or interval["high"] < 0


def _two_trained(a: NDArray, b: NDArray, repeats: int, seed: int) -> Interval:
    """Both sides were trained: the same clips are drawn for both, training seeds independently."""
    clips = a.shape[1]
    mean = float(a.mean() - b.mean())
    if clips < FEWEST:
        return {"mean": mean, "low": float("nan"), "high": float("nan")}
    rng = np.random.default_rng(seed)
    drawn = np.empty(repeats)
    for index in range(repeats):
        columns = rng.integers(clips, size=clips)
        rows = [rng.integers(len(side), size=len(side)) for side in (a, b)]
        drawn[index] = a[np.ix_(rows[0], columns)].mean() - b[np.ix_(rows[1], columns)].mean()
    return _interval(mean, drawn, _expanded(clips))


def _expanded(count: int) -> float:
    """The percentile interval's confidence at which it is as long as Student's for ``count`` independent values."""
    reach = np.sqrt(count / (count - 1)) * stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1)
    return float(2 * stats.norm.cdf(reach) - 1)


def _interval(mean: float, drawn: NDArray[np.float64], confidence: float) -> Interval:
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return {"mean": mean, "low": float(low), "high": float(high)}


def _matrix(scores: ArrayLike) -> NDArray[np.float64]:
    array = _finite(scores)
    if array.ndim != 2:
        raise InputError(f"scores must have shape (runs, tasks), got {array.shape}")
    return array


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim > 2 or array.size == 0 or not np.isfinite(array).all():
        raise InputError(f"statistics need finite numbers in one or two dimensions, got shape {array.shape}")
    return array
