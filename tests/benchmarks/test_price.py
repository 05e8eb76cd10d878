"""The price benchmark: free heads never lose to dear ones, and everything it says is there."""

from videoinpaint.benchmarks.policies.price import Price, report, run


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
