"""How far a replay may be off: every kind of number has its own limit, and words, counts and gaps have none."""

from __future__ import annotations

import pytest

from videoinpaint.benchmarks.leaderboard.judging.tolerance import TOLERANCES, differences

RECORD = {
    "clip": "a",
    "policy": "one",
    "observations": ["ab"],
    "actions": [[0.0] * 5],
    "seconds_per_frame": 0.1,
    "episode_return": 0.5,
    "gflops": 12.0,
    "mask_iou": None,
    "metrics": {"psnr": 30.0, "ssim": 0.9},
    "measures": {"e_warp_hole": 1.0},
    "reward_terms": [{"psnr": 0.1}],
    "rewards": [0.5],
}


def found(precision="float32", **changed):
    return differences(RECORD, RECORD | changed, precision)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda x: {"episode_return": 0.5 + x}, ""),
        (lambda x: {"rewards": [0.5 - x]}, ""),
        (lambda x: {"metrics": {"psnr": 30.0, "ssim": 0.9 + x}}, ""),
        (lambda x: {"metrics": {"psnr": 30.0 - x, "ssim": 0.9}}, "psnr"),
        (lambda x: {"gflops": 12.0 + x}, "gflops"),
        (lambda x: {"measures": {"e_warp_hole": 1.0 + x}}, "e_warp"),
        (lambda x: {"reward_terms": [{"psnr": 0.1 + x}]}, ""),  # a share of a reward, and not dB
    ],
)
@pytest.mark.parametrize("precision", TOLERANCES)
def test_a_number_may_be_off_by_what_its_kind_allows(change, kind, precision):
    allowed = TOLERANCES[precision][kind]
    assert allowed <= (1e-3 if precision == "float32" else 1e-2)
    largest, wrong = found(precision, **change(0.9 * allowed))
    assert wrong == []
    assert largest[kind] == pytest.approx(0.9 * allowed)
    _, wrong = found(precision, **change(1.1 * allowed))
    assert len(wrong) == 1
    assert "differs by" in wrong[0]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"clip": "b"}, "clip is 'a' in one and 'b'"),
        ({"mask_iou": 0.5}, "mask_iou is None in one and 0.5"),
        ({"episode_return": float("nan")}, "episode_return differs by nan"),
        ({"episode_return": "0.5"}, "episode_return is 0.5"),
        ({"rewards": [0.5, None]}, "rewards.count is '1' in one and '2'"),
        ({"measures": {}}, "measures.e_warp_hole is 1.0 in one and None"),
    ],
)
def test_what_is_no_number_must_be_the_same(changed, told):
    _, wrong = found(**changed)
    assert told in "; ".join(wrong)


def test_times_names_and_what_was_seen_are_left_out():
    assert found(policy="two", seconds_per_frame=9.0, observations=["cd"], actions=[[1.0] * 5])[1] == []
    assert found(measures=RECORD["measures"] | {"seconds_per_frame": 1.0})[1]
