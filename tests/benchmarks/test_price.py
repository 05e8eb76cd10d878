"""The price benchmark: free heads never lose to dear ones, and everything it says is there."""

import pytest

from videoinpaint.benchmarks.policies.price import Price, report, run
from videoinpaint.errors import InputError


def test_dearer_compute_never_asks_for_more_heads(capsys):
    flags = Price(
        suites=("studio:easy",), heads=(2, 12), prices=(0.0, 0.01, 10.0), episodes=2, num_frames=2, height=40, width=72
    )
    result = run(flags)
    found = result["suites"]["studio:easy"]
    best = list(found["best_heads"].values())
    assert best == sorted(best, reverse=True)
    assert best[-1] == 2
    assert found["gain"][0] == 0
    assert found["share"][-1] == 1
    assert found["share"][0] < 1
    report(result)
    assert "studio:easy" in capsys.readouterr().out


SIZE = {"suites": ("studio:easy",), "episodes": 1, "num_frames": 2, "height": 40, "width": 72}


def test_a_price_is_of_a_pass_with_all_heads_whatever_is_tried():
    few, all_ = (
        run(Price(heads=heads, prices=(0.0,), **SIZE))["suites"]["studio:easy"] for heads in ((2, 6), (2, 6, 12))
    )
    assert len(few["share"]) == len(few["gain"]) == 2
    assert few["share"] == all_["share"][:2]
    assert few["share"][-1] < 1


def test_the_order_in_which_heads_are_given_changes_nothing():
    ordered, mixed = (run(Price(heads=heads, prices=(0.0, 10.0), **SIZE)) for heads in ((2, 6, 12), (12, 2, 6, 2)))
    assert mixed["settings"]["heads"] == ordered["settings"]["heads"]
    assert mixed["suites"] == ordered["suites"]


def test_no_heads_are_refused():
    with pytest.raises(InputError, match="--heads"):
        run(Price(heads=(), **SIZE))
