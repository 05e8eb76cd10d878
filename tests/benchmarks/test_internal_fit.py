"""The benchmark of fit and of what hides pixels in training, on a few frames for a few steps."""

from __future__ import annotations

import pytest

from videoinpaint.benchmarks.repair import internal_fit
from videoinpaint.errors import InputError


def test_lengths_and_ways_of_hiding_are_rows(capsys: pytest.CaptureFixture[str]) -> None:
    flags = internal_fit.InternalFit(lengths=(2, 3), hidden=("moved", "free-form"), steps=3, height=40, width=64)
    results = internal_fit.run(flags)
    rows = results["rows"]
    assert [(row["length"], row["hidden"]) for row in rows] == [(n, h) for n in (2, 3) for h in flags.hidden]
    assert all(3 < row[name] < 60 for row in rows for name in ("known", "held_out", "psnr_hole"))
    assert rows[0]["held_out"] != rows[1]["held_out"]
    internal_fit.report(results)
    assert "48.78" in capsys.readouterr().out


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(InputError, match="noise"):
        internal_fit.run(internal_fit.InternalFit(hidden=("noise",)))
    with pytest.raises(InputError, match="lengths"):
        internal_fit.run(internal_fit.InternalFit(lengths=(0,)))


def test_the_published_network_is_fitted_from_scratch() -> None:
    paper = internal_fit.settings(internal_fit.InternalFit(preset="paper"))
    assert (paper.arch, paper.width, paper.learning_rate, paper.start) == ("coarse-to-fine", 1.0, 2e-4, "none")
