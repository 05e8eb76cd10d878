"""Verdicts follow from intervals, whatever one would like to read."""

from __future__ import annotations

import math

import numpy as np
import pytest

from videoinpaint.benchmarks.papers.verdict import (
    ALIKE,
    CANNOT_BE_SAID,
    LARGER,
    NOT_REPRODUCED,
    REPRODUCED,
    SMALLER,
    Claim,
    difference,
    judged,
    overall,
)


def row(values, metric="psnr"):
    return {f"clip {index}": {metric: float(value)} for index, value in enumerate(values)}


def noisy(shift, count=12, spread=0.1, seed=0):
    """Two rows whose difference is about `shift`, on clips that differ among each other by much more."""
    rng = np.random.default_rng(seed)
    base = rng.normal(30, 3, count)
    return row(base + shift + rng.normal(0, spread, count)), row(base)


def claim(published=1.0, **others):
    return Claim("a", "b", "psnr", published, **others)


@pytest.mark.parametrize(
    ("shift", "published", "verdict"),
    [
        (1.0, 1.0, REPRODUCED),
        (-1.0, -2.0, REPRODUCED),
        (1.0, -1.0, NOT_REPRODUCED),
        (-1.0, 1.0, NOT_REPRODUCED),
        (0.0, 1.0, CANNOT_BE_SAID),
        (0.0, -1.0, CANNOT_BE_SAID),
    ],
)
def test_the_side_of_zero_decides(shift, published, verdict):
    found = judged(claim(published), *noisy(shift, seed=3))
    assert found["verdict"] == verdict
    assert (found["why"] == "") == (verdict == REPRODUCED)
    assert found["difference"]["mean"] == pytest.approx(shift, abs=0.1)


def test_clips_that_differ_do_not_hide_a_difference_that_is_the_same_on_all_of_them():
    assert judged(claim(), *noisy(0.3))["verdict"] == REPRODUCED


@pytest.mark.parametrize(("published", "size"), [(1.0, ALIKE), (2.0, SMALLER), (0.2, LARGER), (-2.0, "")])
def test_the_size_is_told_where_the_order_agrees(published, size):
    assert judged(claim(published), *noisy(1.0))["size"] == size


@pytest.mark.parametrize("sign", [1, -1])
def test_sizes_are_seen_in_the_published_direction(sign):
    a, b = noisy(sign * 1.0)
    assert judged(claim(sign * 2.0), a, b)["size"] == SMALLER
    assert judged(claim(sign * 0.2), a, b)["size"] == LARGER


def test_an_interval_that_holds_zero_may_still_exclude_the_published_size():
    found = judged(claim(2.0), *noisy(0.0, seed=3))
    assert (found["verdict"], found["size"]) == (CANNOT_BE_SAID, SMALLER)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_of_few_clips_nothing_is_said_however_far_apart_the_rows_are(count):
    found = judged(claim(), *noisy(20.0, count=count))
    assert found["verdict"] == CANNOT_BE_SAID
    assert f"only {count} of the 5 clips" in found["why"]
    assert found["difference"]["mean"] == pytest.approx(20, abs=0.5)
    assert judged(claim(), *noisy(20.0, count=5))["verdict"] == REPRODUCED


def test_rows_that_are_the_same_on_every_clip_contradict_a_published_difference():
    a, _ = noisy(0)
    found = judged(claim(0.5), a, a)
    assert found["verdict"] == NOT_REPRODUCED
    assert "same on every clip" in found["why"]
    few = judged(claim(0.5), *[row([1.0, 2.0])] * 2)
    assert few["verdict"] == CANNOT_BE_SAID


def test_what_was_not_measured_cannot_be_said():
    a, b = noisy(1)
    for first, second in (({}, b), (a, {}), ({}, {}), (a, row(range(12), "lpips"))):
        found = judged(claim(), first, second)
        assert (found["verdict"], found["difference"]) == (CANNOT_BE_SAID, None)


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_clips_without_a_finite_value_do_not_count(value):
    a, b = noisy(1)
    a["clip 3"]["psnr"] = value
    interval, _, why = difference(a, b, "psnr")
    assert why == ""
    del a["clip 3"]
    assert interval == difference(a, b, "psnr")[0]


def test_only_common_clips_are_compared():
    a, b = noisy(1)
    b["another"] = {"psnr": 1000.0}
    assert judged(claim(), a, b)["verdict"] == REPRODUCED


def test_equal_published_values_claim_nothing():
    found = judged(claim(0.0), *noisy(1.0))
    assert found["verdict"] == CANNOT_BE_SAID
    assert "equal" in found["why"]


def test_a_claim_without_a_size_has_none_in_its_verdict():
    found = judged(claim(1.0, sign_only=True), *noisy(0.01, spread=0.001))
    assert (found["verdict"], found["size"], found["published"]) == (REPRODUCED, "", None)
    assert found["published_sign"] == 1


def test_groups_of_different_clips_are_compared_without_pairs():
    rng = np.random.default_rng(0)
    hard, easy = row(rng.normal(9, 1, 8)), {f"other {i}": {"psnr": v} for i, v in enumerate(rng.normal(5, 1, 7))}
    unpaired = claim(4.0, scenario="hard", paired=False, b_scenario="easy")
    assert judged(unpaired, hard, easy)["verdict"] == REPRODUCED
    assert judged(unpaired, easy, hard)["verdict"] == NOT_REPRODUCED
    assert judged(unpaired, hard, {})["verdict"] == CANNOT_BE_SAID
    assert judged(unpaired, hard, dict(list(easy.items())[:4]))["verdict"] == CANNOT_BE_SAID
    # Paired, the two groups have no clip in common.
    assert judged(claim(4.0), hard, easy)["verdict"] == CANNOT_BE_SAID


def test_groups_of_constant_values_have_an_interval():
    assert judged(claim(1.0, paired=False), row([12.0] * 6), row([4.0] * 6))["verdict"] == REPRODUCED
    assert judged(claim(1.0, paired=False), row([4.0] * 6), row([4.0] * 6))["verdict"] == NOT_REPRODUCED


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(100):
        base = rng.normal(30, 3, 8)
        false += judged(claim(), row(base + rng.normal(0, 1, 8)), row(base))["verdict"] != CANNOT_BE_SAID
    assert false <= 14  # five are expected


@pytest.mark.parametrize(
    ("verdicts", "told"),
    [
        ([REPRODUCED], f"{REPRODUCED} (the one pair)"),
        ([REPRODUCED] * 3, f"{REPRODUCED} (all 3 pairs)"),
        ([REPRODUCED, None], f"{REPRODUCED} (the one pair; 1 more not measured)"),
        ([REPRODUCED, CANNOT_BE_SAID], f"{CANNOT_BE_SAID} (1 of 2 pairs"),
        ([CANNOT_BE_SAID], f"{CANNOT_BE_SAID} (0 of 1"),
        ([REPRODUCED, REPRODUCED, NOT_REPRODUCED], f"{NOT_REPRODUCED} (1 of 3 pairs"),
        ([NOT_REPRODUCED, CANNOT_BE_SAID], f"{NOT_REPRODUCED} (1 of 2"),
        ([NOT_REPRODUCED, None], f"{NOT_REPRODUCED} (1 of 1 pairs the other way round or without difference, 0 repr"),
        ([None, None], f"{CANNOT_BE_SAID} (no pair was measured)"),
        ([], f"{CANNOT_BE_SAID} (nothing published"),
    ],
)
def test_an_order_of_rows_holds_if_every_pair_does_and_falls_with_one(verdicts, told):
    findings = [{"verdict": verdict or CANNOT_BE_SAID, "difference": verdict and {}} for verdict in verdicts]
    assert overall(findings).startswith(told)
