"""A tiny damaged video for the command line's tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.cli import main
from videoinpaint.clips import make_clips
from videoinpaint.clips.files.video import write_video

SIZE = (6, 48, 64)


@pytest.fixture
def frames() -> NDArray[np.uint8]:
    """Six studio frames of 64x48."""
    return make_clips("studio:easy").load("studio-easy-000001", *SIZE).frames


@pytest.fixture
def video(tmp_path: Path, frames: NDArray[np.uint8]) -> Path:
    """The frames as a lossless file at 10 frames a second, a marked rectangle painted pure green."""
    damaged = frames.copy()
    damaged[:, 16:32, 20:40] = (0, 255, 0)
    path = tmp_path / "in.mkv"
    write_video(path, damaged, 10, lossless=True)
    return path


@pytest.fixture
def hole() -> NDArray[np.uint8]:
    """The rectangle, (H, W) in {0, 1}."""
    marked = np.zeros(SIZE[1:], np.uint8)
    marked[16:32, 20:40] = 1
    return marked


@pytest.fixture
def mask(tmp_path: Path, hole: NDArray[np.uint8]) -> Path:
    """The rectangle as one picture."""
    path = tmp_path / "mask.png"
    Image.fromarray(hole * np.uint8(255)).save(path)
    return path


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Runs a command that must end with exit code 2 and one line on stderr, and gives that line."""

    def run(*words: str | Path) -> str:
        capsys.readouterr()  # what another command said before, such as how far it had got on a slow machine
        assert main([str(word) for word in words]) == 2
        shown = capsys.readouterr().err
        assert shown.startswith("error: ")
        assert shown.count("\n") == 1
        return shown

    return run
