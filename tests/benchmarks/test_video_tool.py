"""The benchmarks of the video tool's settings, at a size that takes seconds."""

from __future__ import annotations

import numpy as np
import pytest

from videoinpaint.benchmarks.repair import cuts, dilation, large_frames, videos
from videoinpaint.errors import InputError, VideoInpaintError

SMALL = {"num_frames": 8, "height": 48, "width": 64, "limit": 1}


def test_settings_are_measured_on_the_same_videos(capsys: pytest.CaptureFixture[str]) -> None:
    flags = videos.Videos(
        clips="studio:easy",
        masks=("stationary", "subtitle:4"),
        settings=("one pass", "default"),
        inpainter="propagation",
        plays=3,
        **SMALL,
    )
    results = videos.run(flags)
    assert list(results["suites"]) == ["stationary", "subtitle:4"]
    for suite in results["suites"].values():
        for method in suite["methods"].values():
            assert np.isfinite(method["mean"]["psnr_hole"])
            assert method["mean"]["seconds_per_frame"] > 0
    assert results["suites"]["stationary"]["methods"]["one pass"]["mean"]["seam"] > 0  # 22 frames, three windows
    assert np.isnan(results["suites"]["stationary"]["methods"]["default"]["mean"]["seam"])
    videos.report(results)
    assert "seam" in capsys.readouterr().out
    with pytest.raises(InputError, match="unknown setting 'best'"):
        videos.run(videos.Videos(settings=("best",)))


def test_a_subtitle_stands_in_the_middle_frames() -> None:
    masks = videos.subtitled(10, 48, 64, 4)
    assert [bool(mask.any()) for mask in masks] == [False] * 3 + [True] * 4 + [False] * 3


def test_a_logo_stands_still_in_a_corner() -> None:
    flags = videos.Videos(clips="studio:easy", num_frames=3, limit=1)
    (pair,) = videos._pairs(flags, "logo")
    assert pair.holes.shape == (3, 240, 432)
    assert pair.holes[:, 8:38, 8:58].all()
    assert pair.holes.sum() == 3 * 30 * 50
    with pytest.raises(VideoInpaintError, match="logo:3"):
        list(videos._pairs(flags, "logo:3"))


def test_growth_is_measured_against_the_known_background(capsys: pytest.CaptureFixture[str]) -> None:
    results = dilation.run(dilation.Dilation(dilate=(0, 2), shrunk=2, inpainter="telea", **SMALL))
    assert set(results["errors"]) == {"0", "2"}
    assert max(error for errors in results["errors"].values() for error in errors) < results["untouched"][0]
    dilation.report(results)
    assert "grown by" in capsys.readouterr().out


def test_cuts_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    flags = cuts.Cuts(clips=("studio:easy",), num_frames=4, height=48, width=64, limit=3, pairs=5)
    results = cuts.run(flags)
    assert results["counts"]["neighbours"] == {"pairs": 9, "cuts": 0}
    assert results["counts"]["three apart"]["pairs"] == 3
    assert results["counts"]["different clips"]["pairs"] == 5
    cuts.report(results)
    assert "different clips" in capsys.readouterr().out
    with pytest.raises(InputError, match="two clips"):
        cuts.run(cuts.Cuts(clips=("studio:easy",), limit=1))


def test_a_hole_in_large_frames_is_measured_against_the_same_in_small_ones(capsys: pytest.CaptureFixture[str]) -> None:
    flags = large_frames.LargeFrames(
        large=(96, 160), small=(48, 64), hole=(12, 20), num_frames=6, inpainter="telea", threads=1
    )
    results = large_frames.run(flags)
    assert all(found["repaired"] > 0 for found in results["seconds"].values())
    assert all(found["repaired"] > 10**7 for found in results["peak"].values())
    large_frames.report(results)
    assert "160x96, repaired" in capsys.readouterr().out
    with pytest.raises(InputError, match="each must fit into the next"):
        large_frames.run(large_frames.LargeFrames(hole=(300, 20)))
