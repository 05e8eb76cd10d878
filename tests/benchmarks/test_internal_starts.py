"""The benchmark of internal inpainting, on studio clips for a blink."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from videoinpaint.benchmarks.repair import internal_learning as internal
from videoinpaint.errors import InputError


def test_it_measures_keeps_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = internal.InternalStarts(
        starts=("smooth",), seconds=1.5, width_factor=0.1, num_frames=3, height=48, width=64, limit=2, folder=tmp_path
    )
    results = internal.run(flags)
    assert len(results["clips"]) == 2
    for clip in results["clips"].values():
        assert set(clip) == {"telea", "internal from smooth", "smooth alone"}
        assert clip["internal from smooth"]["steps"] >= 1
        assert all(5 < clip[method]["psnr_hole"] < 60 for method in clip)
    assert {c["b"] for c in results["comparisons"]} == {"telea", "smooth alone"}
    kept = sorted(tmp_path.glob("*.json"))
    assert len(kept) == 2
    # What is kept is believed, unless it was measured under other settings.
    stored = json.loads(kept[0].read_text())
    stored["methods"]["smooth alone"]["psnr_hole"] = 12.5
    kept[0].write_text(json.dumps(stored))
    again = internal.run(flags)["clips"]
    assert 12.5 in [clip["smooth alone"]["psnr_hole"] for clip in again.values()]
    internal.report(results)
    assert "internal from smooth" in capsys.readouterr().out


def test_the_compact_start_is_compared_with_what_it_is_made_of_and_with_the_loop(tmp_path: Path) -> None:
    flags = internal.InternalStarts(
        starts=("compact",), seconds=1.0, width_factor=0.1, pool=1, num_frames=2, height=32, width=48, limit=1,
        loop=True, folder=tmp_path / "runs", pictures=tmp_path / "pictures",
    )  # fmt: skip
    results = internal.run(flags)
    (clip,) = results["clips"].values()
    own = {"internal from compact", "compact alone"}
    assert set(clip) == {*own, "telea", "compact x1", "compact x3", "propagation alone"}
    assert {c["b"] for c in results["comparisons"]} == {*clip, "compact alone"} - {"internal from compact"}
    assert len(list((tmp_path / "pictures").glob("*-compact*/00001.png"))) == 2


def test_settings_are_checked_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="start"):
        internal.run(internal.InternalStarts(starts=("noise",), folder=tmp_path))
