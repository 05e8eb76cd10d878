"""`evaluate --suite`: the frozen episodes and nothing else, with what makes two results comparable."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from videoinpaint.benchmarks.protocol import frozen
from videoinpaint.benchmarks.protocol.frozen import frozen_suite
from videoinpaint.cli import main

Fails = Callable[..., str]
EASY = ["evaluate", "--suite", "studio-easy-v1", "--env-id", "VideoInpaintBudget-v0", "--policies", "heads4"]
FAST = ["--inpainter", "telea", "--detector", "none", "--device", "cpu", "--max-iterations", "1"]


def test_a_suite_is_played_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*EASY, *FAST, "--episodes", "2", "--output", str(tmp_path / "a.json")]) == 0
    table = capsys.readouterr().out
    assert table.index("PSNR hole") < table.index("quality")
    results = json.loads((tmp_path / "a.json").read_text())
    suite = frozen_suite("studio-easy-v1", "VideoInpaintBudget-v0").first(2)
    assert results["suite"] == suite.as_dict()
    assert results["precision"] == {"asked": "float32", "used": "float32"}
    heads4 = next(p for p in results["policies"] if p["name"] == "heads4")
    assert [r["clip"] for r in heads4["records"]] == [e.clip for e in suite.episodes]
    assert heads4["measures"]["ssim_hole"]["mean"] > 0
    assert "score" not in heads4  # another inpainter, and not the whole suite
    assert suite.digest != frozen_suite("studio-easy-v1", "VideoInpaintBudget-v0").digest  # nobody takes it for whole


def test_flags_that_contradict_a_suite_are_refused(fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    for flag, value in (("--clips", "studio"), ("--height", "48"), ("--num-envs", "4"), ("--first-seed", "3")):
        assert flag in fails(*EASY, *FAST, flag, value)
    assert "studio-hard-v1" in fails(*EASY[:2], "studio-easy-v7", *EASY[3:], *FAST)
    assert "no episodes for VideoInpaint-v1" in fails("evaluate", "--suite", "one-shot-v1", *FAST)
    monkeypatch.setattr(frozen, "episode_digest", lambda episode: "0" * 16)
    assert "other pixels" in fails(*EASY, *FAST)
