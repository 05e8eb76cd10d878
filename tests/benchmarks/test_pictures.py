"""The pictures of README and cards are drawn by a command."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from PIL import Image

from videoinpaint.agents import evaluate
from videoinpaint.benchmarks.report import maps
from videoinpaint.benchmarks.report.pictures import draw_loop, draw_repair
from videoinpaint.errors import InputError


def test_a_picture_shows_the_clip_that_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gymnasium.registry["VideoInpaint-v1"].kwargs, "num_frames", 3)  # one is drawn
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


def test_a_moving_picture_shows_damage_and_repair_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "repair.gif"
    draw_repair(path, "heads4", "studio:easy", "studio-easy-000002", "stationary")
    with Image.open(path) as moving:
        assert moving.n_frames == 30  # 16 frames forwards and back
        first = np.asarray(moving.convert("RGB")).astype(int)[19:]
    damaged, repaired = first[:, :216], first[:, -216:]
    grey = [(np.abs(half - 128).max(2) <= 3).mean() for half in (damaged, repaired)]
    assert grey[0] > grey[1] + 0.03
    assert path.stat().st_size < 1_500_000


def test_maps_show_what_was_chosen_and_where_it_paid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gymnasium.registry["VideoInpaintRegions-v1"].kwargs, "num_frames", 3)
    flags = maps.Maps(picture=tmp_path / "maps.png", policy="heads6once", clips="studio:easy", seeds=(3,))
    found = maps.run(flags)["episodes"][0]
    assert np.shape(found["heads"]) == np.shape(found["more"]) == (4, 6)
    assert np.unique(found["heads"]).tolist() == [6.0]
    env_kwargs = {"clips": "studio:easy", "masks": "mixed"}
    for name in ("heads6once", "heads8holes"):
        record = evaluate(name, env_kwargs, [3], env_id="VideoInpaintRegions-v1")[0]
        assert found["returns"][name] == pytest.approx(record.episode_return, abs=1e-4)
    assert np.sum(found["more"]) == pytest.approx(found["returns"]["heads6once"] - found["returns"]["heads8holes"])
    picture = np.asarray(Image.open(flags.picture))
    assert picture.shape[1] >= 4 * 216
    assert picture.shape[0] >= 120


@pytest.mark.parametrize(("change", "why"), [({"env_id": "VideoInpaint-v1"}, "by cell"), ({"picture": "x.jpg"}, "png")])
def test_maps_need_an_action_by_cell_and_a_png(tmp_path: Path, change: dict, why: str) -> None:
    flags = {"picture": "maps.png"} | change
    with pytest.raises(InputError, match=why):
        maps.run(maps.Maps(**flags | {"picture": tmp_path / flags["picture"]}))
    assert not list(tmp_path.iterdir())
