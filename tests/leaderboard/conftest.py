"""A tiny suite, and a distribution of policies that a stranger installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from videoinpaint.benchmarks.leaderboard.judging.measuring import prepare, run
from videoinpaint.benchmarks.leaderboard.submissions.entry import parse_entry
from videoinpaint.benchmarks.protocol.frozen import FrozenSuite, freeze

TINY = {
    "clips": "studio:easy",
    "masks": "studio:easy",
    "num_frames": 4,
    "height": 48,
    "width": 64,
    "inpainter": "telea",
    "detector": "none",
    "max_iterations": 2,
}
POLICIES = (
    "steady",
    "hangs",
    "aborts",
    "exits",
    "nan",
    "shape",
    "hungry",
    "talks",
    "late",
    "later",
    "drawn",
    "counts",
    "copies",
    "cells",
    "turned",
    "gaps",
    "loud",
)


@pytest.fixture(scope="session")
def suite() -> FrozenSuite:
    return freeze("tiny-v1", "VideoInpaint-v1", TINY, [0, 1])


@pytest.fixture(scope="session")
def cells() -> FrozenSuite:
    """A suite whose actions are by cell of a grid of two rows and three columns, which may be skipped."""
    by_cell = TINY | {"inpainter": "compact", "action_grid": [2, 3]}
    return freeze("cells-v1", "VideoInpaintRegions-v1", by_cell, [0, 1])


@pytest.fixture(scope="session")
def strangers(tmp_path_factory) -> Path:
    """A folder with an installed distribution."""
    folder = tmp_path_factory.mktemp("installed")
    folder.chmod(0o755)
    shutil.copy(Path(__file__).with_name("strangers.py"), folder)
    info = folder / "strangers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 1.0\n")
    points = "".join(f"{name} = strangers:{name.capitalize()}\n" for name in POLICIES)
    (info / "entry_points.txt").write_text(f"[videoinpaint.policies]\n{points}")
    noted = "".join(f"strangers-1.0.dist-info/{name},,\n" for name in ("METADATA", "entry_points.txt"))
    (info / "RECORD").write_text(f"strangers.py,,\n{noted}")
    return folder


@pytest.fixture
def installed(strangers, monkeypatch) -> Path:
    monkeypatch.syspath_prepend(strangers)
    return strangers


@pytest.fixture
def stranger(installed, tmp_path):
    """A policy of the distribution, by name."""
    return lambda name: parse_entry(f"package:strangers:{name}", tmp_path)


@pytest.fixture(scope="session")
def _played(suite, strangers, tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(strangers)
        folder = tmp_path_factory.mktemp("played") / "steady"
        submission = prepare(folder, "package:strangers:steady", suite, {"authors": "a stranger"}, "float32", 1)
        run(folder, submission, suite)
    return folder


@pytest.fixture
def submitted(_played, installed, tmp_path) -> Path:
    """A complete submission of the honest policy, to be spoilt."""
    return Path(shutil.copytree(_played, tmp_path / "steady"))
