"""The estimators against their definitions, and intervals against how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from videoinpaint.benchmarks.protocol.statistics import (
    interquartile_mean,
    mean_interval,
    middle_difference,
    middle_interval,
    paired_difference,
    pareto_front,
    performance_profile,
    probability_of_improvement,
    significant,
    stratified_bootstrap,
    tied_ranks,
)
from videoinpaint.errors import InputError


def coverage(interval, make, truth, trials=300):
    held = 0
    for trial in range(trials):
        bounds = interval(make(np.random.default_rng(trial)), trial)
        held += bounds["low"] <= truth <= bounds["high"]
    return held / trials


def test_interquartile_mean_is_the_mean_of_the_middle_half_of_all_runs_and_tasks():
    assert interquartile_mean([[1, 2, 3, 4], [5, 6, 7, 1000]]) == pytest.approx((3 + 4 + 5 + 6) / 4)
    scores = np.random.default_rng(0).normal(size=(5, 7))
    assert interquartile_mean(scores) == pytest.approx(stats.trim_mean(scores, 0.25, axis=None))


def test_stratified_bootstrap_redraws_runs_within_tasks_only():
    # Tasks differ wildly, runs not at all: an interval that mixed tasks would be wide.
    scores = np.tile([0.0, 10.0, 100.0], (4, 1))
    interval = stratified_bootstrap(scores, repeats=200)
    assert interval["low"] == interval["high"] == interval["mean"] == interquartile_mean(scores)


def test_stratified_bootstrap_matches_the_standard_error_of_the_mean():
    scores = np.random.default_rng(1).normal(size=(40, 3))
    interval = stratified_bootstrap(scores, lambda s: float(s.mean()), repeats=2000)
    error = np.sqrt((scores.var(axis=0) / 40).sum()) / 3
    assert interval["high"] - interval["low"] == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_stratified_bootstrap_redraws_the_runs_of_every_task_by_themselves():
    # What one task loses by a run another gains: runs redrawn for all tasks at once would have no spread.
    first = np.random.default_rng(2).normal(size=(40, 1))
    interval = stratified_bootstrap(np.hstack([first, -first]), lambda s: float(s.mean()), repeats=2000)
    error = np.sqrt(2 * first.var() / 40) / 2
    assert interval["high"] - interval["low"] == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_a_single_run_has_no_interval_rather_than_one_of_width_zero():
    interval = stratified_bootstrap([[1.0, 2.0, 3.0]], repeats=10)
    assert interval["mean"] == 2.0
    assert np.isnan(interval["low"])
    assert np.isnan(interval["high"])


def test_probability_of_improvement_is_the_mann_whitney_statistic_averaged_over_tasks():
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 5, size=(6, 4)).astype(float), rng.integers(0, 5, size=(9, 4)).astype(float)
    expected = [stats.mannwhitneyu(x[:, t], y[:, t]).statistic / (6 * 9) for t in range(4)]
    assert probability_of_improvement(x, y) == pytest.approx(np.mean(expected))
    assert probability_of_improvement(x, y) + probability_of_improvement(y, x) == pytest.approx(1)
    assert probability_of_improvement(x, x[:, :]) == pytest.approx(0.5)
    assert probability_of_improvement(x + 10, y) == 1.0


@pytest.mark.parametrize("clips", [8, 14, 40])
def test_intervals_over_clips_hold_the_mean_as_often_as_they_say(clips):
    def interval(sample, trial):
        return mean_interval(sample, repeats=400, seed=trial)

    assert 0.92 <= coverage(interval, lambda rng: rng.normal(1.0, 2.0, clips), 1.0) <= 0.985
    assert 0.88 <= coverage(interval, lambda rng: rng.exponential(1.0, clips), 1.0) <= 0.985


def test_intervals_cover_other_clips_and_other_trainings():
    """Clip and seed effects, crossed: an interval that resampled clips alone would hold the mean far less often."""

    def make(rng):
        return rng.normal(0, 1, (5, 1)) + rng.normal(0, 1, (1, 20)) + rng.normal(0, 0.3, (5, 20))

    both = coverage(lambda sample, trial: mean_interval(sample, repeats=300, seed=trial), make, 0.0)
    clips_only = coverage(lambda sample, trial: mean_interval(sample.mean(0), repeats=300, seed=trial), make, 0.0)
    assert both >= 0.85
    assert clips_only < both - 0.1


def test_pairing_removes_what_clips_share():
    rng = np.random.default_rng(3)
    clip = rng.normal(0, 10, 20)
    a, b = clip + 0.3 + rng.normal(0, 0.1, 20), clip + rng.normal(0, 0.1, 20)
    difference = paired_difference(a, b)
    assert significant(difference)
    assert difference["mean"] == pytest.approx((a - b).mean())
    assert not significant(mean_interval(a))
    assert not significant(paired_difference(a, a))


def test_two_trained_methods_are_paired_by_clip_and_not_by_seed():
    rng = np.random.default_rng(4)
    a, b = rng.normal(0, 1, (5, 12)), rng.normal(0, 1, (5, 12))
    one, other = paired_difference(a, b, repeats=2000), paired_difference(a, b[::-1], repeats=2000)
    assert one["mean"] == pytest.approx(other["mean"])
    assert one["high"] - one["low"] == pytest.approx(other["high"] - other["low"], rel=0.1)
    backwards = paired_difference(b, a, repeats=2000)
    assert backwards["mean"] == pytest.approx(-one["mean"])


def test_same_seed_same_interval():
    values = np.random.default_rng(5).normal(size=(3, 9))
    assert mean_interval(values, seed=7) == mean_interval(values, seed=7)
    assert mean_interval(values, seed=7) != mean_interval(values, seed=8)


def test_few_clips_have_no_interval():
    assert np.isnan(mean_interval([1.0, 2.0])["low"])
    assert mean_interval([1.0, 2.0])["mean"] == 1.5


@pytest.mark.parametrize(
    "call",
    [
        lambda: interquartile_mean([]),
        lambda: interquartile_mean([1.0, np.nan]),
        lambda: stratified_bootstrap([1.0, 2.0]),
        lambda: paired_difference([1.0, 2.0], [1.0, 2.0, 3.0]),
        lambda: probability_of_improvement([[1.0, 2.0]], [[1.0]]),
    ],
)
def test_unusable_scores_are_refused(call):
    with pytest.raises(InputError):
        call()


def test_intervals_of_interquartile_means_hold_the_truth_and_pair_by_clip():
    rng = np.random.default_rng(6)
    clip = rng.normal(0, 10, 24)
    a, b = clip + 0.3 + rng.normal(0, 0.1, (5, 24)), clip + rng.normal(0, 0.1, (3, 24))
    difference = middle_difference(a, b, repeats=2000)
    assert difference["low"] < 0.3 < difference["high"]
    assert significant(difference)
    assert not significant(middle_difference(a, a, repeats=2000))
    assert difference["mean"] == pytest.approx(interquartile_mean(a) - interquartile_mean(b))
    assert middle_interval(a, repeats=500) == middle_interval(a, repeats=500)
    assert np.isnan(middle_interval(a[:, :4])["low"])
    held = coverage(lambda x, t: middle_interval(x, repeats=300, seed=t), lambda r: r.normal(1, 2, 24), 1.0, 200)
    assert 0.9 <= held <= 0.995


def test_performance_profiles_count_what_lies_at_or_above():
    assert performance_profile([[1, 2], [3, 4]], [0, 2, 3.5, 9]).tolist() == [1, 0.75, 0.25, 0]


def test_ties_are_with_the_best_of_a_group():
    """b and c cannot be told apart, but c can from a, which leads: so c begins the next group."""
    scores = [3.0, 2.9, 2.0, 1.9, 0.0]
    apart = {(0, 2), (0, 3), (0, 4), (2, 4)}
    assert tied_ranks(scores, lambda x, y: (x, y) in apart) == [1, 1, 3, 3, 5]
    assert tied_ranks(scores[::-1], lambda x, y: (4 - x, 4 - y) in apart) == [5, 3, 3, 1, 1]
    assert tied_ranks(scores, lambda x, y: False) == [1] * 5
    assert tied_ranks([1.0], lambda x, y: True) == [1]


def test_the_front_is_what_nothing_beats():
    assert pareto_front([1, 2, 3, 2], [1, 3, 2, 3]) == [True, True, False, True]


def test_intervals_are_as_long_as_students_for_few_clips():
    """On 8 clips a plain percentile interval is a fifth too short."""
    clips = stats.norm.ppf((np.arange(8) + 0.5) / 8)
    low, high = stats.t.interval(0.95, 7, clips.mean(), stats.sem(clips))
    alone = mean_interval(clips, repeats=20000)
    trained = paired_difference(np.stack([clips, clips]), np.zeros((2, 8)), repeats=5000)
    for interval in (alone, trained):
        assert interval["high"] - interval["low"] == pytest.approx(high - low, rel=0.03)
    rng, middle = np.random.default_rng(9), middle_interval(clips)
    low, high = np.quantile([interquartile_mean(rng.choice(clips, 8)) for _ in range(2000)], [0.025, 0.975])
    assert middle["high"] - middle["low"] > 1.1 * (high - low)


def test_fewer_outliers_than_a_quarter_move_no_interquartile_mean_nor_its_interval():
    scores = np.random.default_rng(7).uniform(size=1000)
    scores[:210] = 1e6
    middle = middle_interval(scores, repeats=500)
    assert middle["low"] <= middle["mean"] <= middle["high"] < 1


def test_differences_of_trained_methods_are_without_what_clips_share():
    rng = np.random.default_rng(8)
    clip = rng.normal(0, 10, 20)
    a, b = clip + 0.3 + rng.normal(0, 0.1, (3, 20)), clip + rng.normal(0, 0.1, (4, 20))
    assert significant(paired_difference(a, b, repeats=1000))
    assert significant(middle_difference(a, b, repeats=1000))


def test_the_worse_of_two_that_cost_alike_and_the_dearer_of_two_as_good_are_beaten():
    assert pareto_front([1, 1, 2], [1, 2, 2]) == [False, True, False]
