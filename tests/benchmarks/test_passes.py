"""Whether passes pay: the table, what is compared with what, and the oracle that chooses by cell."""

from __future__ import annotations

import pytest
import torch

from videoinpaint.benchmarks.repair import passes
from videoinpaint.errors import InputError


def scores(table: dict[tuple[int, int], tuple[float, float]]) -> dict[tuple[int, int], passes.Scores]:
    """Three clips for each (heads, passes) -> (dB, GFLOPs)."""
    return {
        key: {f"clip{i}": {"psnr_hole": dB + i, "lpips_hole": 0.1, "gflops": cost} for i in range(3)}
        for key, (dB, cost) in table.items()
    }


def test_the_best_of_several_passes_is_the_best_that_costs_no_more() -> None:
    table = {(2, 1): (20.0, 1.0), (12, 1): (21.0, 3.0), (2, 2): (20.5, 2.0), (2, 3): (22.0, 3.0), (12, 3): (23.0, 9.0)}
    found = passes.compared(scores(table))
    assert found["single"] == {"heads": 12, "passes": 1, "share": 1.0}
    assert (found["affordable"]["heads"], found["affordable"]["passes"], found["affordable"]["share"]) == (2, 3, 1.0)
    assert found["affordable"]["psnr_hole"]["mean"] == pytest.approx(1.0)
    assert (found["any price"]["heads"], found["any price"]["share"]) == (12, 3.0)
    assert found["cheapest"] == pytest.approx(2 / 3)


def test_it_is_said_where_several_passes_always_cost_more() -> None:
    found = passes.compared(scores({(2, 1): (22.0, 2.0), (2, 2): (23.0, 4.0)}))
    assert found["affordable"] is None
    assert found["cheapest"] == 2


def test_the_oracle_takes_the_nearest_in_every_cell() -> None:
    truth = torch.rand(1, 2, 3, 40, 36, generator=torch.Generator().manual_seed(0))
    left, right = truth.clone(), truth.clone()
    left[..., 16:] += 0.3
    right[..., :16] += 0.3
    assert torch.equal(passes.best_by_cell([left, right], truth), truth)
    assert torch.equal(passes.best_by_cell([left], truth), left)


def test_all_heads_and_passes_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    size = {"num_frames": 2, "height": 48, "width": 64, "limit": 2}
    results = passes.run(passes.Passes(masks=("stationary",), heads=(2, 12), passes=2, **size))
    suite = results["suites"]["stationary"]
    assert [(row["heads"], row["passes"]) for row in suite["rows"]] == [(2, 1), (2, 2), (12, 1), (12, 2)]
    spent = [row["gflops"] for row in suite["rows"]]
    assert spent[0] < spent[2] < spent[3]
    assert suite["oracle"] >= max(row["psnr_hole"] for row in suite["rows"])
    passes.report(results)
    assert "best single pass" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"heads": (1,)}, "heads are numbers from 2 to 12"),
        ({"heads": ()}, "heads are numbers"),
        ({"passes": 1}, "passes must be 2 or more"),
        ({"inpainter": "telea"}, "has no heads to choose"),
    ],
)
def test_what_cannot_be_compared_is_refused(asked: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        passes.run(passes.Passes(**asked))  # type: ignore[arg-type]
