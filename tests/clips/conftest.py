"""Tiny clips on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from videoinpaint.clips import Studio, write_video

REAL = Path(__file__).resolve().parents[3] / "shared" / "clips"


@pytest.fixture(scope="session")
def frames() -> NDArray[np.uint8]:
    """Twelve frames of 48x64, all different."""
    return Studio().load("studio-mixed-000003", 12, 48, 64).frames


@pytest.fixture
def save_frames() -> Callable[..., Path]:
    """Write frames, or masks, as numbered pictures into a folder."""

    def save(folder: Path, pictures: NDArray[np.uint8], suffix: str = ".png") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for index, picture in enumerate(pictures):
            Image.fromarray(picture).save(folder / f"{index:05d}{suffix}")
        return folder

    return save


@pytest.fixture
def save_video() -> Callable[..., Path]:
    """Write frames without loss, so that what is read can be compared bit for bit."""

    def save(path: Path, pictures: NDArray[np.uint8], fps: float = 10.0) -> Path:
        write_video(path, pictures, fps, lossless=True)
        return path

    return save


@pytest.fixture
def real_clips() -> Path:
    """Real clips beside the project, which are never part of it."""
    if not REAL.is_dir():
        pytest.skip("no ../shared/clips here")
    return REAL
