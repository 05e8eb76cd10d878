"""The pictures of README and cards are drawn by a command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from videoinpaint.benchmarks.report.pictures import draw_loop


def test_a_picture_shows_the_clip_that_was_asked_for(tmp_path: Path) -> None:
    pictures = []
    for name in ("studio-easy-000001", "studio-easy-000002"):
        path = tmp_path / f"{name}.png"
        draw_loop(path, "heads4", "studio:easy", name, "stationary")
        pictures.append(np.asarray(Image.open(path)))
    assert pictures[0].shape == pictures[1].shape
    assert not np.array_equal(*pictures)
    damaged = pictures[1][19:139, :216]  # under its line of text
    assert (np.abs(damaged.astype(int) - 128).max(2) <= 1).mean() > 0.03  # the grey of a fresh hole
    assert not list(tmp_path.glob(".*"))
