"""The benchmark of mask propagators on a clip whose object moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from videoinpaint.benchmarks.repair import propagators
from videoinpaint.errors import InputError


def test_every_method_is_scored_at_another_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for name in ("clips/a", "truth/a", "clips/without-truth"):
        (tmp_path / name).mkdir(parents=True)
    scene = rng.integers(0, 120, (96, 128, 3), np.uint8)
    for t in range(3):
        frame, mask = scene.copy(), np.zeros((96, 128), np.uint8)
        frame[30:60, 20 + 12 * t : 50 + 12 * t] = (230, 60, 40)
        mask[30:60, 20 + 12 * t : 50 + 12 * t] = 255
        for folder, picture in (("clips/a", frame), ("truth/a", mask), ("clips/without-truth", frame)):
            Image.fromarray(picture).save(tmp_path / folder / f"{t:05d}.png")
    flags = propagators.Propagators(
        clips=str(tmp_path / "clips"),
        truth=tmp_path / "truth",
        steps=3,
        width_factor=0.1,
        num_frames=3,
        height=48,
        width=64,
    )
    results = propagators.run(flags)
    assert list(results["clips"]) == ["a"]
    scores = results["clips"]["a"]
    assert all(0 <= scores[method]["j_and_f"] <= 1 for method in propagators.METHODS)
    # Moved by 6 of its 15 pixels a frame: 9 of 21 overlap, then 3 of 27.
    assert scores["held"]["j"] == pytest.approx((9 / 21 + 3 / 27) / 2, abs=0.03)
    assert scores["flow"]["cpu_seconds"] > 0
    propagators.report(results)
    assert "mean J&F" in capsys.readouterr().out


def test_clips_without_truth_are_named(tmp_path: Path) -> None:
    (tmp_path / "clips" / "a").mkdir(parents=True)
    for t in range(2):
        Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "clips" / "a" / f"{t}.png")
    with pytest.raises(InputError, match="no clip"):
        propagators.run(propagators.Propagators(clips=str(tmp_path / "clips"), truth=tmp_path))


def test_one_shot_clips_know_their_target_and_doubts_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    flags = propagators.Propagators(clips="one_shot", every=300, methods=("held",), num_frames=4, height=48, width=64)
    results = propagators.run(flags)
    assert len(results["clips"]) == 4  # of 1,000 names
    for clip in results["clips"].values():
        assert 0 <= clip["held"]["named_wrong"] <= min(clip["held"]["named"], clip["held"]["wrong"]) <= 3
    propagators.report(results)
    assert "bad clips named" in capsys.readouterr().out
    with pytest.raises(InputError, match="does not know its target"):
        propagators.run(propagators.Propagators(clips="studio:easy", every=600, methods=("held",)))
